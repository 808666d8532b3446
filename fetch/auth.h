/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for hosts, from DIR/auth.d/NAME.json of the configuration directories:
 *
 *   { "hosts": { "example.com":            { "basic": { "user": "me", "password": "…" } },
 *                "mirror.example.com:8443": { "bearer": { "token": "…" } } } }
 *
 * A host without a port means port 443. The files are readable by their owner only. A host may
 * stand once in a directory; the user's directory wins over the machine's, that over the packages'.
 */
#ifndef APPC_FETCH_AUTH_H
#define APPC_FETCH_AUTH_H

#include <stddef.h>

#include "fetch/config.h"
#include "fetch/url.h"

struct err;

#define AUTH_FILE_MAX  (256u << 10)
#define AUTH_VALUE_MAX 8192

/* What one host is to be told. */
struct auth_entry {
    char *host;
    unsigned port;
    char *user; /* basic, with the password; NULL for bearer */
    char *password;
    char *token; /* bearer; NULL for basic */
    char *file;  /* where it was read, for messages */
};

/* Zero-initialise; auth_done() wipes and releases it. */
struct auth {
    struct auth_entry *v;
    size_t n;
};

/* Adds what one file says; -1 with the place of the mistake, never with a secret in it. */
int auth_parse(const char *text, size_t len, const char *file, struct auth *a, struct err *err);

/*
 * Reads the auth.d of all directories. What this user may not read in a directory of the system is
 * not meant for them and is passed over.
 */
int auth_load(const struct config_dirs *dirs, struct auth *ret, struct err *err);

/* The entry for the URL's host and port, NULL when there is none or the URL is not https (AUTH-03).
 */
const struct auth_entry *auth_find(const struct auth *a, const struct url *u);

void auth_done(struct auth *a);

#endif
