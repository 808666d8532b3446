/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over an archive: decompress, hash and write at the same time. */
#ifndef APPC_HOST_IMAGE_IMPORT_UNPACK_H
#define APPC_HOST_IMAGE_IMPORT_UNPACK_H

#include <openssl/evp.h>
#include <stdint.h>

#include "host/image/aci.h"

struct err;

struct unpack_options {
    uint64_t max_bytes; /* of the uncompressed tar; 0: UNPACK_MAX_BYTES */
    uint64_t max_ratio; /* uncompressed bytes for each byte of the archive; 0: UNPACK_MAX_RATIO */
    void (*progress)(void *arg, uint64_t archive_bytes); /* NULL is allowed */
    void *arg;
    uint64_t before; /* bytes that count for max_bytes already: of the layers below */
};

#define UNPACK_MAX_BYTES (64ull << 30)
#define UNPACK_MAX_RATIO 200
/* Up to so many bytes, the ratio does not matter: small archives of zeros do no harm. */
#define UNPACK_RATIO_FREE (256ull << 20)

struct unpack_result {
    struct aci_id id;
    uint64_t tar_bytes;
    uint64_t archive_bytes;
    enum aci_compress compress;
};

/*
 * Reads the archive in_fd (a regular file) from its start and writes its tar to the empty file
 * out_fd; one thread decompresses, one hashes, one writes, so it takes as long as the slowest. 0
 * with *ret, or -1: no ACI, damaged, beyond a limit, no space left. `name` is the archive's, for
 * messages. Neither file is closed or synced.
 */
int import_unpack(int in_fd, const char *name, int out_fd, const struct unpack_options *opt,
                  struct unpack_result *ret, struct err *err);

/*
 * The same from a source that is open, with any hash: its bytes go to ret_hash, which has room for
 * EVP_MAX_MD_SIZE; ret->id is not set. The source stays the caller's.
 */
struct import_source;
int import_unpack_source(struct import_source *src, const char *name, const EVP_MD *md, int out_fd,
                         const struct unpack_options *opt, uint8_t *ret_hash,
                         struct unpack_result *ret, struct err *err);

#endif
