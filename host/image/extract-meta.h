/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of extract_render(): the metadata of one name that was just made. */
#ifndef APPC_IMAGE_EXTRACT_META_H
#define APPC_IMAGE_EXTRACT_META_H

#include "host/image/extract.h"

struct err;

/* Who extracts, and what could not be restored so far. */
struct extract_who {
    bool root;
    struct extract_report *report;
};

/*
 * Restores owner, mode, xattrs and times of an open file or directory (fd, no symlink followed to
 * it) or, with fd -1, of the symlink, device or fifo `name` in dirfd. 0, or -1 with *err that does
 * not name the path.
 */
int extract_meta(const struct extract_who *who, const struct tree_inode *i, int fd, int dirfd,
                 const char *name, struct err *err);

#endif
