/* SPDX-License-Identifier: Apache-2.0 */
/* Detached, armoured OpenPGP signatures of images (spec/aci.md, SIG-01, IMG-16 to IMG-20). */
#ifndef APPC_FETCH_SIG_H
#define APPC_FETCH_SIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fetch/pgp.h"
#include "fetch/trust.h"

struct err;

#define SIG_TEXT_MAX (64u << 10) /* bytes of a signature file */

/* The signed bytes, from their start: how many, 0 at the end, -1 when they can't be had. */
typedef ssize_t sig_reader(void *arg, void *data, size_t cap);

/*
 * Checks the signature in `text` over what `read` gives, by the keys of `t`. `name` is the image's
 * name, which has to be in the scope of the key, or NULL when it is not known yet: then the caller
 * asks trust_allows() later. `what` is for messages.
 *
 * 0 with the signer's (primary) fingerprint. -1 with the reason and, where there is one, the
 * fingerprint: no armoured detached signature; more than one; an unknown, revoked, expired or weak
 * key; a weak hash; other bytes; expired; a key of another scope. ECANCELED when `read` failed.
 */
int sig_check(const struct trust *t, const char *text, size_t len, sig_reader *read, void *arg,
              const char *name, const char *what, char ret_signer[PGP_FPR_MAX + 1],
              struct err *err);

/* The same over a whole file, from its start. */
int sig_check_fd(const struct trust *t, const char *text, size_t len, int fd, const char *name,
                 const char *what, char ret_signer[PGP_FPR_MAX + 1], struct err *err);

/* What is wrong with the form of a signature file, as far as its text shows; 0 or -1. */
int sig_check_form(const char *text, size_t len, const char *what, struct err *err);

#endif
