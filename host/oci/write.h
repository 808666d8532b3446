/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a manifest and a merged tree as the tar of an image, the same bytes for the same tree. */
#ifndef APPC_HOST_OCI_WRITE_H
#define APPC_HOST_OCI_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "host/image/aci.h"
#include "host/image/render.h"

struct err;

/*
 * The tar: the manifest first, then rootfs and all below it, each directory before what is in it
 * and siblings in the order of their bytes. Of hard links the first name has the data. No name or
 * time of this machine goes in. At most `max` bytes. 0 with its ID and its size, or -1.
 */
int write_image(const struct render *r, const char *manifest, size_t len, int fd, uint64_t max,
                struct aci_id *ret_id, uint64_t *ret_bytes, struct err *err);

#endif
