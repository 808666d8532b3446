/* SPDX-License-Identifier: Apache-2.0 */
/* Image discovery: from a name and labels to URLs of image, signature and keys (spec/discovery.md).
 */
#ifndef APPC_FETCH_DISCOVER_H
#define APPC_FETCH_DISCOVER_H

#include <stdbool.h>
#include <stddef.h>

#include "fetch/net.h"
#include "schema/manifest.h"

struct err;

#define DISCOVER_LEVELS_MAX 32 /* components of a name, each of which costs a request */

/* One discovery URL, in the order tried. */
struct discover_attempt {
    char *url;
    char *outcome; /* one phrase: what was found, or why not */
    bool usable;   /* something that was looked for was found there */
};

/* One template that fitted, in document order. */
struct discover_endpoint {
    char *template;
    char *image; /* URLs; NULL when the template is not usable, and then `problem` says why */
    char *signature;
    const char *problem; /* a static text, or NULL */
};

/* Zero-initialise; discover_done() releases it. */
struct discover {
    struct discover_attempt *attempts;
    size_t nattempts;
    struct discover_endpoint *endpoints; /* of the first level that has a usable one */
    size_t nendpoints;
    struct ac_strings keys; /* URLs of keys, of the first level that has any */
};

enum discover_kind { DISCOVER_IMAGES = 1, DISCOVER_KEYS = 2 };

/*
 * Walks from the name up to its host until each wanted kind is found (DISC-15, DISC-18): a page
 * that can't be had for whatever reason, or has no tag that fits, sends the walk to the parent path
 * (B1). `labels` are those that go into templates, with os and arch. 0 when every wanted kind was
 * found; -1 with an error that names all attempts. *ret is filled in both cases.
 */
int discover(struct net *n, const char *name, const struct ac_pairs *labels, unsigned kinds,
             struct discover *ret, struct err *err);

/* The discovery URL of a name or of one of its parents, on a port (0: the usual); the caller frees.
 */
char *discover_url(const char *name, bool https, unsigned port);

/* What one page has to say; the part of discover() that looks at no network. */
void discover_page(const char *page, size_t len, const char *name, const struct ac_pairs *labels,
                   bool insecure_http, struct discover *d, unsigned kinds, unsigned *ret_found,
                   char **ret_outcome);

void discover_done(struct discover *d);

#endif
