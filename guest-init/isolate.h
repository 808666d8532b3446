/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Isolators in force: every isolator of a manifest goes through one table and
 * comes out as enforced, modified or ignored, which is reported (ISO-02).
 */
#ifndef APPC_GUEST_ISOLATE_H
#define APPC_GUEST_ISOLATE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/filter.h>

#include "base/buf.h"
#include "schema/isolator.h"
#include "wire/wire.h"

/* The 14 capabilities that spec/ace.md gives to an app without an isolator (ISO-40). */
#define ISOLATE_DEFAULT_CAPABILITIES UINT64_C(0xa80425fb)

/* What a process of the app has to do to itself before it executes its program. */
struct isolation {
    uint64_t capabilities; /* bounding set */
    bool no_new_privileges;
    bool has_oom_score_adj;
    int oom_score_adj;
    struct sock_filter *seccomp; /* NULL: no filter */
    unsigned short seccomp_len;
    char *apparmor; /* profile to run under; NULL: none */
};

/* Without any isolator. */
void isolation_init(struct isolation *i);
void isolation_done(struct isolation *i);

/* Where an isolator takes effect: the pod's or an app's control group and, for an app, its
 * processes. */
struct err;

struct isolate_target {
    enum ac_isolator_scope scope; /* AC_SCOPE_APP or AC_SCOPE_POD */
    int cgroup;                   /* directory */
    struct isolation *isolation;  /* of the pod: what its apps begin with */
    char *const *disks;           /* block devices as MAJOR:MINOR; NULL-terminated */
    struct err *refusal;          /* filled when the pod must not run (ISO-36) */
};

/* What became of one isolator. `detail` says what differs; empty when enforced as written. */
struct isolate_outcome {
    enum wire_isolator_result result;
    struct buf detail;
};

typedef void isolate_fn(const struct ac_isolator_view *view, struct isolate_target *target,
                        struct isolate_outcome *out);

/* Called once for each isolator, in order. */
typedef void isolate_report_fn(void *ctx, const char *isolator, enum wire_isolator_result result,
                               const char *detail);

/*
 * Puts a list of isolators in force. What can't be enforced is reported as ignored; what the
 * specification does not let be ignored is a refusal of the target: -1.
 */
int isolate_apply(const struct ac_isolators *list, struct isolate_target *target,
                  isolate_report_fn *report, void *ctx);

/*
 * Notes a deviation: the outcome becomes `result` unless it is already worse,
 * and the text is added to the detail.
 */
void isolate_note(struct isolate_outcome *out, enum wire_isolator_result result, const char *fmt,
                  ...) __attribute__((format(printf, 3, 4)));

/* The rows of the table, by subject. */
isolate_fn isolate_capabilities_retain, isolate_capabilities_remove; /* isolate_caps.c */
isolate_fn isolate_no_new_privileges, isolate_oom_score_adj;         /* isolate_priv.c */
isolate_fn isolate_cpu, isolate_cpu_shares, isolate_memory;          /* isolate_resource.c */
isolate_fn isolate_block_bandwidth, isolate_block_iops;              /* isolate_block.c */
isolate_fn isolate_network_bandwidth;                                /* the same */
isolate_fn isolate_apparmor, isolate_selinux;                        /* isolate_mac.c */
isolate_fn isolate_sysctl;                                           /* isolate_sysctl.c */
isolate_fn isolate_seccomp_retain, isolate_seccomp_remove;           /* isolate_seccomp.c */

/* The number of a capability by its name (CAP_CHOWN), -1 when there is none. */
int capability_number(const char *name);

/* The errno value of a name such as ENOTSUP, 0 when Linux has none of that name. */
int errno_number(const char *name);

#endif
