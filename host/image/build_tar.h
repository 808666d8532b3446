/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tar headers, written by us and not by a library: the same entry gives the same bytes on every
 * machine, in every locale and with every version of what is installed.
 */
#ifndef APPC_HOST_IMAGE_BUILD_TAR_H
#define APPC_HOST_IMAGE_BUILD_TAR_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The type flags of POSIX ustar. */
#define TAR_FILE     '0'
#define TAR_HARDLINK '1'
#define TAR_SYMLINK  '2'
#define TAR_CHAR     '3'
#define TAR_BLOCK    '4'
#define TAR_DIR      '5'
#define TAR_FIFO     '6'

/* A piece of a sparse file that holds data. */
struct tar_piece {
    uint64_t offset;
    uint64_t len;
};

struct tar_entry {
    char type;
    const char *path; /* any bytes but NUL; a directory without the slash at its end */
    const char *link; /* target of a symlink or hard link, else NULL */
    uint32_t mode;    /* 07777 */
    uint64_t uid, gid;
    uint64_t size; /* bytes of a regular file, holes included */
    int64_t mtime;
    uint32_t mtime_nsec;
    uint32_t devmajor, devminor;
    const struct buf *pax;          /* more pax records, as tar_pax_record() adds them; or NULL */
    const struct tar_piece *pieces; /* NULL: not sparse. In order, without overlap */
    size_t npieces;
};

/* Adds one pax record, "LENGTH KEY=VALUE\n"; the value may hold any bytes. */
void tar_pax_record(struct buf *b, const char *key, const void *value, size_t len);

/*
 * Appends the header blocks of an entry: a pax extended header when something does not fit, the
 * ustar header, and the map of a sparse file (GNU's format 1.0). The data follows: the whole
 * file, or the pieces one after the other; then tar_padding() zero bytes.
 */
void tar_header(struct buf *out, const struct tar_entry *e);

/* Zero bytes behind `len` bytes of data, to the next block. */
size_t tar_padding(uint64_t len);

#endif
