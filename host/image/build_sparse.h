/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the runs of zeros in a file that are worth leaving out of an archive. */
#ifndef APPC_HOST_IMAGE_BUILD_SPARSE_H
#define APPC_HOST_IMAGE_BUILD_SPARSE_H

#include <stddef.h>
#include <stdint.h>

#include "host/image/build_tar.h"

#define SPARSE_BLOCK    4096        /* pieces start and end at multiples of it, but for the end */
#define SPARSE_HOLE_MIN (64u << 10) /* a shorter run of zeros stays data */

/*
 * The pieces of a file that hold data, by its content alone: two files with the same bytes have
 * the same pieces, whatever their file systems made of the zeros. 0 with *ret NULL when there is
 * nothing to leave out, else an array that the caller frees; -1 with errno. A file that ends
 * in a hole has an empty piece at its end, as GNU tar writes it.
 */
int sparse_scan(int fd, uint64_t size, struct tar_piece **ret, size_t *ret_n);

#endif
