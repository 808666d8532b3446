/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes what a guest sends: routing, and the form parser. The input is a method, a path and a
 * body, each after the first ended by a line break. Half of the paths get the right token in front.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "mds/form.h"
#include "mds/route.h"
#include "tests/unit/mds/bundle_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CONTENT_MAX 100

/* Takes a line off the input. */
static char *take_line(const char **data, size_t *len)
{
    const char *end = memchr(*data, '\n', *len);
    size_t n = end ? (size_t)(end - *data) : *len;
    char *line = xstrndup(*data, n);
    n += end != NULL;
    *data += n;
    *len -= n;
    return line;
}

static void check_route(const struct bundle *b, const char *method, const char *path)
{
    struct route r = route_find(b, method, path);
    if (r.status != 200 && r.status != 403 && r.status != 404 && r.status != 405)
        abort();
    if ((r.status == 405) != (r.allow != NULL) || !r.type)
        abort();
    if ((r.status == 200 && r.action == ROUTE_TEXT) != (r.body.data != NULL))
        abort();
    if (r.status != 403 && !strstr(path, TOKEN))
        abort();
}

static enum form_state read_form(struct form *f, const char *body, size_t len, size_t step)
{
    for (size_t i = 0; i < len; i += step)
        form_feed(f, body + i, len - i < step ? len - i : step);
    return form_end(f);
}

/* A form means the same in whatever pieces it arrives. */
static void check_form(const char *body, size_t len)
{
    struct form_field a[] = {{.name = "content", .max = CONTENT_MAX}, {.name = "uuid", .max = 9}};
    struct form_field b[] = {{.name = "content", .max = CONTENT_MAX}, {.name = "uuid", .max = 9}};
    struct form whole = {.fields = a, .nfields = 2}, pieces = {.fields = b, .nfields = 2};
    enum form_state state = read_form(&whole, body, len, len + 1);
    if (read_form(&pieces, body, len, 1 + len % 7) != state)
        abort();
    for (size_t i = 0; i < 2; i++) {
        if (a[i].given != b[i].given || a[i].value.len != b[i].value.len ||
            a[i].value.len > a[i].max)
            abort();
        if (a[i].value.len && memcmp(a[i].value.data, b[i].value.data, a[i].value.len) != 0)
            abort();
    }
    form_done(&whole);
    form_done(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct bundle bundle;
    struct err err;
    if (!bundle.doc && bundle_decode(BUNDLE, strlen(BUNDLE), &bundle, &err) < 0)
        abort();
    const char *rest = (const char *)data;
    cleanup_free char *method = take_line(&rest, &len);
    cleanup_free char *path = take_line(&rest, &len);
    cleanup_free char *inside = xasprintf("/%s/%s", TOKEN, path);
    check_route(&bundle, method, path);
    check_route(&bundle, method, inside);
    check_form(rest, len);
    return 0;
}
