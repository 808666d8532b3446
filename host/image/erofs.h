/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a merged tree as an EROFS index whose files point into the tars.
 *
 * The block device [index][blob][blob]... mounts read-only with no options. Block size is 512, as
 * that is what data in a tar is aligned to.
 */
#ifndef APPC_IMAGE_EROFS_H
#define APPC_IMAGE_EROFS_H

#include <stddef.h>
#include <stdint.h>

#include "host/image/render.h"

#define EROFS_INDEX_ALIGN 4096         /* the index and each blob take a multiple of this */
#define EROFS_INDEX_MAX   (1ull << 30) /* bytes of an index */

/* One blob behind the index. Bytes behind the end of its tar are zeros. */
struct erofs_part {
    uint32_t blob;   /* number in render.blobs */
    uint64_t offset; /* bytes from the start of the device */
    uint64_t length; /* bytes, padded to EROFS_INDEX_ALIGN */
};

struct erofs_index {
    uint64_t length;          /* bytes of the index, a multiple of EROFS_INDEX_ALIGN */
    uint64_t total;           /* bytes of the whole device */
    struct erofs_part *parts; /* in order; only blobs that something points into */
    size_t nparts;
    unsigned char uuid[16]; /* derived from the content */
};

/*
 * Writes the index to fd, which must be an empty regular file (or memfd) at offset 0. Same tree,
 * same bytes. 0 with *ret (erofs_index_done()), or -1. Does not sync. The tars are only
 * read where a sparse file's pieces are not aligned to blocks.
 */
int erofs_write(const struct render *r, int fd, struct erofs_index *ret, struct err *err);

/* Releases what the structure owns. */
void erofs_index_done(struct erofs_index *i);

#endif
