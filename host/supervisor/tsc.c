/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the time stamp counter of this host counts, for emulated guests. */
#include "host/supervisor/tsc.h"

#include <time.h>

#define TRIES     16
#define APART_MAX 20000   /* ticks around the reading of the clock: some microseconds */
#define NS_MIN    2000000 /* then the error is well below a thousandth */
#define NS_PER_MS 1000000

static uint64_t read_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

struct tsc_sample tsc_sample(void)
{
    for (int i = 0; i < TRIES; i++) {
        struct timespec ts;
        uint64_t before = read_ticks();
        clock_gettime(CLOCK_MONOTONIC, &ts);
        uint64_t after = read_ticks();
        if (before && after - before < APART_MAX)
            return (struct tsc_sample){before + (after - before) / 2,
                                       (uint64_t)ts.tv_sec * 1000 * NS_PER_MS +
                                           (uint64_t)ts.tv_nsec};
    }
    return (struct tsc_sample){0, 0};
}

uint64_t tsc_khz(struct tsc_sample from, struct tsc_sample to)
{
    if (!from.ticks || to.ticks <= from.ticks || to.ns < from.ns + NS_MIN)
        return 0;
    return (uint64_t)((unsigned __int128)(to.ticks - from.ticks) * NS_PER_MS / (to.ns - from.ns));
}
