/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of tree_read(): what tar.c (layout) takes from an entry through tar-attr.c. */
#ifndef APPC_IMAGE_TAR_ATTR_H
#define APPC_IMAGE_TAR_ATTR_H

#include <stddef.h>
#include <stdint.h>

#include "host/image/tree-build.h"

struct archive_entry;

/* The archive in memory, and where the entry at hand begins (with its extension headers). */
struct tar_place {
    const unsigned char *tar;
    uint64_t len;
    uint64_t header;
};

/*
 * Fills mode, owner, times, device numbers, link target and xattrs (POSIX ACLs become the xattrs
 * by which Linux knows them) of a new inode; not size and extents of regular files. 0 or -1.
 */
int tar_attributes(struct builder *b, struct archive_entry *entry, const struct tar_place *place,
                   struct tree_inode *i, struct err *err);

#endif
