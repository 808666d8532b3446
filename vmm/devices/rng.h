/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-rng (virtio 1.2, section 5.4): the host's random bytes, as fast as a token bucket lets a
 * guest have them, so that it cannot burn the host's processor time.
 */
#ifndef APPC_VMM_DEVICES_RNG_H
#define APPC_VMM_DEVICES_RNG_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/device.h"

struct err;

#define RNG_REQUEST_MAX  65536      /* bytes given to one request */
#define RNG_RATE         (1U << 20) /* tokens a second; a byte costs one */
#define RNG_BURST        (1U << 18) /* tokens at most */
#define RNG_REQUEST_COST 64         /* tokens that every request costs besides */

struct rng {
    struct device dev;
    uint64_t tokens;
    uint64_t filled_ns; /* when tokens was right */
    struct loop_source timer;
    struct virtq_chain chain;
};

/* Sets up the device with a full bucket; rng_free() releases it. */
int rng_init(struct rng *r, struct err *err);
void rng_free(struct rng *r);

/* Adds what the bucket gained until now_ns (a monotonic clock). For the tests. */
void rng_refill(struct rng *r, uint64_t now_ns);

#endif
