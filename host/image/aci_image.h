/* SPDX-License-Identifier: Apache-2.0 */
/* An image that is open for reading: its tar in memory, its tree and its manifest. */
#ifndef APPC_HOST_IMAGE_ACI_IMAGE_H
#define APPC_HOST_IMAGE_ACI_IMAGE_H

#include <stddef.h>

#include "host/image/tree.h"
#include "schema/manifest.h"

struct err;

struct aci_image {
    void *tar; /* a map of the file */
    size_t tar_len;
    struct tree *tree;
    struct ac_image_manifest *manifest;
    const char *manifest_text; /* in the map, byte for byte; not NUL-terminated */
    size_t manifest_len;
};

/*
 * Maps the uncompressed tar fd (which the caller may close afterwards), reads its tree and
 * its manifest and checks both (IMG-02 to IMG-10, IMG-23). 0 with *ret (aci_image_close()), or -1
 * with a message. When the manifest is at fault, *fault (may be NULL) says where; else
 * fault->msg is "".
 */
int aci_image_open(int fd, const char *name, struct aci_image **ret, struct ac_fault *fault,
                   struct err *err);

/* NULL is allowed. */
void aci_image_close(struct aci_image *i);

#endif
