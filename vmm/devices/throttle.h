/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket: how much of something may be done in a second. What is done in one piece may take
 * more than there is; the next piece then waits until that is made up for.
 */
#ifndef APPC_VMM_DEVICES_THROTTLE_H
#define APPC_VMM_DEVICES_THROTTLE_H

#include <stdint.h>

/* What has not been used for this long may be made up for at once. */
#define THROTTLE_BURST_NS 100000000ULL

struct throttle {
    uint64_t rate;  /* units a second; 0: no limit */
    uint64_t ready; /* when the next piece may start, nanoseconds of CLOCK_MONOTONIC */
};

/* Nanoseconds to wait at time `now` before the next piece; 0: it may start. */
uint64_t throttle_wait(const struct throttle *t, uint64_t now);

/* A piece of `units` has been started at time `now`. */
void throttle_charge(struct throttle *t, uint64_t now, uint64_t units);

#endif
