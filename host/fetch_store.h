/* SPDX-License-Identifier: Apache-2.0 */
/* The store as the fetch library sees it. */
#ifndef APPC_HOST_FETCH_STORE_H
#define APPC_HOST_FETCH_STORE_H

#include "fetch/fetch.h"
#include "host/fetch_progress.h"
#include "host/image/import.h"
#include "host/image/store.h"

struct fetch_store {
    struct store *store;
    const struct unpack_options *unpack; /* limits of an import */
    const char *passphrase_file;         /* or NULL */
    int passphrase_fd;                   /* or -1 */
    char *passphrase;                    /* once it was read; fetch_store_done() wipes it */
    struct fetch_progress progress;
};

/* A sink over it; *fs has to outlive it. */
struct fetch_sink fetch_store_sink(struct fetch_store *fs);

/* struct fetch_sink's find and passphrase, for a command's own use. */
int fetch_store_find(void *arg, const struct fetch_want *want, struct fetch_image *ret,
                     struct err *err);
int fetch_store_passphrase(void *arg, const char *what, char *out, size_t cap, struct err *err);

/*
 * Whether the image and, with `dependencies`, everything that it depends on are in the store: then
 * nobody needs a network. Bounded as a fetch is.
 */
bool fetch_store_complete(struct store *s, const struct fetch_want *want, bool dependencies);

void fetch_store_done(struct fetch_store *fs);

#endif
