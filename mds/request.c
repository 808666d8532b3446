/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request: from its headers over its body to the answer. */
#include "mds/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "mds/form.h"
#include "mds/route.h"

#define FORM_TYPE "application/x-www-form-urlencoded"

/* More than any UUID or signature has; a longer one is refused before it is looked at. */
#define SHORT_FIELD_MAX 256

enum { CONTENT, UUID, SIGNATURE, FIELDS };

struct request {
    struct route route;
    unsigned status; /* of a refusal; 0 while there is none */
    const char *reason;
    size_t received; /* bytes of the body */
    struct form form;
    struct form_field fields[FIELDS];
};

/* The first refusal counts. */
static void refuse(struct request *r, unsigned status, const char *reason)
{
    if (r->status)
        return;
    r->status = status;
    r->reason = reason;
}

static void drop_form(struct request_context *ctx, struct request *r)
{
    ctx->forms_size -= form_size(&r->form);
    form_done(&r->form);
}

void request_free(struct request_context *ctx, void *state)
{
    struct request *r = state;
    if (!r)
        return;
    drop_form(ctx, r);
    free(r);
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* The media type, whatever its parameters. */
static bool has_form(struct MHD_Connection *connection)
{
    const char *type = header(connection, MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t len = strlen(FORM_TYPE);
    return type && strncasecmp(type, FORM_TYPE, len) == 0 &&
           (type[len] == '\0' || type[len] == ' ' || type[len] == ';');
}

static void refuse_route(struct request *r)
{
    if (r->route.status == 403)
        refuse(r, 403, "the token is not that of this pod");
    else if (r->route.status == 404)
        refuse(r, 404, "there is no such metadata");
    else if (r->route.status == 405)
        refuse(r, 405, "the method does not go with this path");
}

static struct request *new_request(struct request_context *ctx, struct MHD_Connection *connection,
                                   const char *url, const char *method)
{
    struct request *r = xcalloc(1, sizeof(*r));
    r->route = route_find(ctx->bundle, method, url);
    r->fields[CONTENT] = (struct form_field){.name = "content", .max = IDENTITY_CONTENT_MAX};
    r->fields[UUID] = (struct form_field){.name = "uuid", .max = SHORT_FIELD_MAX};
    r->fields[SIGNATURE] = (struct form_field){.name = "signature", .max = SHORT_FIELD_MAX};
    r->form = (struct form){.fields = r->fields, .nfields = FIELDS};
    refuse_route(r);
    if (r->route.action != ROUTE_TEXT && !has_form(connection))
        refuse(r, 400, "the body is no form of type " FORM_TYPE);
    return r;
}

static enum MHD_Result send_response(struct MHD_Connection *connection, const struct request *r,
                                     unsigned status, struct MHD_Response *response)
{
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->route.type);
    if (status == 405)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, r->route.allow);
    if (status == 503)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* Answers with bytes that stay as long as the bundle. */
static enum MHD_Result send_text(struct MHD_Connection *connection, const struct request *r,
                                 unsigned status, struct bundle_text text)
{
    return send_response(connection, r, status,
                         MHD_create_response_from_buffer(text.len, (void *)(uintptr_t)text.data,
                                                         MHD_RESPMEM_PERSISTENT));
}

/* One line that says why. */
static enum MHD_Result send_refusal(struct MHD_Connection *connection, struct request *r)
{
    cleanup_free char *line = xasprintf("%s\n", r->reason);
    r->route.type = ROUTE_TYPE_TEXT;
    return send_response(
        connection, r, r->status,
        MHD_create_response_from_buffer(strlen(line), line, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result sign(struct request_context *ctx, struct MHD_Connection *connection,
                            struct request *r)
{
    char text[IDENTITY_SIGNATURE_TEXT];
    const struct buf *content = &r->fields[CONTENT].value;
    if (identity_sign(ctx->identity, ctx->bundle->uuid, content->data, content->len, text, NULL) <
        0)
        return MHD_NO;
    return send_response(
        connection, r, 200,
        MHD_create_response_from_buffer(IDENTITY_SIGNATURE_LEN, text, MHD_RESPMEM_MUST_COPY));
}

/* 200 or 403 with an empty body. What is no UUID has signed nothing. */
static enum MHD_Result verify(struct request_context *ctx, struct MHD_Connection *connection,
                              struct request *r)
{
    uint8_t uuid[AC_UUID_SIZE];
    bool valid = false;
    const struct buf *content = &r->fields[CONTENT].value;
    const struct buf *signature = &r->fields[SIGNATURE].value;
    const struct buf *name = &r->fields[UUID].value;
    if (name->len && strlen(name->data) == name->len && ac_uuid_parse(name->data, uuid) == 0 &&
        identity_verify(ctx->identity, uuid, content->data, content->len, signature->data,
                        signature->len, &valid, NULL) < 0)
        return MHD_NO;
    return send_text(connection, r, valid ? 200 : 403, (struct bundle_text){"", 0});
}

static void finish_form(struct request *r)
{
    size_t needed = r->route.action == ROUTE_SIGN ? CONTENT + 1 : FIELDS;
    if (r->status)
        return;
    if (form_end(&r->form) != FORM_OK)
        refuse(r, 400, "the form is malformed");
    for (size_t i = 0; i < needed; i++)
        if (!r->fields[i].given)
            refuse(r, 400,
                   needed == FIELDS ? "the form needs content, uuid and signature"
                                    : "the form needs content");
}

static enum MHD_Result answer(struct request_context *ctx, struct MHD_Connection *connection,
                              struct request *r)
{
    if (r->route.action != ROUTE_TEXT)
        finish_form(r);
    if (r->status)
        return send_refusal(connection, r);
    if (r->route.action == ROUTE_SIGN)
        return sign(ctx, connection, r);
    if (r->route.action == ROUTE_VERIFY)
        return verify(ctx, connection, r);
    return send_text(connection, r, 200, r->route.body);
}

static void feed_form(struct request_context *ctx, struct request *r, const char *data, size_t len)
{
    size_t before = form_size(&r->form);
    enum form_state state = form_feed(&r->form, data, len);
    ctx->forms_size += form_size(&r->form) - before;
    if (state == FORM_BAD)
        refuse(r, 400, "the form is malformed");
    else if (state == FORM_TOO_LARGE)
        refuse(r, 413, "a field of the form is too long");
    else if (ctx->forms_size > REQUEST_FORMS_MAX)
        refuse(r, 503, "too many large requests at once");
    if (r->status)
        drop_form(ctx, r);
}

/* MHD_NO, which closes the connection, when it sends on and on. */
static enum MHD_Result read_body(struct request_context *ctx, struct request *r, const char *data,
                                 size_t len)
{
    r->received += len;
    if (r->received > REQUEST_DRAIN_MAX)
        return MHD_NO;
    if (r->received > REQUEST_BODY_MAX && !r->status) {
        refuse(r, 413, "the body is too large");
        drop_form(ctx, r);
    }
    if (r->route.action != ROUTE_TEXT && !r->status)
        feed_form(ctx, r, data, len);
    return MHD_YES;
}

/* Whether the client announces more than anybody wants to read. */
static bool announces_too_much(struct MHD_Connection *connection)
{
    uint64_t len;
    const char *text = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return text && parse_u64(text, REQUEST_DRAIN_MAX, &len) < 0;
}

enum MHD_Result request_handle(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *data_len, void **state)
{
    struct request_context *ctx = cls;
    (void)version;
    if (!*state) {
        struct request *r = *state = new_request(ctx, connection, url, method);
        if (!announces_too_much(connection))
            return MHD_YES;
        refuse(r, 413, "the body is too large");
        return send_refusal(connection, r);
    }
    if (*data_len == 0)
        return answer(ctx, connection, *state);
    size_t len = *data_len;
    *data_len = 0;
    return read_body(ctx, *state, data, len);
}
