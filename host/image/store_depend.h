/* SPDX-License-Identifier: Apache-2.0 */
/* The images of a dependency tree, each opened once. */
#ifndef APPC_HOST_IMAGE_STORE_DEPEND_H
#define APPC_HOST_IMAGE_STORE_DEPEND_H

#include <stdbool.h>

#include "host/image/aci_image.h"
#include "host/image/render.h"
#include "host/image/store.h"

struct store_depend_image {
    struct aci_id id;
    const struct ac_image_manifest *manifest;
    const struct tree *tree;          /* NULL without trees */
    struct ac_image_manifest *parsed; /* owned, or NULL */
    struct aci_image *opened;         /* owned, or NULL */
    int fd;                           /* owned: holds the lock on the blob; or -1 */
};

/* Zero-initialise with the store; store_depend_done() releases. */
struct store_depend {
    struct store *store;
    bool with_trees; /* open the tars, after hashing them; else manifests only */
    struct store_depend_image **images;
    size_t n, cap;
};

/* The image with this ID: 0 with *ret, which stays until store_depend_done(). */
int store_depend_get(struct store_depend *d, const struct aci_id *id, struct render_image *ret,
                     struct err *err);

/* Makes an image that the caller has open, and keeps open, part of the set. */
void store_depend_lend(struct store_depend *d, const struct aci_id *id,
                       const struct aci_image *image, struct render_image *ret);

/* render_resolve_fn with a struct store_depend as its argument. */
int store_depend_resolve(void *arg, const struct render_image *parent,
                         const struct ac_dependency *dep, struct render_image *ret,
                         struct err *err);

void store_depend_done(struct store_depend *d);

#endif
