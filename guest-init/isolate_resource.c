/* SPDX-License-Identifier: Apache-2.0 */
/* resource/cpu, resource/memory and os/linux/cpu-shares by control group. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest-init/cgroup.h"
#include "guest-init/isolate.h"

#define MILLI_PER_CORE   1000
#define CPU_PERIOD_US    100000  /* the kernel's default */
#define CPU_PERIOD_MAX   1000000 /* the longest, for limits below a hundredth of a core */
#define CPU_QUOTA_MIN_US 1000    /* the kernel refuses less */
#define WEIGHT_DEFAULT   100     /* of one core's request */
#define WEIGHT_MAX       10000
#define WEIGHT_MIN       1

static void write_value(struct isolate_target *target, const char *file, const char *value,
                        struct isolate_outcome *out)
{
    if (cgroup_write(target->cgroup, file, value) < 0)
        isolate_note(out, WIRE_ISOLATOR_IGNORED, "can't set %s to %s: %s", file, value,
                     strerror(errno));
}

static void write_weight(struct isolate_target *target, int64_t weight, struct isolate_outcome *out)
{
    char text[32];
    if (weight < WEIGHT_MIN)
        weight = WEIGHT_MIN;
    if (weight > WEIGHT_MAX)
        weight = WEIGHT_MAX;
    snprintf(text, sizeof(text), "%" PRId64, weight);
    write_value(target, "cpu.weight", text, out);
}

/* limit: so many microseconds of every period; request: a share when CPUs are scarce. */
void isolate_cpu(const struct ac_isolator_view *view, struct isolate_target *target,
                 struct isolate_outcome *out)
{
    const struct ac_resource *r = &view->resource;
    if (r->has_limit) {
        char text[64];
        int64_t milli = r->limit > INT32_MAX ? INT32_MAX : r->limit;
        int64_t period = milli < MILLI_PER_CORE / 100 ? CPU_PERIOD_MAX : CPU_PERIOD_US;
        int64_t quota = milli * period / MILLI_PER_CORE;
        if (quota < CPU_QUOTA_MIN_US) {
            quota = CPU_QUOTA_MIN_US;
            isolate_note(out, WIRE_ISOLATOR_MODIFIED, "a thousandth of a core is the least");
        }
        snprintf(text, sizeof(text), "%" PRId64 " %" PRId64, quota, period);
        write_value(target, "cpu.max", text, out);
    }
    if (r->has_request) {
        int64_t milli = r->request > INT32_MAX ? INT32_MAX : r->request;
        write_weight(target, milli * WEIGHT_DEFAULT / MILLI_PER_CORE, out);
    }
}

/* 2..262144 of cgroup v1 map to 1..10000 as everywhere else. */
void isolate_cpu_shares(const struct ac_isolator_view *view, struct isolate_target *target,
                        struct isolate_outcome *out)
{
    int64_t shares = view->cpu_shares - AC_CPU_SHARES_MIN;
    write_weight(target,
                 1 + shares * (WEIGHT_MAX - WEIGHT_MIN) / (AC_CPU_SHARES_MAX - AC_CPU_SHARES_MIN),
                 out);
}

void isolate_memory(const struct ac_isolator_view *view, struct isolate_target *target,
                    struct isolate_outcome *out)
{
    const struct ac_resource *r = &view->resource;
    char text[32];
    if (r->has_limit) {
        snprintf(text, sizeof(text), "%" PRId64, r->limit);
        write_value(target, "memory.max", text, out);
    }
    if (r->has_request) {
        snprintf(text, sizeof(text), "%" PRId64, r->request);
        write_value(target, "memory.low", text, out);
    }
}
