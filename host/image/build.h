/* SPDX-License-Identifier: Apache-2.0 */
/* Packing an image layout to an ACI, byte for byte reproducible. */
#ifndef APPC_HOST_IMAGE_BUILD_H
#define APPC_HOST_IMAGE_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "host/image/aci.h"

struct err;

struct build_options {
    enum aci_compress compress;
    bool overwrite;
    bool keep_owner; /* else everything belongs to root */
    bool set_mtime;  /* else every file keeps its own */
    int64_t mtime;
    void (*progress)(void *arg, uint64_t tar_bytes); /* NULL is allowed */
    void *arg;
};

struct build_report {
    uint64_t entries;
    uint64_t tar_bytes;
    uint64_t sockets; /* left out, as a tar has no way to say socket */
};

/*
 * Packs `dir` (its manifest and rootfs) to the new file `out`. The entries are sorted; hard links,
 * symlinks, devices, named pipes, modes and extended attributes come along, but for those that
 * belong to the machine (security.selinux, security.ima, security.evm, trusted.overlay.*). Runs
 * of zeros become holes whether the file system has them as holes or not. 0 with *ret_id, or -1
 * and nothing is left. *ret_report may be NULL.
 */
int build_aci(const char *dir, const char *out, const struct build_options *opt,
              struct aci_id *ret_id, struct build_report *ret_report, struct err *err);

/*
 * Reads a time: decimal seconds since 1970 (may be negative) or RFC 3339; 0, or -1. Fractions are
 * cut off.
 */
int build_parse_time(const char *text, int64_t *ret);

#endif
