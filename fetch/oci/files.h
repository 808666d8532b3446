/* SPDX-License-Identifier: Apache-2.0 */
/* The files of an image on this machine: below a directory, or in a tar, which is not unpacked. */
#ifndef APPC_FETCH_OCI_FILES_H
#define APPC_FETCH_OCI_FILES_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct oci_files;

#define OCI_FILES_MAX 65536 /* entries of a tar */

/* A run of bytes in an open file, which belongs to the struct oci_files. */
struct oci_span {
    int fd;
    uint64_t offset, size;
};

/* Opens a directory; the caller closes *ret. */
int oci_files_open_dir(const char *path, struct oci_files **ret, struct err *err);

/*
 * Opens a tar and lists what is in it. A compressed one is unpacked to a file without a name in the
 * directory `area` first, which may become `max` bytes.
 */
int oci_files_open_tar(const char *path, int area, uint64_t max, struct oci_files **ret,
                       struct err *err);

/*
 * The regular file called `name`, a relative path; -1 when there is none. In a tar one symbolic
 * link is followed, lexically; in a directory none.
 */
int oci_files_find(struct oci_files *f, const char *name, struct oci_span *ret, struct err *err);

/* Reads a whole file of at most OCI_DOCUMENT_MAX bytes; the caller frees *ret_text. */
int oci_files_read(struct oci_files *f, const char *name, char **ret_text, size_t *ret_len,
                   struct err *err);

/* NULL is allowed. */
void oci_files_close(struct oci_files *f);

#endif
