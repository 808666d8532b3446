/* SPDX-License-Identifier: Apache-2.0 */
/* The twelve requests of section "Metadata server" of ace.md, and what must be refused. */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "validator.h"

#define JSON     "application/json"
#define TEXT     "text/plain; charset=us-ascii"
#define CONTENT  "Old+MacDonald+Had+A+Farm" /* as it stands in a form */
#define BASE64   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
#define FORM_MAX 4096

static const char *base; /* $AC_METADATA_URL with the service's own prefix */
static uint64_t slowest;

/* One request that has to be answered with 200 and exactly this type; NULL when it is not. */
static const char *ask(const char *id, const char *type, const char *path, const char *form)
{
    struct response r;
    const char *why = http_request(base, path, form, &r);
    if (r.us > slowest)
        slowest = r.us;
    if (why) {
        check(false, id, "%s %s: %s", form ? "POST" : "GET", path, why);
        return NULL;
    }
    bool ok = r.status == 200 && strcmp(r.type, type) == 0;
    check(ok, id, "%s %s: %d, %s, %zu bytes, %llu us", form ? "POST" : "GET", path, r.status,
          r.type, r.len, (unsigned long long)r.us);
    return ok ? r.body : NULL;
}

static json_t *ask_json(const char *id, const char *path)
{
    const char *body = ask(id, JSON, path, NULL);
    json_t *doc = body ? json_loads(body, JSON_DECODE_ANY, NULL) : NULL;
    if (body)
        check(doc != NULL, id, "%s is JSON", path);
    return doc;
}

static bool is_uuid(const char *s)
{
    unsigned digits = 0;
    for (; *s; s++) {
        if (*s != '-' && !isxdigit((unsigned char)*s))
            return false;
        digits += *s != '-';
    }
    return digits == 32;
}

static bool is_a(json_t *doc, const char *kind)
{
    const char *k = json_string_value(json_object_get(doc, "acKind"));
    return k && strcmp(k, kind) == 0 && json_string_value(json_object_get(doc, "acVersion"));
}

/* Image annotations with the pod's put in their places, and new ones behind them (MDS-13). */
static json_t *merged(json_t *image, json_t *pod)
{
    json_t *list = json_is_array(image) ? json_deep_copy(image) : json_array();
    for (size_t i = 0; i < json_array_size(pod); i++) {
        json_t *a = json_array_get(pod, i);
        size_t at = 0;
        while (at < json_array_size(list) &&
               !json_equal(json_object_get(a, "name"),
                           json_object_get(json_array_get(list, at), "name")))
            at++;
        if (at < json_array_size(list))
            json_array_set(list, at, a);
        else
            json_array_append(list, a);
    }
    return list;
}

static void check_app(json_t *app)
{
    char path[512];
    const char *name = json_string_value(json_object_get(app, "name"));
    const char *want = json_string_value(json_object_get(json_object_get(app, "image"), "id"));
    snprintf(path, sizeof(path), "/apps/%s/image/manifest", name);
    json_t *image = ask_json("MDS-14", path);
    check(is_a(image, "ImageManifest"), "MDS-14", "%s is an image manifest", path);
    snprintf(path, sizeof(path), "/apps/%s/image/id", name);
    const char *id = ask("MDS-15", TEXT, path, NULL);
    check(id && want && strcmp(id, want) == 0, "MDS-15", "%s is the ID in the pod manifest", path);
    snprintf(path, sizeof(path), "/apps/%s/annotations", name);
    json_t *have = ask_json("MDS-13", path);
    json_t *expect =
        merged(json_object_get(image, "annotations"), json_object_get(app, "annotations"));
    check(json_equal(have, expect) || (json_is_null(have) && json_array_size(expect) == 0),
          "MDS-13", "%s has %zu annotations, the pod's before the image's", path,
          json_array_size(have));
}

/* Adds a value to a form, percent-encoded (MDS-24). */
static void add_field(char *form, const char *name, const char *value)
{
    size_t n = strlen(form);
    n += (size_t)snprintf(form + n, FORM_MAX - n, "%s%s=", n ? "&" : "", name);
    for (; *value && n + 4 < FORM_MAX; value++)
        n += (size_t)snprintf(form + n, FORM_MAX - n,
                              isalnum((unsigned char)*value) ? "%c" : "%%%02X",
                              (unsigned char)*value);
}

static void check_refused(const char *id, int status, const char *path, const char *form)
{
    struct response r;
    const char *why = http_request(base, path, form, &r);
    check(!why && r.status == status, id, "%s %s is refused with %d: %s%d", form ? "POST" : "GET",
          path, status, why ? why : "", why ? 0 : r.status);
}

static void check_signature(const char *uuid)
{
    char form[FORM_MAX] = "content=" CONTENT;
    const char *signature = ask("MDS-16", TEXT, "/pod/hmac/sign", "content=" CONTENT);
    if (!signature || !uuid)
        return;
    check(strlen(signature) == 88 && strspn(signature, BASE64) == 88, "MDS-16",
          "the signature is 64 bytes in base64");
    add_field(form, "uuid", uuid);
    add_field(form, "signature", signature);
    ask("MDS-17", TEXT, "/pod/hmac/verify", form);
    form[sizeof("content=") - 1] ^= 1;
    check_refused("MDS-17", 403, "/pod/hmac/verify", form);
}

static void check_token(const char *url)
{
    const char *token = strrchr(url, '/');
    if (!check(token && strlen(token + 1) >= 22, "MDS-04", "the token has 128 bits or more"))
        return;
    char *other = strdup(url);
    other[strlen(other) - 1] ^= 1;
    struct response r;
    const char *why = http_request(other, "/acMetadata/v1/pod/uuid", NULL, &r);
    check(!why && (r.status == 401 || r.status == 403), "MDS-03", "another token gets %d",
          r.status);
    free(other);
}

void check_metadata(void)
{
    const char *url = getenv("AC_METADATA_URL");
    char *text;
    if (!check(url && *url, "MDS-01", "there is a metadata service") ||
        asprintf(&text, "%s/acMetadata/v1", url) < 0)
        return;
    base = text;
    json_t *pod = ask_json("MDS-10", "/pod/manifest");
    if (!check(is_a(pod, "PodManifest"), "MDS-10", "the pod manifest is one"))
        return;
    const char *uuid = ask("MDS-11", TEXT, "/pod/uuid", NULL);
    check(uuid && is_uuid(uuid), "MDS-11", "the pod's UUID is one: %s", uuid ? uuid : "");
    json_t *annotations = ask_json("MDS-09", "/pod/annotations");
    json_t *listed = json_object_get(pod, "annotations");
    check(listed ? json_equal(annotations, listed) : json_is_null(annotations), "MDS-09",
          "the pod's annotations are those of its manifest (VAL-60)");
    json_t *apps = json_object_get(pod, "apps");
    for (size_t i = 0; i < json_array_size(apps); i++)
        check_app(json_array_get(apps, i));
    uuid = ask("MDS-11", TEXT, "/pod/uuid", NULL);
    check_signature(uuid);
    check(slowest < REQUEST_MS * 1000, "VAL-62", "the slowest of the answers took %llu us",
          (unsigned long long)slowest);
    check_refused("MDS-21", 404, "/pod/nothing", NULL);
    check_refused("MDS-21", 405, "/pod/hmac/sign", NULL);
    check_token(url);
}
