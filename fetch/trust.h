/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that are trusted, and for which image names.
 *
 * In each configuration directory: trustedkeys/root.d/FINGERPRINT for all names, and
 * trustedkeys/prefix.d/PREFIX/FINGERPRINT for a prefix of names, in which "/" is written "%2f". A
 * file holds one public key, whose fingerprint is the file's name. An empty file takes the trust
 * back that a weaker directory gives to the same key in the same place.
 */
#ifndef APPC_FETCH_TRUST_H
#define APPC_FETCH_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include "fetch/config.h"
#include "fetch/pgp.h"

struct err;

/* One key in one place. */
struct trust_key {
    char fingerprint[PGP_FPR_MAX + 1];
    char *prefix; /* NULL: all names */
    char *path;
    char *armored;
};

/* Zero-initialise; trust_done() releases it. */
struct trust {
    struct trust_key *v;
    size_t n;
};

/*
 * Reads all places, strongest first, and leaves out what is masked. A file that others may write
 * to, or that does not hold the key of its name, is an error: it needs somebody's attention.
 */
int trust_load(const struct config_dirs *dirs, struct trust *ret, struct err *err);

/* Whether the key may sign an image of this name. */
bool trust_allows(const struct trust *t, const char *fingerprint, const char *name);

/* What it may sign, for messages: "all names", "example.com and example.org/x"; the caller frees.
 */
char *trust_scopes(const struct trust *t, const char *fingerprint);

/* Writes a key to the strongest directory; `prefix` NULL: for all names. */
int trust_add(const struct config_dirs *dirs, const struct pgp_key *key, const char *prefix,
              struct err *err);

/*
 * Takes the trust back: removes the file, and masks what a weaker directory says. -1 with ENOENT
 * when the key is not trusted there.
 */
int trust_remove(const struct config_dirs *dirs, const char *fingerprint, const char *prefix,
                 struct err *err);

void trust_done(struct trust *t);

#endif
