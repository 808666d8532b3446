/* SPDX-License-Identifier: Apache-2.0 */
/* An image layout: the directory that an ACI is packed from (spec/aci.md, "Image Layout"). */
#ifndef APPC_HOST_IMAGE_ACI_LAYOUT_H
#define APPC_HOST_IMAGE_ACI_LAYOUT_H

#include <stddef.h>

#include "schema/manifest.h"

struct err;

/*
 * Checks that a directory holds `manifest` (a regular file), `rootfs` (a directory) and nothing
 * else, and that the manifest is valid (IMG-05, IMG-06, IMG-07, IMG-46). 0 with the manifest's
 * bytes in *ret_text (free()), and -1 with a message. When the manifest is what is wrong, *fault
 * says where; else fault->msg is "". `fault` and the out-parameters can be NULL.
 */
int aci_layout_read(const char *dir, char **ret_text, size_t *ret_len, struct ac_fault *fault,
                    struct err *err);

#endif
