/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket, kept as the time at which it is no longer in debt. */
#include "vmm/devices/throttle.h"

#define NS_PER_S 1000000000ULL
#define WAIT_MAX (UINT64_MAX / 4) /* for ever, and no sum of two overflows */

uint64_t throttle_wait(const struct throttle *t, uint64_t now)
{
    return t->rate && t->ready > now ? t->ready - now : 0;
}

void throttle_charge(struct throttle *t, uint64_t now, uint64_t units)
{
    if (!t->rate)
        return;
    uint64_t full = now > THROTTLE_BURST_NS ? now - THROTTLE_BURST_NS : 0;
    unsigned __int128 cost = (unsigned __int128)units * NS_PER_S / t->rate;
    if (t->ready < full)
        t->ready = full;
    t->ready += cost < WAIT_MAX ? (uint64_t)cost : WAIT_MAX;
    if (t->ready > WAIT_MAX)
        t->ready = WAIT_MAX;
}
