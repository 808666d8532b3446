/* SPDX-License-Identifier: Apache-2.0 */
/* Digests of OCI content: "sha256:HEX" and "sha512:HEX" (image-spec, descriptor.md). */
#ifndef APPC_FETCH_OCI_DIGEST_H
#define APPC_FETCH_OCI_DIGEST_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define OCI_DIGEST_MAX 135 /* "sha512:" and 128 digits */

/* Whether s is a whole digest of one of the two algorithms, in lower case. */
bool oci_digest_valid(const char *s);

/* The hash function of a valid digest. */
const EVP_MD *oci_digest_md(const char *digest);

/* Whether a valid digest is the one of these bytes, as oci_digest_md() gave them. */
bool oci_digest_is(const char *digest, const uint8_t *hash);

/* The SHA-256 digest of bytes in memory. */
void oci_digest_of(const void *data, size_t len, char out[OCI_DIGEST_MAX + 1]);

/* Whether bytes in memory have this (valid) digest. */
bool oci_digest_matches(const char *digest, const void *data, size_t len);

/* A hash under way. oci_hasher_free() releases it (NULL is allowed). */
struct oci_hasher;
struct oci_hasher *oci_hasher_new(const char *digest);
void oci_hasher_add(struct oci_hasher *h, const void *data, size_t len);
/* Begins anew. */
void oci_hasher_reset(struct oci_hasher *h);
/* Whether all that was added has the digest; nothing can be added afterwards. */
bool oci_hasher_end(struct oci_hasher *h);
void oci_hasher_free(struct oci_hasher *h);

#endif
