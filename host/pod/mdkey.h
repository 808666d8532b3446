/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host does for metadata services: the master key behind the pods'
 * identities, tokens, and the bundle that a service starts from.
 */
#ifndef APPC_HOST_POD_MDKEY_H
#define APPC_HOST_POD_MDKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mds/bundle.h"

struct err;

#define MDKEY_FILE "metadata.key" /* in the data directory: IDENTITY_MASTER_SIZE raw bytes */

#define MDKEY_TOKEN_TEXT 44 /* 256 random bits in base64url, and a NUL */

/*
 * Reads the master key from `key_file`, or when that is NULL from the data directory. With
 * `create`, the latter is made on first use; of several that try this at once one wins and all get
 * its key. A file that others than its owner may read, that isn't owned by this user or isn't 64
 * bytes long is refused. The caller wipes ret with explicit_bzero(). Hosts that share a copy of the
 * file accept each other's signatures (ace.md, "Identity Endpoint").
 */
int mdkey_load(const char *data_dir, const char *key_file, bool create,
               uint8_t ret[IDENTITY_MASTER_SIZE], struct err *err);

/* A new token for the path of $AC_METADATA_URL (MDS-03, 04, 05); -1 without randomness. */
int mdkey_token(char ret[MDKEY_TOKEN_TEXT], struct err *err);

/*
 * Writes the bundle of a reified pod into a sealed memfd, which is the caller's, for appc-mds
 * --bundle-fd. `images` as in bundle_encode().
 */
int mdkey_bundle(const char *uuid, const char *token, const uint8_t master[IDENTITY_MASTER_SIZE],
                 const struct ac_pod_manifest *pod, const struct bundle_image *images, int *ret_fd,
                 struct err *err);

#endif
