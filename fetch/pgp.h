/* SPDX-License-Identifier: Apache-2.0 */
/* OpenPGP keys: reading, describing, judging. */
#ifndef APPC_FETCH_PGP_H
#define APPC_FETCH_PGP_H

#include <rnp/rnp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/manifest.h"

struct err;

#define PGP_KEYS_BYTES_MAX (1u << 20) /* of one file of keys */
#define PGP_KEYS_MAX       64         /* keys in one file */
#define PGP_FPR_MAX        64         /* hex digits of the longest fingerprint (version 5 and 6) */

/* One primary key, as a person is to judge it. */
struct pgp_key {
    char fingerprint[PGP_FPR_MAX + 1]; /* lower-case hex */
    char *algorithm;                   /* such as "RSA 3072" */
    struct ac_strings users;           /* valid user IDs, control characters taken out */
    int64_t created;
    int64_t expires; /* 0: never */
    char *problem;   /* why no signature of it is taken, or NULL */
    char *armored;   /* the public key alone, as text for a file */
};

struct pgp_keys {
    struct pgp_key *v;
    size_t n;
};

/*
 * Reads a file of public keys, armoured or binary. A secret key, or anything else than keys, is an
 * error. `name` is for messages. 0 with *ret (pgp_keys_done()), or -1.
 */
int pgp_keys_read(const char *data, size_t len, const char *name, struct pgp_keys *ret,
                  struct err *err);

void pgp_keys_done(struct pgp_keys *k);

/*
 * Whether text is a fingerprint, in either case, with or without blanks: writes it in lower case.
 * Key IDs, which are only a part of it, are refused.
 */
bool pgp_fingerprint(const char *text, char out[PGP_FPR_MAX + 1]);

/* A fingerprint in groups of four digits, for people; the caller frees. */
char *pgp_fingerprint_pretty(const char *fingerprint);

/* For sig.c and decrypt.c. */

/* An empty context; rnp_ffi_destroy() ends it. Never NULL. */
rnp_ffi_t pgp_new(void);

/* Adds public keys to a context; -1 when the data is no key. */
int pgp_load(rnp_ffi_t ffi, const char *data, size_t len, const char *name, struct err *err);

/*
 * Why a key is too weak, revoked, expired or not made for signing: a sentence's end such as "is
 * revoked" (the caller frees), or NULL when it is good. A subkey is judged with its primary key.
 */
char *pgp_key_problem(rnp_ffi_t ffi, rnp_key_handle_t key);

/* The same for a hash algorithm. */
bool pgp_hash_strong(const char *name);

#endif
