/* SPDX-License-Identifier: Apache-2.0 */
/* What commands that died left in a data directory beside the store: downloads, templates, files.
 */
#ifndef APPC_HOST_LEFTOVERS_H
#define APPC_HOST_LEFTOVERS_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/* A file that was written within this time may still be somebody's. */
#define LEFTOVER_SECONDS 300
/* A scratch template that was not used for so long is made anew when it is needed again. */
#define TEMPLATE_SECONDS (30 * 24 * 3600)

struct leftovers {
    const char *data_dir;
    bool dry_run; /* only tell */
    /* Whether the image is in the store; records of downloads of others are of no use. */
    bool (*has_image)(void *arg, const char *id);
    /* Told of each file: its path in the data directory, and why it goes. */
    void (*found)(void *arg, const char *path, const char *why, uint64_t bytes);
    void *arg;
};

/*
 * Removes downloads that nobody is at work on, scratch templates out of use, and temporary files
 * of writers that died. Never a file that a process has locked or has just written. 0, or -1 when
 * it can't look.
 */
int leftovers_remove(const struct leftovers *l, struct err *err);

#endif
