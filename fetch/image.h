/* SPDX-License-Identifier: Apache-2.0 */
/* One image: discovery, download, verification, decryption, import. For the fetch library itself.
 */
#ifndef APPC_FETCH_IMAGE_H
#define APPC_FETCH_IMAGE_H

#include <pthread.h>

#include "fetch/fetch.h"

/* What all images of one command share. */
struct fetch_command {
    struct net *net;
    const struct trust *trust;
    const struct fetch_options *opt;
    const struct fetch_sink *sink;
    int area; /* the downloads directory, once somebody needed it: command_area() */
    pthread_mutex_t area_lock;
    pthread_mutex_t sink_lock; /* around find, import and passphrase */
    pthread_mutex_t event_lock;
};

/* Opens the downloads directory the first time; its descriptor (borrowed), or -1. */
int command_area(struct fetch_command *cmd, struct err *err);

/*
 * Asked about an image before it is used: from the store, or new. `image_id` and `m` are borrowed.
 * `signer` is NULL for an image that was in the store, or when nobody checked.
 */
struct fetch_check {
    int (*verdict)(void *arg, const char *image_id, const struct ac_image_manifest *m,
                   struct err *err);
    void *arg;
    struct fetch_command *cmd;
    const struct fetch_want *want;
    const char *what;
    const char *signer;
};

/*
 * Finds or fetches one image. `number` is for events; check->verdict is asked once at least when it
 * returns 0 with *ret.
 */
int image_get(struct fetch_command *cmd, size_t number, const struct fetch_want *want,
              struct fetch_check *check, struct fetch_image *ret, struct err *err);

#endif
