/* SPDX-License-Identifier: Apache-2.0 */
/* Archives that are encrypted with a passphrase (spec/aci.md, "Image Archives"). */
#ifndef APPC_FETCH_DECRYPT_H
#define APPC_FETCH_DECRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define PASSPHRASE_MAX 1024 /* bytes */

/* Whether the file begins like an OpenPGP message, armoured or binary. */
bool decrypt_wanted(int fd);

/*
 * Decrypts the file from its start into the empty file out_fd, at most `max` bytes. Taken is AES in
 * a mode that protects integrity, with a passphrase; the caller looks at the output only after 0.
 * -1 with EACCES when the passphrase is wrong. `what` is for messages.
 */
int decrypt_file(int fd, const char *passphrase, int out_fd, uint64_t max, const char *what,
                 struct err *err);

#endif
