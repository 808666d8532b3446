/* SPDX-License-Identifier: Apache-2.0 */
/* Writing an ACI file: compression, image ID on the way, and an atomic appearance. */
#ifndef APPC_HOST_IMAGE_ACI_OUT_H
#define APPC_HOST_IMAGE_ACI_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "host/image/aci.h"

struct err;
struct aci_out;

/*
 * Begins `path`, which must end in ".aci" (IMG-01) and, without `overwrite`, must not exist. The
 * bytes go to a temporary file beside it. The caller frees *ret.
 */
int aci_out_open(const char *path, enum aci_compress compress, bool overwrite, struct aci_out **ret,
                 struct err *err);

/* The commit is to fail unless the bytes have this image ID. */
void aci_out_expect(struct aci_out *o, const struct aci_id *id);

/* Adds bytes of the tar. */
int aci_out_write(struct aci_out *o, const void *data, size_t len, struct err *err);

/*
 * Ends the archive, syncs it and gives it its name. *ret_id is the image ID: the SHA-512 of the
 * bytes written. The same bytes and compression give the same file: no name and no time goes in.
 */
int aci_out_commit(struct aci_out *o, struct aci_id *ret_id, struct err *err);

/* Removes the temporary file unless it was committed. NULL is allowed. */
void aci_out_free(struct aci_out *o);

#endif
