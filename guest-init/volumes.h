/* SPDX-License-Identifier: Apache-2.0 */
/* Which volume goes where in an app, and putting it there: spec/ace.md, "Volume Setup". */
#ifndef APPC_GUEST_VOLUMES_H
#define APPC_GUEST_VOLUMES_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/manifest.h"

struct err;

struct volume_mount {
    const struct ac_volume *volume; /* NULL: an empty one that nobody declared */
    const char *name;               /* of the volume, borrowed */
    char *path;                     /* target, cleaned */
    char *store;                    /* empty: its folder below the scratch's volumes */
    char *share;                    /* host: its name on the virtio-fs device, else NULL */
    bool read_only;                 /* that of the volume or of the mount point (VOL-17) */
};

struct volume_plan {
    struct volume_mount *v;
    size_t n;
};

/*
 * Pairs the app's mounts and mount points with volumes: a mount names its
 * volume, or brings its own; a mount point that no mount has the path of takes the pod's volume
 * of its name, or an empty one of its own. Refused are unknown volumes, targets that are no
 * absolute path, that overlap (VOL-08), or that would hide /proc, /sys or /dev. Pure; free with
 * volume_plan_done().
 */
int volume_plan_make(const struct ac_pod_manifest *pod, const struct ac_pod_app *app,
                     struct volume_plan *ret, struct err *err);
void volume_plan_done(struct volume_plan *p);

/* Told about what a volume hides (VOL-07). */
typedef void volume_warn_fn(void *ctx, const char *text);

/*
 * Mounts the host's virtio-fs at EARLY_SHARES when the plan has a host volume and it is not there
 * yet. In init's own namespace, of which that of every later app is a copy.
 */
int volumes_mount_shares(const struct volume_plan *plan, struct err *err);

/*
 * Mounts the plan below rootfd. `root_path` is the path of that mount in the current namespace, by
 * which targets that links make overlap are found. `scratchfd` holds the empty volumes, which are
 * made when the first app needs them and are shared afterwards (VOL-18); one with from_image begins
 * as a copy of what this app's root has at the target.
 */
int volumes_mount(const struct volume_plan *plan, int rootfd, const char *root_path, int scratchfd,
                  volume_warn_fn *warn, void *ctx, struct err *err);

#endif
