/* SPDX-License-Identifier: Apache-2.0 */
/* The images of a pod that is being prepared: looked up in the store, manifests parsed. */
#ifndef APPC_HOST_POD_PODIMAGE_H
#define APPC_HOST_POD_PODIMAGE_H

#include <stddef.h>

#include "host/image/store.h"
#include "host/pod/reify.h"

/* Everything that was handed out stays until podimages_done(). Zero-initialise but the store. */
struct podimages {
    struct store *store; /* borrowed */
    struct podimage *first;
};

void podimages_done(struct podimages *p);

/* The image with this ID; parsed once however often it is asked for. */
int podimages_get(struct podimages *p, const struct aci_id *id, struct reify_image *ret,
                  struct err *err);

/* What a user typed; an archive file is imported first, which `insecure` has to allow. */
int podimages_find(struct podimages *p, const char *reference, bool insecure,
                   struct reify_image *ret, struct err *err);

/* reify_resolve_fn with a struct podimages as ctx: by image.id, else by name and labels. */
int podimages_resolve(void *ctx, const struct ac_pod_app *app, struct reify_image *ret,
                      struct err *err);

#endif
