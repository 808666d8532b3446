/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of pages, images, signatures and keys: http and https only, checked before they are used. */
#ifndef APPC_FETCH_URL_H
#define APPC_FETCH_URL_H

#include <stdbool.h>

struct err;

#define URL_MAX 8192 /* longest URL that is taken, from a page, a redirect or a user */

/* Zero-initialise; url_done() releases it. */
struct url {
    char *text; /* normalised, without a fragment */
    char *host; /* lower case; an IPv6 address keeps its brackets */
    unsigned port;
    bool https;
};

/*
 * Reads an absolute URL. Refused: other schemes, credentials in the URL (they belong in a file that
 * only its owner reads), blanks and control characters, more than URL_MAX bytes. 0, or -1.
 */
int url_parse(const char *text, struct url *ret, struct err *err);

/* The target of a redirect: `location` is absolute or relative to `base`. 0, or -1. */
int url_resolve(const struct url *base, const char *location, struct url *ret, struct err *err);

/*
 * Where the signature of an image lies: ".asc" behind the path, before a query (IMG-18). The
 * caller frees.
 */
char *url_signature(const struct url *image);

/* The path's last element for messages and progress, "index" when it is empty; the caller frees. */
char *url_leaf(const struct url *u);

/* Whether the URL names a scheme, such as "hdfs", that is neither http nor https. */
bool url_foreign_scheme(const char *text);

void url_copy(struct url *dst, const struct url *src);
void url_done(struct url *u);

#endif
