/* SPDX-License-Identifier: Apache-2.0 */
/* A tar that holds an image in parts (docker save, OCI archive): where each file lies. */
#ifndef APPC_FETCH_OCI_TAR_H
#define APPC_FETCH_OCI_TAR_H

#include <stddef.h>
#include <stdint.h>

struct err;

struct oci_tar_file {
    char *name; /* without "./" */
    char *link; /* of a symbolic or hard link: its target, from the top; else NULL */
    uint64_t offset, size;
};

/* Sorted by name. v is never NULL after oci_tar_list(). */
struct oci_tar {
    struct oci_tar_file *v;
    size_t n, cap;
};

/*
 * Makes sure that *fd is an uncompressed tar: a compressed one (gzip, bzip2, xz, zstd) is replaced
 * by a file without a name in the directory `area`, of at most `max` bytes.
 */
int oci_tar_plain(int *fd, const char *path, int area, uint64_t max, struct err *err);

/* Lists the files; the headers alone are read. 0 with *ret (oci_tar_done()), or -1. */
int oci_tar_list(int fd, const char *path, struct oci_tar *ret, struct err *err);

/* The file of that name, a link's target for a link; NULL when there is none. */
const struct oci_tar_file *oci_tar_find(const struct oci_tar *t, const char *name);

void oci_tar_done(struct oci_tar *t);

#endif
