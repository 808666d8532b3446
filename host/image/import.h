/* SPDX-License-Identifier: Apache-2.0 */
/* Importing an ACI file into the store. */
#ifndef APPC_HOST_IMAGE_IMPORT_H
#define APPC_HOST_IMAGE_IMPORT_H

#include <stdbool.h>

#include "host/image/aci.h"
#include "host/image/import_unpack.h"
#include "schema/manifest.h"

struct err;
struct store;

struct import_options {
    struct unpack_options unpack;
    bool insecure;      /* take an archive that nobody signed (--insecure-options=image) */
    const char *origin; /* what the index says about where it came from; NULL: the path */
    const char *signer; /* fingerprint of the key whose signature the caller has checked, or NULL */
    const char *name;   /* the name that the image must have, or NULL (IMG-26) */
    /* Asked before the image is entered, when not NULL: -1 with *err gives the import up. */
    int (*check)(void *arg, const struct aci_id *id, const struct ac_image_manifest *m,
                 struct err *err);
    void *check_arg;
};

/*
 * Reads the archive, checks it as a whole, and enters it; then renders it when it has no
 * dependencies. Without `signer` it is refused unless `insecure` is set (IMG-16, SIG-01). Importing
 * an image again freshens its row, and replaces a damaged blob. 0 with the image ID, or -1 and
 * nothing of it is left in the store.
 */
int import_file(struct store *s, const char *path, const struct import_options *opt,
                struct aci_id *ret, struct err *err);

/*
 * The same for a regular file that is open already, and stays the caller's; it is read from its
 * start. `name` is for messages, and the origin when there is none in the options.
 */
int import_fd(struct store *s, int in, const char *name, const struct import_options *opt,
              struct aci_id *ret, struct err *err);

/*
 * The same for a tar that `write` makes: it fills the empty file fd and tells the ID and the sizes.
 * -1 of it with *err ends the import.
 */
int import_made(struct store *s, const char *name, const struct import_options *opt,
                int (*write)(void *arg, int fd, struct unpack_result *ret, struct err *err),
                void *arg, struct aci_id *ret, struct err *err);

#endif
