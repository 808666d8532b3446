/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The typed view of isolators (spec/ace.md, "Isolators"): what the
 * specification names, and os/linux/cpu-shares and os/linux/oom-score-adj,
 * which only the reference code knows.
 */
#ifndef APPC_SCHEMA_ISOLATOR_H
#define APPC_SCHEMA_ISOLATOR_H

#include "schema/manifest.h"

enum ac_isolator_kind {
    AC_ISOLATOR_UNKNOWN,
    AC_ISOLATOR_SECCOMP_REMOVE_SET,
    AC_ISOLATOR_SECCOMP_RETAIN_SET,
    AC_ISOLATOR_SELINUX_CONTEXT,
    AC_ISOLATOR_APPARMOR_PROFILE,
    AC_ISOLATOR_CAPABILITIES_REMOVE_SET,
    AC_ISOLATOR_CAPABILITIES_RETAIN_SET,
    AC_ISOLATOR_NO_NEW_PRIVILEGES,
    AC_ISOLATOR_CPU_SHARES,
    AC_ISOLATOR_OOM_SCORE_ADJ,
    AC_ISOLATOR_BLOCK_BANDWIDTH,
    AC_ISOLATOR_BLOCK_IOPS,
    AC_ISOLATOR_CPU,
    AC_ISOLATOR_MEMORY,
    AC_ISOLATOR_NETWORK_BANDWIDTH,
    AC_ISOLATOR_SYSCTL,
    AC_ISOLATOR_KINDS
};

/* Where an isolator has an effect; elsewhere it is checked, ignored and reported. */
enum ac_isolator_scope {
    AC_SCOPE_APP = 1,
    AC_SCOPE_POD = 2,
    AC_SCOPE_BOTH = AC_SCOPE_APP | AC_SCOPE_POD,
};

/* Limits of the two isolators that are plain numbers. */
#define AC_CPU_SHARES_MIN 2
#define AC_CPU_SHARES_MAX 262144
#define AC_OOM_SCORE_MIN  (-1000)
#define AC_OOM_SCORE_MAX  1000

struct ac_seccomp {
    struct ac_strings set; /* never empty; system call names and @wildcards as written */
    char *errno_name;      /* such as ENOTSUP, syntax checked only; NULL: kill by SIGSYS */
};

struct ac_selinux {
    char *user, *role, *type, *level; /* none is empty */
};

/*
 * A resource: cpu in thousandths of a core, memory and bandwidths in bytes (a
 * second), iops in operations a second. A request that was left out equals the
 * limit (has_request is then true as well).
 */
struct ac_resource {
    bool has_request, has_limit;
    int64_t request, limit;
};

struct ac_isolator_view {
    enum ac_isolator_kind kind;
    enum ac_isolator_scope scope; /* AC_SCOPE_BOTH for unknown ones */
    union {
        struct ac_seccomp seccomp;      /* SECCOMP_*_SET */
        struct ac_strings capabilities; /* CAPABILITIES_*_SET: never empty, names unchecked */
        struct ac_selinux selinux;
        char *apparmor_profile; /* not empty */
        bool no_new_privileges;
        int64_t cpu_shares;
        int64_t oom_score_adj;
        struct ac_resource resource; /* BLOCK_*, CPU, MEMORY, NETWORK_BANDWIDTH */
        struct ac_pairs sysctl;      /* dotted keys without tricks; values as written */
    };
};

/* By the name in the manifest; AC_ISOLATOR_UNKNOWN when it is none of them. */
enum ac_isolator_kind ac_isolator_kind(const char *name);

/* Of a known kind. */
const char *ac_isolator_name(enum ac_isolator_kind kind);
enum ac_isolator_scope ac_isolator_scope(enum ac_isolator_kind kind);

/*
 * Decodes an isolator; 0 with *ret, which ac_isolator_view_done() releases, or
 * -1 with the fault (NULL allowed), whose path starts at the value. Isolators
 * of parsed manifests never fail. Unknown ones succeed with an empty view.
 */
int ac_isolator_decode(const struct ac_isolator *isolator, struct ac_isolator_view *ret,
                       struct ac_fault *fault);
void ac_isolator_view_done(struct ac_isolator_view *view);

/* The isolator of that kind that counts: the last one. NULL when there is none. */
const struct ac_isolator *ac_isolators_find(const struct ac_isolators *list,
                                            enum ac_isolator_kind kind);

#endif
