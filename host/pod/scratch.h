/* SPDX-License-Identifier: Apache-2.0 */
/* The scratch disk of a pod: a sparse ext4 file that no directory names. */
#ifndef APPC_HOST_POD_SCRATCH_H
#define APPC_HOST_POD_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>

struct err;

#define SCRATCH_DEFAULT (8ULL << 30)
#define SCRATCH_MIN     (16ULL << 20)
#define SCRATCH_MAX     (16ULL << 40)

/*
 * A file of `size` bytes (rounded up to 1 MiB) with an empty ext4, unlinked
 * already, so that nothing of it stays however the pod ends. It is a
 * copy of a template that mke2fs makes once per size in <data>/scratch/.
 */
int scratch_open(const char *data_dir, uint64_t size, int *ret_fd, struct err *err);

/*
 * Whether this is the name of a template that scratch_open() would take now, rather than of one of
 * an earlier version or an unfinished one. Its modification time says when it was last used.
 */
bool scratch_is_template(const char *name);

#endif
