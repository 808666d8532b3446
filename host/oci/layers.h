/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of an OCI image: unpacked to files without names, checked, merged to one tree. */
#ifndef APPC_HOST_OCI_LAYERS_H
#define APPC_HOST_OCI_LAYERS_H

#include "fetch/oci/oci.h"
#include "host/image/import_unpack.h"
#include "host/image/render.h"

struct err;
struct store;

/* What writing and converting need. */
struct layers {
    struct render *merged; /* blob numbers are those of the layers */
    uint64_t packed_bytes; /* of all layers as they came */
    struct layer *v;       /* layers.c alone looks inside */
    size_t n;
};

/*
 * Unpacks each layer beside the store's tars, compares it with its diff ID, and merges all as
 * image-spec's layer.md says. The limits of `opt` are for all layers together; its progress counts
 * bytes of the layers as they came. `name` is for messages. 0 with *ret (layers_done()), or -1.
 */
int layers_open(struct store *s, const struct oci_image *image, const char *name,
                const struct unpack_options *opt, struct layers *ret, struct err *err);

/*
 * Makes sure that the directory is there: what is missing of an absolute path is added, mode 0755,
 * root's, time 0. A path that leads over something else than directories is left as it is.
 */
int layers_add_dir(struct layers *l, const char *path, struct err *err);

void layers_done(struct layers *l);

#endif
