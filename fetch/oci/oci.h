/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI or Docker image that is at hand: its config, and where its layers lie. */
#ifndef APPC_FETCH_OCI_OCI_H
#define APPC_FETCH_OCI_OCI_H

#include <stddef.h>
#include <stdint.h>

#include "fetch/oci/digest.h"
#include "fetch/oci/document.h"

/*
 * One layer: `size` bytes of an open file, a tar, compressed or not. They have the digest that the
 * manifest declares, where there is one; config.diff_ids says what they must be uncompressed.
 */
struct oci_layer {
    int fd; /* borrowed */
    uint64_t offset, size;
};

/*
 * What an image is made of. The config names all layers by their content, so its digest stands for
 * the whole, however the layers were compressed and wherever they came from.
 */
struct oci_image {
    char digest[OCI_DIGEST_MAX + 1]; /* SHA-256 of the config; Docker's image ID */
    struct oci_config config;
    const char *name;         /* NAME[:VERSION] that it is to have; NULL: one made of the digest */
    struct oci_layer *layers; /* the lowest first; as many as config.diff_ids */
    size_t nlayers;
};

#endif
