/* SPDX-License-Identifier: Apache-2.0 */
/* From a request line to the resource it names. */
#include "mds/route.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/cleanup.h"
#include "base/str.h"

struct segment {
    const char *data;
    size_t len;
};

/* The next segment of a path and the rest in *path; len is 0 at its end. */
static struct segment next_segment(const char **path)
{
    const char *p = *path + strspn(*path, "/");
    struct segment s = {p, strcspn(p, "/")};
    *path = p + s.len;
    return s;
}

static bool take(const char **path, const char *name)
{
    struct segment s = next_segment(path);
    return s.len == strlen(name) && memcmp(s.data, name, s.len) == 0;
}

/* Whether what is left of the path is `want`, which has single slashes and none in front. */
static bool rest_is(const char *path, const char *want)
{
    while (*want) {
        struct segment w = next_segment(&want), s = next_segment(&path);
        if (s.len != w.len || memcmp(s.data, w.data, w.len) != 0)
            return false;
    }
    return *path == '\0';
}

static struct route text(const char *type, struct bundle_text body)
{
    return (struct route){.status = 200, .action = ROUTE_TEXT, .type = type, .body = body};
}

static struct route form(enum route_action action)
{
    return (struct route){.status = 200, .action = action, .type = ROUTE_TYPE_TEXT};
}

static struct route refused(unsigned status, const char *allow)
{
    return (struct route){.status = status, .allow = allow, .type = ROUTE_TYPE_TEXT};
}

static struct route find_pod(const struct bundle *b, const char *rest)
{
    if (rest_is(rest, "annotations"))
        return text(ROUTE_TYPE_JSON, b->pod_annotations);
    if (rest_is(rest, "manifest"))
        return text(ROUTE_TYPE_JSON, b->pod_manifest);
    if (rest_is(rest, "uuid"))
        return text(ROUTE_TYPE_TEXT, (struct bundle_text){b->uuid_text, AC_UUID_TEXT - 1});
    if (rest_is(rest, "hmac/sign"))
        return form(ROUTE_SIGN);
    if (rest_is(rest, "hmac/verify"))
        return form(ROUTE_VERIFY);
    return refused(404, NULL);
}

static struct route find_app(const struct bundle *b, const char *rest)
{
    struct segment name = next_segment(&rest);
    const struct bundle_app *a = bundle_find(b, name.data, name.len);
    if (!a)
        return refused(404, NULL);
    if (rest_is(rest, "annotations"))
        return text(ROUTE_TYPE_JSON, a->annotations);
    if (rest_is(rest, "image/manifest"))
        return text(ROUTE_TYPE_JSON, a->image_manifest);
    if (rest_is(rest, "image/id"))
        return text(ROUTE_TYPE_TEXT, a->image_id);
    return refused(404, NULL);
}

static struct route find_resource(const struct bundle *b, const char *path)
{
    struct segment kind;
    if (!take(&path, "acMetadata") || !take(&path, "v1"))
        return refused(404, NULL);
    kind = next_segment(&path);
    if (kind.len == 3 && memcmp(kind.data, "pod", 3) == 0)
        return find_pod(b, path);
    if (kind.len == 4 && memcmp(kind.data, "apps", 4) == 0)
        return find_app(b, path);
    return refused(404, NULL);
}

/* The length of a token is no secret. */
static bool token_matches(const struct bundle *b, struct segment s)
{
    return s.len == b->token_len && CRYPTO_memcmp(s.data, b->token, s.len) == 0;
}

/* Some proxies send the whole URL (RFC 9112, 3.2.2: a server has to accept it). */
static const char *skip_authority(const char *path)
{
    if (strncasecmp(path, "http://", 7) != 0)
        return path;
    return path + 7 + strcspn(path + 7, "/");
}

struct route route_find(const struct bundle *b, const char *method, const char *path)
{
    path = skip_authority(path);
    if (!token_matches(b, next_segment(&path)))
        return refused(403, NULL);
    struct route r = find_resource(b, path);
    if (r.status != 200)
        return r;
    if (r.action == ROUTE_TEXT && !str_eq(method, "GET") && !str_eq(method, "HEAD"))
        return refused(405, "GET, HEAD");
    if (r.action != ROUTE_TEXT && !str_eq(method, "POST"))
        return refused(405, "POST");
    return r;
}
