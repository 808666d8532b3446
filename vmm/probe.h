/* SPDX-License-Identifier: Apache-2.0 */
/* A guest of a few instructions that tells whether KVM here is worth using. */
#ifndef APPC_VMM_PROBE_H
#define APPC_VMM_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct buf;

/*
 * Some hosts offer /dev/kvm without hardware virtualization behind it and
 * interpret supervisor code, slowly and with instructions missing. A kernel
 * does not start there, or takes minutes. An instruction that takes longer than this is emulated.
 */
#define PROBE_SLOW_PS 50000u /* 50 ns */
#define PROBE_MS      500    /* the probe guest never runs longer */

struct probe_result {
    bool usable;
    char reason[ERR_MSG_MAX];    /* one sentence when not usable */
    uint64_t ps_per_instruction; /* picoseconds; 0 when it did not come so far */
    uint64_t total_ns;           /* what the probe took */
};

/* Runs the probe on /dev/kvm. Never fails: what goes wrong is the result. */
void probe_kvm(int kvm_fd, struct probe_result *ret);

/* One line of JSON: usable, reason, ns_per_instruction, probe_ns. */
void probe_print(const struct probe_result *r, struct buf *out);

#endif
