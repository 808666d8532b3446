/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the document that says what a metadata service serves. */
#include "mds/bundle.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"

#define TOKEN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* A member that has to be a string of at least one byte. */
static int get_text(json_t *obj, const char *key, struct bundle_text *ret, struct err *err)
{
    json_t *v = json_object_get(obj, key);
    if (json_string_length(v) == 0)
        return err_set(err, 0, "\"%s\" is no text", key);
    *ret = (struct bundle_text){json_string_value(v), json_string_length(v)};
    return 0;
}

/* The same as a C string: texts of the document have no zero bytes. NULL on errors. */
static const char *get_string(json_t *obj, const char *key, struct err *err)
{
    struct bundle_text t;
    return get_text(obj, key, &t, err) < 0 ? NULL : t.data;
}

static int print_list(json_t *list, struct bundle_text *ret, struct err *err)
{
    char *text = json_is_array(list) ? json_dumps(list, JSON_COMPACT) : NULL;
    if (!text)
        return err_set(err, 0, "\"annotations\" is no list");
    *ret = (struct bundle_text){text, strlen(text)};
    return 0;
}

/* Puts the key into binary form and wipes the digits. */
static int take_master(struct bundle *b, struct err *err)
{
    const char *hex = get_string(b->doc, "masterKey", err);
    if (!hex)
        return -1;
    size_t len = strlen(hex), n = 0;
    if (len != 2 * sizeof(b->master) ||
        !OPENSSL_hexstr2buf_ex(b->master, sizeof(b->master), &n, hex, '\0') ||
        n != sizeof(b->master))
        return err_set(err, 0, "\"masterKey\" has to be %zu hex digits", 2 * sizeof(b->master));
    OPENSSL_cleanse((char *)hex, len);
    json_object_del(b->doc, "masterKey");
    return 0;
}

static int take_pod(struct bundle *b, struct err *err)
{
    const char *uuid = get_string(b->doc, "uuid", err);
    if (!uuid)
        return -1;
    if (ac_uuid_parse(uuid, b->uuid) < 0)
        return err_set(err, 0, "\"uuid\" is no UUID: \"%.64s\"", uuid);
    ac_uuid_format(b->uuid, b->uuid_text);
    b->token = get_string(b->doc, "token", err);
    if (!b->token)
        return -1;
    b->token_len = strlen(b->token);
    if (b->token_len < BUNDLE_TOKEN_MIN || b->token_len > BUNDLE_TOKEN_MAX ||
        strspn(b->token, TOKEN_CHARACTERS) != b->token_len)
        return err_set(err, 0, "\"token\" has to be %d to %d letters, digits, \"-\" and \"_\"",
                       BUNDLE_TOKEN_MIN, BUNDLE_TOKEN_MAX);
    return take_master(b, err);
}

/* The endpoint shows the very list of the manifest, which must have one: a client that compares
 * both would tell a missing list from an empty one (VAL-60). */
static int take_pod_manifest(struct bundle *b, struct err *err)
{
    json_error_t at;
    if (get_text(b->doc, "podManifest", &b->pod_manifest, err) < 0)
        return -1;
    json_t *m = json_loadb(b->pod_manifest.data, b->pod_manifest.len, 0, &at);
    if (!m)
        return err_set(err, 0, "the pod manifest is no JSON: line %d: %s", at.line, at.text);
    int r = print_list(json_object_get(m, "annotations"), &b->pod_annotations, err);
    json_decref(m);
    return r < 0 ? err_prefix(err, "the pod manifest") : 0;
}

static int take_app(struct bundle *b, json_t *obj, struct err *err)
{
    struct bundle_app a = {.name = get_string(obj, "name", err)};
    if (!a.name)
        return -1;
    if (!ac_name_valid(a.name))
        return err_set(err, 0, "\"%.64s\" is no AC Name", a.name);
    if (bundle_find(b, a.name, strlen(a.name)))
        return err_set(err, 0, "there are two apps \"%.64s\"", a.name);
    if (get_text(obj, "imageID", &a.image_id, err) < 0 ||
        get_text(obj, "imageManifest", &a.image_manifest, err) < 0)
        return -1;
    if (a.image_id.len != AC_IMAGE_ID_LEN || !ac_image_id_valid(a.image_id.data))
        return err_set(err, 0, "\"imageID\" is no image ID");
    if (print_list(json_object_get(obj, "annotations"), &a.annotations, err) < 0)
        return -1;
    b->apps[b->napps++] = a;
    return 0;
}

static int take_apps(struct bundle *b, struct err *err)
{
    json_t *list = json_object_get(b->doc, "apps"), *obj;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) > BUNDLE_APPS_MAX)
        return err_set(err, 0, "\"apps\" is no list of at most %d", BUNDLE_APPS_MAX);
    b->apps = xcalloc(json_array_size(list) + 1, sizeof(*b->apps));
    json_array_foreach (list, i, obj)
        if (take_app(b, obj, err) < 0)
            return err_prefix(err, "apps[%zu]", i);
    return 0;
}

int bundle_decode(const char *text, size_t len, struct bundle *ret, struct err *err)
{
    json_error_t at;
    cleanup_with(bundle_done) struct bundle b = {0};
    if (len > BUNDLE_MAX)
        return err_set(err, 0, "the bundle is larger than %u bytes", BUNDLE_MAX);
    b.doc = json_loadb(text, len, 0, &at);
    /* The message of a syntax error may quote the text, which holds secrets. */
    if (!json_is_object(b.doc))
        return err_set(err, 0, "the bundle is no JSON object (line %d, column %d)", at.line,
                       at.column);
    if (take_pod(&b, err) < 0 || take_pod_manifest(&b, err) < 0 || take_apps(&b, err) < 0)
        return err_prefix(err, "bundle");
    *ret = b;
    b = (struct bundle){0};
    return 0;
}

void bundle_done(struct bundle *b)
{
    for (size_t i = 0; i < b->napps; i++)
        free((char *)b->apps[i].annotations.data);
    free(b->apps);
    free((char *)b->pod_annotations.data);
    json_decref(b->doc);
    OPENSSL_cleanse(b, sizeof(*b));
}

const struct bundle_app *bundle_find(const struct bundle *b, const char *name, size_t len)
{
    for (size_t i = 0; i < b->napps; i++)
        if (strncmp(b->apps[i].name, name, len) == 0 && b->apps[i].name[len] == '\0')
            return &b->apps[i];
    return NULL;
}
