/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the document that says what a metadata service serves. */
#include <string.h>

#include <openssl/crypto.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "mds/bundle.h"
#include "schema/value.h"

json_t *bundle_merge_annotations(const struct ac_pairs *image, const struct ac_pairs *pod_app)
{
    cleanup_with(ac_pairs_done) struct ac_pairs merged = {0};
    json_t *list = json_array();
    ac_pairs_copy(&merged, image);
    for (size_t i = 0; i < pod_app->n; i++)
        ac_pairs_set(&merged, pod_app->v[i].name, pod_app->v[i].value);
    for (size_t i = 0; i < merged.n; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "name", merged.v[i].name, "value", merged.v[i].value));
    return list;
}

/* New reference, or NULL with the error. */
static json_t *encode_app(const struct ac_pod_app *app, const struct bundle_image *image,
                          struct err *err)
{
    struct ac_image_manifest *m;
    struct ac_fault fault;
    if (!app->image_id) {
        err_set(err, 0, "app \"%s\" has no image ID", app->name);
        return NULL;
    }
    if (ac_image_manifest_parse(image->manifest, image->len, &m, &fault) < 0) {
        ac_fault_to_err(&fault, app->image_id, err);
        return NULL;
    }
    json_t *annotations = bundle_merge_annotations(&m->annotations, &app->annotations);
    ac_image_manifest_free(m);
    json_t *obj =
        json_pack("{s:s, s:s, s:s%, s:o}", "name", app->name, "imageID", app->image_id,
                  "imageManifest", image->manifest, image->len, "annotations", annotations);
    if (!obj)
        err_set(err, 0, "the manifest of %s is no UTF-8", app->image_id);
    return obj;
}

static json_t *encode_apps(const struct ac_pod_manifest *pod, const struct bundle_image *images,
                           struct err *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < pod->napps; i++) {
        json_t *obj = encode_app(&pod->apps[i], &images[i], err);
        if (!obj) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, obj);
    }
    return list;
}

static char *print_pod_manifest(const struct ac_pod_manifest *pod)
{
    json_t *m = ac_pod_manifest_to_json(pod);
    char *text = json_dumps(m, JSON_COMPACT);
    json_decref(m);
    return text;
}

int bundle_encode(const char *uuid, const char *token, const uint8_t master[IDENTITY_MASTER_SIZE],
                  const struct ac_pod_manifest *pod, const struct bundle_image *images,
                  char **ret_text, size_t *ret_len, struct err *err)
{
    char hex[2 * IDENTITY_MASTER_SIZE + 1];
    json_t *apps = encode_apps(pod, images, err);
    if (!apps)
        return -1;
    cleanup_free char *manifest = print_pod_manifest(pod);
    hex_encode(master, IDENTITY_MASTER_SIZE, hex);
    json_t *doc = json_pack("{s:s, s:s, s:s, s:s, s:o}", "uuid", uuid, "token", token, "masterKey",
                            hex, "podManifest", manifest, "apps", apps);
    OPENSSL_cleanse(hex, sizeof(hex));
    char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    json_t *key = json_object_get(doc, "masterKey");
    OPENSSL_cleanse((char *)json_string_value(key), json_string_length(key));
    json_decref(doc);
    if (!text)
        return err_set(err, 0, "can't write the bundle of pod %s", uuid);
    *ret_text = text;
    *ret_len = strlen(text);
    return 0;
}
