/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities of pods: HMAC signatures that bind content to a pod's UUID
 * (spec/ace.md, "Identity Endpoint").
 *
 *   pod key   = HMAC-SHA512(master key, "appc-vm pod key 1" NUL || 16 bytes of the UUID)
 *   signature = HMAC-SHA512(pod key, 16 bytes of the UUID || content), in base64
 *
 * The pod key is derived and not stored, so that any service with the master key can check the
 * signature of any pod, also of one that has ended or that ran on another host. One HMAC is
 * enough to derive it: the master key is 64 uniformly random bytes, so HKDF's first step, which
 * turns an uneven secret into an even one, would add nothing, and its second step is this HMAC.
 */
#ifndef APPC_MDS_IDENTITY_H
#define APPC_MDS_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/types.h"

struct err;
struct evp_mac_ctx_st;

#define IDENTITY_MASTER_SIZE 64        /* bytes of a master key */
#define IDENTITY_CONTENT_MAX (1 << 20) /* most bytes of content that are signed or checked */

#define IDENTITY_SIGNATURE_LEN  88 /* characters: 64 bytes in base64 */
#define IDENTITY_SIGNATURE_TEXT (IDENTITY_SIGNATURE_LEN + 1)

/* Zero-initialise; identity_done() wipes the key. */
struct identity {
    uint8_t master[IDENTITY_MASTER_SIZE];
    struct evp_mac_ctx_st *hmac;
};

/*
 * Takes a copy of the master key and loads the HMAC, which is the last time that OpenSSL looks
 * for anything on the host. -1 when it has no HMAC-SHA512.
 */
int identity_init(struct identity *id, const uint8_t master[IDENTITY_MASTER_SIZE], struct err *err);
void identity_done(struct identity *id);

/* Signs as the pod `uuid`; 0 with the base64 text, which has no line break, or -1. */
int identity_sign(struct identity *id, const uint8_t uuid[AC_UUID_SIZE], const void *content,
                  size_t len, char ret[IDENTITY_SIGNATURE_TEXT], struct err *err);

/*
 * Whether `signature` (text of `signature_len` bytes) is the one of pod `uuid` for the content.
 * Takes the same time wherever they differ. Only the one spelling that identity_sign() gives
 * counts. -1 when OpenSSL fails; *ret_valid is then untouched.
 */
int identity_verify(struct identity *id, const uint8_t uuid[AC_UUID_SIZE], const void *content,
                    size_t len, const char *signature, size_t signature_len, bool *ret_valid,
                    struct err *err);

#endif
