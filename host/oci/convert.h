/* SPDX-License-Identifier: Apache-2.0 */
/* The image manifest that stands for the config of an OCI image. */
#ifndef APPC_HOST_OCI_CONVERT_H
#define APPC_HOST_OCI_CONVERT_H

#include "fetch/oci/oci.h"
#include "host/image/tree.h"
#include "schema/value.h"

struct err;

/* Bytes of a file of the image, for the look at passwd and group; not NUL-terminated. */
struct convert_file {
    const char *text;
    size_t len;
};

struct convert_accounts {
    struct convert_file passwd, group;
};

/*
 * Makes the manifest's text, of the config and the accounts alone, so that the same config gives
 * the same bytes. What appc has no place for is left out, and a line about it added to *warnings.
 * The caller frees *ret. -1 when no valid manifest comes of it.
 */
int convert_config(const struct oci_image *image, const struct convert_accounts *accounts,
                   char **ret, size_t *ret_len, struct ac_strings *warnings, struct err *err);

#endif
