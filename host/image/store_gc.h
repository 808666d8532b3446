/* SPDX-License-Identifier: Apache-2.0 */
/* Cleaning the store up: images that nobody needs, stale roots, and what dead processes left. */
#ifndef APPC_HOST_IMAGE_STORE_GC_H
#define APPC_HOST_IMAGE_STORE_GC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/image/store.h"

struct err;

enum store_gc_kind {
    STORE_GC_IMAGE,
    STORE_GC_ROOT,   /* a rendered root that no image has now, or that nobody used for so long */
    STORE_GC_TEMP,   /* of an import or rendering whose process died */
    STORE_GC_ORPHAN, /* a file that the index does not know */
};

/* What is removed, or would be; borrowed for the call. */
struct store_gc_item {
    enum store_gc_kind kind;
    const struct store_image *image; /* for STORE_GC_IMAGE, or NULL */
    const char *path;                /* in the data directory */
    uint64_t bytes;
};

struct store_gc_options {
    bool dry_run;       /* only tell */
    bool by_age;        /* images and roots not used for `older_than` seconds */
    int64_t older_than; /* seconds */
    uint64_t max_bytes; /* then more, until the images' tars together have no more than this */
    /*
     * Asks which images pods need, running or not; the caller's array is taken over and freed.
     * Called once, after the processes that hold the store were looked for.
     */
    int (*pods)(void *arg, struct aci_id **ret, size_t *ret_n, struct err *err);
    void (*removed)(void *arg, const struct store_gc_item *item);
    void *arg;
};

struct store_gc_result {
    size_t images;  /* that are left */
    uint64_t bytes; /* of their tars */
};

/*
 * Removes images, least recently used first, by age and by size. Never one that a pod needs, that
 * a process has open, that came or was looked up since the oldest process that holds the store
 * began (store_hold()), or that an image that stays depends on; an image counts as used when one
 * that depends on it was. Also removes stale roots, and files that nobody owns. It is decided under
 * the write lock of the index, and files go after their rows, so a crash leaves what the next call
 * finds.
 */
int store_gc(struct store *s, const struct store_gc_options *opt, struct store_gc_result *ret,
             struct err *err);

#endif
