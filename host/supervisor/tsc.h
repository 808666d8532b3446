/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the time stamp counter of this host counts, for emulated guests. */
#ifndef APPC_HOST_SUPERVISOR_TSC_H
#define APPC_HOST_SUPERVISOR_TSC_H

#include <stdint.h>

/* The counter and the clock (CLOCK_MONOTONIC, nanoseconds) at one moment; all 0 when they could not
 * be had. */
struct tsc_sample {
    uint64_t ticks, ns;
};

/* Takes a sample. A process that is interrupted tries again. */
struct tsc_sample tsc_sample(void);

/* kHz between two samples, 0 when they are too close together to tell. */
uint64_t tsc_khz(struct tsc_sample from, struct tsc_sample to);

#endif
