/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the uncompressed bytes of an archive file, whatever it is compressed with. */
#ifndef APPC_HOST_IMAGE_IMPORT_SOURCE_H
#define APPC_HOST_IMAGE_IMPORT_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/image/aci.h"

struct err;
struct import_source;

/*
 * Looks at the first bytes of fd, which stays the caller's and is read from its start (with
 * pread(), so that its position does not matter), and takes the decompressor for them. What is no
 * archive is an error that says so (IMG-02, IMG-13, IMG-14). `name` is for messages and is copied.
 * The caller frees *ret.
 */
int import_source_open(int fd, const char *name, struct import_source **ret, struct err *err);

/*
 * The same for `size` bytes of the file from `offset` on, which are a tar of any kind, compressed
 * or not: what begins as no compressed file does is taken as it is.
 */
int import_source_open_range(int fd, uint64_t offset, uint64_t size, const char *name,
                             struct import_source **ret, struct err *err);

/*
 * Fills data with the next bytes: how many, fewer than `cap` only at the end; 0 behind it. -1
 * when the archive is damaged or cut off: checksums of the compressed form are checked.
 */
ssize_t import_source_read(struct import_source *s, void *data, size_t cap, struct err *err);

/* Bytes of the archive file that were read so far. */
uint64_t import_source_consumed(const struct import_source *s);

enum aci_compress import_source_compress(const struct import_source *s);

/* NULL is allowed. */
void import_source_free(struct import_source *s);

#endif
