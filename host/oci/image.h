/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI image becomes an image of the store. */
#ifndef APPC_HOST_OCI_IMAGE_H
#define APPC_HOST_OCI_IMAGE_H

#include "fetch/oci/oci.h"
#include "host/image/import.h"
#include "schema/value.h"

struct err;
struct store;

/*
 * Merges the layers, makes the manifest of the config, writes both as one tar and imports it, with
 * the limits and checks of any import. Depends on the config's digest alone, so the ID is the same
 * wherever the image came from. What was left out is in *warnings, a line each. `name` is for
 * messages. 0 with the ID, or -1 and nothing of it is left in the store.
 */
int oci_image_import(struct store *s, const struct oci_image *image, const char *name,
                     const struct import_options *opt, struct aci_id *ret,
                     struct ac_strings *warnings, struct err *err);

#endif
