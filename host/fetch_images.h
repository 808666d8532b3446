/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing images into the store, from files and from the network: for `fetch` and `run`. */
#ifndef APPC_HOST_FETCH_IMAGES_H
#define APPC_HOST_FETCH_IMAGES_H

#include "fetch/fetch.h"
#include "host/image/import_unpack.h"
#include "host/image/store.h"
#include "host/network.h"

struct err;

/* Values of the options; fetch_request_init() sets the defaults. */
struct fetch_request {
    struct network_options network;
    struct unpack_options unpack;
    const char *pull;       /* never, missing or newer */
    const char *signature;  /* of the one file or URL that is given */
    const char *image_name; /* of the one OCI or Docker image that is given; NULL: its own */
    const char *passphrase_file;
    uint64_t passphrase_fd; /* UINT64_MAX: none */
    bool quiet;             /* no progress */
    bool no_dependencies;   /* only what is asked for */
};

/* Rows of an option table, for `o` of type struct fetch_request. */
/* One row a line. */
/* clang-format off */
#define FETCH_OPTIONS(o) \
    {0, "pull", OPT_CHOICE, &(o).pull, "never|missing|newer", "when to use the network (default missing)"}, \
    {0, "signature", OPT_STRING, &(o).signature, "FILE|URL", "signature of the one file or URL given"}, \
    {0, "passphrase-file", OPT_STRING, &(o).passphrase_file, "FILE", "passphrase of encrypted images, its first line"}, \
    {0, "passphrase-fd", OPT_U64, &(o).passphrase_fd, "N", "the same, from a descriptor"}, \
    {0, "max-size", OPT_SIZE, &(o).unpack.max_bytes, "SIZE", "largest image, uncompressed (64G)"}, \
    {0, "max-ratio", OPT_U64, &(o).unpack.max_ratio, "N", "largest ratio of uncompressed to compressed bytes (200)"}, \
    NETWORK_OPTIONS((o).network)
/* clang-format on */

void fetch_request_init(struct fetch_request *o);
void fetch_request_done(struct fetch_request *o);

/*
 * Makes sure that what each reference means is in the store, with all dependencies, and gives the
 * IDs in ret[0..n). Files are always imported; for the rest `pull` decides. Uses no network, and
 * reads no configuration, when everything is there already.
 */
int fetch_references(struct store *s, const char *data_dir, const struct fetch_request *o,
                     char *const *refs, size_t n, struct aci_id *ret, struct err *err);

/* The same for the images of a pod manifest, by their IDs, or names and labels. */
int fetch_pod_images(struct store *s, const char *data_dir, const struct fetch_request *o,
                     const struct ac_pod_manifest *pod, struct err *err);

#endif
