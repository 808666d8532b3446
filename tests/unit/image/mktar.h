/* SPDX-License-Identifier: Apache-2.0 */
/* Tars made in memory by libarchive, for tests. */
#ifndef APPC_TESTS_MKTAR_H
#define APPC_TESTS_MKTAR_H

#include <stddef.h>

#include "host/image/render.h"

struct mktar;

/* `format`: "pax", "gnutar" or "ustar". With a manifest and the directory rootfs, unless `bare`. */
struct mktar *mktar_new(const char *format, bool bare);

/* An entry; type is one of - (file with the content `text`), d, l (symlink to text), h (hard link
 * to text), c, p, s (socket). Owner 0, time 1000. */
void mktar_add(struct mktar *m, const char *name, char type, unsigned mode, const char *text);

/* A sparse file: pieces of `len` bytes, each 'x', at the offsets, ended by UINT64_MAX. */
void mktar_sparse(struct mktar *m, const char *name, uint64_t size, const uint64_t *offsets,
                  size_t len);

/* Ends the tar. Memory stays m's. */
const void *mktar_done(struct mktar *m, size_t *ret_len);
void mktar_free(struct mktar *m);

/* Reads the tar; the test fails when it can't be read. */
struct tree *mktar_tree(struct mktar *m);

/* Reads it; returns the message of the failure, which must be there. Static storage. */
const char *mktar_fault(struct mktar *m);

#endif
