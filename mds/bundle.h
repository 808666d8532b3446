/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a metadata service knows about its pod: one JSON document that the
 * host writes and hands over in a descriptor.
 *
 *   {"uuid": "…", "token": "…", "masterKey": "<128 hex digits>", "podManifest": "<text>",
 *    "apps": [{"name": "…", "imageID": "sha512-…", "imageManifest": "<text>",
 *              "annotations": [{"name": "…", "value": "…"}]}]}
 *
 * Manifests are texts inside of it and not objects, so that they are served byte for byte.
 */
#ifndef APPC_MDS_BUNDLE_H
#define APPC_MDS_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "mds/identity.h"
#include "schema/manifest.h"
#include "schema/types.h"

struct err;

#define BUNDLE_MAX      (256u << 20) /* bytes of the document */
#define BUNDLE_APPS_MAX 1024

/* Characters of a token: base64url digits, at least 128 bits of them (ace.md). */
#define BUNDLE_TOKEN_MIN 22
#define BUNDLE_TOKEN_MAX 128

/* A body that is served as it is. */
struct bundle_text {
    const char *data;
    size_t len;
};

struct bundle_app {
    const char *name;
    struct bundle_text image_id;
    struct bundle_text image_manifest;
    struct bundle_text annotations; /* JSON list; owned */
};

/* bundle_done() releases it and wipes the secrets. */
struct bundle {
    json_t *doc; /* owns what isn't said to be owned */
    char uuid_text[AC_UUID_TEXT];
    uint8_t uuid[AC_UUID_SIZE];
    const char *token;
    size_t token_len;
    uint8_t master[IDENTITY_MASTER_SIZE];
    struct bundle_text pod_manifest;
    struct bundle_text pod_annotations; /* the list in pod_manifest; owned */
    struct bundle_app *apps;
    size_t napps;
};

/* Reads the document; 0 with *ret, or -1. Wiping `text` is the caller's. */
int bundle_decode(const char *text, size_t len, struct bundle *ret, struct err *err);
void bundle_done(struct bundle *b);

/* The app called `name` (`len` bytes), NULL when the pod has none. */
const struct bundle_app *bundle_find(const struct bundle *b, const char *name, size_t len);

/* The image of an app, for writing a bundle: the manifest as it stands in the image. */
struct bundle_image {
    const char *manifest;
    size_t len;
};

/*
 * Writes the document for a pod that is ready to run. `images` has one element an app, in the
 * order of pod->apps. The caller frees *ret_text and should wipe its *ret_len bytes first, as it
 * holds the key. -1 when an image manifest is not valid.
 */
int bundle_encode(const char *uuid, const char *token, const uint8_t master[IDENTITY_MASTER_SIZE],
                  const struct ac_pod_manifest *pod, const struct bundle_image *images,
                  char **ret_text, size_t *ret_len, struct err *err);

/*
 * The annotations of an app (caller decrefs): those of its image in their order, with the values
 * of the pod manifest in place, then what only the pod manifest has (ace.md, "App Metadata").
 */
json_t *bundle_merge_annotations(const struct ac_pairs *image, const struct ac_pairs *pod_app);

#endif
