/* SPDX-License-Identifier: Apache-2.0 */
/* Images of the store as directories and as disk files. */
#ifndef APPC_HOST_IMAGE_STORE_EXTRACT_H
#define APPC_HOST_IMAGE_STORE_EXTRACT_H

#include <stdbool.h>
#include <stdint.h>

#include "host/image/aci.h"
#include "host/image/extract.h"

struct err;
struct store;

struct store_extract_options {
    bool with_dependencies; /* the rendered root; else the image's own files, whitelist or not */
    bool rootfs_only;       /* the root file system is the directory itself */
    bool overwrite;         /* replace a directory that is not empty, with all that is in it */
    void (*progress)(void *arg, const struct extract_progress *p); /* NULL is allowed */
    void *arg;
};

/*
 * Unpacks an image to the directory `path`, as manifest and rootfs. It appears when all is
 * there: on failure nothing is left, and what was there stays. The image is hashed first. 0 with
 * *ret saying what only root could have restored, or -1.
 */
int store_extract(struct store *s, const struct aci_id *id, const char *path,
                  const struct store_extract_options *opt, struct extract_report *ret,
                  struct err *err);

/*
 * Writes the rendered root of an image as one sparse file, the index and the tars behind it, that
 * mounts as EROFS. `progress` gets bytes written and all bytes, NULL is allowed.
 */
int store_flatten(struct store *s, const struct aci_id *id, const char *path, bool overwrite,
                  void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
                  struct err *err);

#endif
