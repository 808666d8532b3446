/* SPDX-License-Identifier: Apache-2.0 */
/* The extended attributes of a file as pax records. */
#ifndef APPC_HOST_IMAGE_BUILD_XATTR_H
#define APPC_HOST_IMAGE_BUILD_XATTR_H

struct buf;
struct err;

/*
 * Appends a SCHILY.xattr record for each extended attribute of the file at `access_path` (never
 * followed), sorted by name; those that describe this machine rather than the file are left out.
 * `name` is for messages. 0, or -1. A file system without extended attributes has none.
 */
int xattr_records(const char *access_path, const char *name, struct buf *pax, struct err *err);

#endif
