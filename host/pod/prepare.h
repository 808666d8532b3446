/* SPDX-License-Identifier: Apache-2.0 */
/* Preparing a pod: reify its manifest, render its images, write its directory and launch plan. */
#ifndef APPC_HOST_POD_PREPARE_H
#define APPC_HOST_POD_PREPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/supervisor/plan.h"
#include "schema/manifest.h"
#include "schema/types.h"

struct err;
struct podimages;

struct prepare_options {
    const char *data_dir;
    const char *accel;    /* auto, kvm or tcg */
    const char *hostname; /* NULL: from the UUID */
    uint64_t cpus;        /* 0: from the manifest */
    uint64_t memory;      /* bytes; 0: from the manifest */
    uint64_t scratch;     /* bytes; 0: none, upper layers live in memory */
    uint64_t grace_ms;
    bool debug;
    bool strict;  /* refuse a pod with an isolator that would be ignored */
    bool dry_run; /* report the isolators, start no app */
    bool report_json;
    bool stop_on_exit;
    bool strict_volumes;
    const char *const *apparmor; /* files with AppArmor profiles */
    size_t napparmor;
    const char *hosts_file, *resolv_conf; /* files that the apps get; NULL: none */
    const char *key_file;                 /* master key; NULL: the data directory's */
    const char *ownership;                /* auto, caller, xattr or host */
    bool allow_symlinks; /* sources of host volumes may be, or lie behind, symbolic links */
    bool detach;
    const char *prefix; /* auto, always or never: app names before lines of output */
};

/*
 * Takes a manifest template (changed in place) to a pod that only has to be started: *ret owns
 * descriptors and memory (prepare_done()). Nothing is left of a pod that can't be prepared.
 */
int prepare_pod(struct podimages *images, struct ac_pod_manifest *pod,
                const struct prepare_options *opts, char ret_uuid[AC_UUID_TEXT], struct plan *ret,
                struct err *err);

/* Replaces this process by the supervisor of the plan; only returns on failure. */
int prepare_exec(const struct plan *plan, struct err *err);

#endif
