/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reification: turns a pod manifest template into the manifest of a pod that
 * can run (spec/pods.md): every image by its ID, every app with its app object, every
 * mount point satisfied. A volume that is made for a mount point without one is empty; for an image
 * made from an OCI or Docker image it has from_image set. What comes out is what the guest executes
 * and what the metadata service shows.
 */
#ifndef APPC_HOST_POD_REIFY_H
#define APPC_HOST_POD_REIFY_H

#include <stdbool.h>

#include "schema/manifest.h"

struct err;

/* An image that an app asked for; borrowed until the resolver's owner goes away. */
struct reify_image {
    const char *id; /* full image ID */
    const struct ac_image_manifest *manifest;
    const char *text; /* the manifest as it stands in the image, text_len bytes */
    size_t text_len;
};

/* Finds the image of an app by its image.id, or by name and labels. 0 or -1. */
typedef int (*reify_resolve_fn)(void *ctx, const struct ac_pod_app *app, struct reify_image *ret,
                                struct err *err);

struct reify_options {
    reify_resolve_fn resolve;
    void *ctx;
    /* Called for what is worth telling but no error. */
    void (*warn)(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
    bool strict_volumes; /* a mount point without volume is an error, not an implicit empty one */
};

/* Changes *pod in place; on failure it is only good for freeing. */
int reify(struct ac_pod_manifest *pod, const struct reify_options *opts, struct err *err);

/* The default name of an app of this image: the last part of its name as an AC Name, made unique in
 * the pod by a number (ace.md leaves it open; rkt names them so). The caller frees. */
char *reify_app_name(const struct ac_pod_manifest *pod, const char *image_name);

#endif
