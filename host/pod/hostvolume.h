/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of kind "host": their sources, opened by the rules of ace.md, "Volume Setup". */
#ifndef APPC_HOST_POD_HOSTVOLUME_H
#define APPC_HOST_POD_HOSTVOLUME_H

#include <stdbool.h>

#include "host/supervisor/plan.h"
#include "schema/manifest.h"

struct err;

/*
 * Opens the source of each host volume that an app mounts, once, and adds it to plan->shares (their
 * descriptors are the plan's). A source that is missing is an error, and so is one that is, or
 * that lies behind, a symbolic link, unless `allow_symlinks` (VOL-10, VOL-13 to VOL-15). Only
 * directories and regular files can be shared. Nothing is created on the host (VOL-09).
 */
int hostvolumes_open(const struct ac_pod_manifest *pod, bool allow_symlinks, struct plan *plan,
                     struct err *err);

#endif
