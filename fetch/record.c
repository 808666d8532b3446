/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a URL from earlier fetches. */
#include "fetch/record.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/header.h"
#include "schema/types.h"

#define RECORD_MAX (64u << 10)

void record_key(const char *url, char out[RECORD_KEY_LEN + 1])
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)url, strlen(url), hash);
    hex_encode(hash, sizeof(hash), out);
}

/* A string that can go into a header line. */
static char *take_string(const json_t *root, const char *name)
{
    const char *s = json_string_value(json_object_get(root, name));
    if (!s || strlen(s) > HEADER_VALUE_MAX)
        return NULL;
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return NULL;
    return xstrdup(s);
}

static int64_t take_number(const json_t *root, const char *name)
{
    json_int_t v = json_integer_value(json_object_get(root, name));
    return v > 0 ? (int64_t)v : 0;
}

bool record_parse(const char *text, size_t len, const char *url, struct record *ret)
{
    json_t *root = json_loadb(text, len, 0, NULL);
    const char *stored = json_string_value(json_object_get(root, "url"));
    bool same = str_eq(stored, url);
    if (same) {
        *ret = (struct record){
            .url = xstrdup(url),
            .etag = take_string(root, "etag"),
            .last_modified = take_string(root, "lastModified"),
            .total = (uint64_t)take_number(root, "total"),
            .image_id = take_string(root, "imageID"),
            .signer = take_string(root, "signer"),
            .checked = take_number(root, "checked"),
            .max_age = (uint64_t)take_number(root, "maxAge"),
        };
        if (ret->image_id && !ac_image_id_valid(ret->image_id))
            free(take_ptr(ret->image_id));
        if (ret->max_age > HEADER_AGE_MAX)
            ret->max_age = HEADER_AGE_MAX;
    }
    json_decref(root);
    return same;
}

void record_load(int dirfd, const char *name, const char *url, struct record *ret)
{
    cleanup_free char *text = NULL;
    size_t len;
    *ret = (struct record){0};
    if (read_file_at(dirfd, name, RECORD_MAX, &text, &len, NULL) < 0 ||
        !record_parse(text, len, url, ret))
        ret->url = xstrdup(url);
}

int record_save(int dirfd, const char *name, const struct record *r, struct err *err)
{
    json_t *root = json_pack("{s:s, s:s*, s:s*, s:I, s:s*, s:s*, s:I, s:I}", "url", r->url, "etag",
                             r->etag, "lastModified", r->last_modified, "total",
                             (json_int_t)r->total, "imageID", r->image_id, "signer", r->signer,
                             "checked", (json_int_t)r->checked, "maxAge", (json_int_t)r->max_age);
    if (!root) /* a header that is not UTF-8: nothing worth keeping */
        return 0;
    cleanup_free char *text = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    return text ? write_file_atomic_at(dirfd, name, text, strlen(text), 0600, false, err)
                : err_set(err, ENOMEM, "can't print the record of %s", r->url);
}

bool record_fresh(const struct record *r, int64_t now)
{
    return r->checked <= now && (uint64_t)(now - r->checked) < r->max_age;
}

void record_done(struct record *r)
{
    free(r->url);
    free(r->etag);
    free(r->last_modified);
    free(r->image_id);
    free(r->signer);
    *r = (struct record){0};
}
