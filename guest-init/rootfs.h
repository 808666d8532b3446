/* SPDX-License-Identifier: Apache-2.0 */
/* The root file system of one app, in a mount namespace of its own. */
#ifndef APPC_GUEST_ROOTFS_H
#define APPC_GUEST_ROOTFS_H

#include <stdbool.h>

#include "guest-init/accounts.h"
#include "guest-init/volumes.h"
#include "schema/manifest.h"

struct err;

/* What an app's root is made from. */
struct rootfs_spec {
    const char *app_name;
    const char *device;              /* block device with the EROFS file system */
    const char *hostname;            /* for /etc/hosts */
    const char *hosts, *resolv_conf; /* what the files become; NULL: see below */
    const char *cgroup;              /* absolute path of the app's control group in init's tree */
    const char *user, *group;
    const struct volume_plan *volumes;
    bool read_only;
    bool notify; /* with a socket for sd_notify() */
    void (*warn)(void *ctx, const char *app_name, const char *text);
    void *ctx;
};

struct rootfs {
    int mntns;  /* descriptor of the namespace whose root is the app's root */
    int notify; /* the socket that was asked for, -1 without */
    struct identity identity;
};

/*
 * Builds the root: an overlay over the image (RENDER-01, RENDER-11), kernel file systems and
 * devices (spec/OS-SPEC.md), volumes, /etc/hosts as given or if there is none, /etc/resolv.conf if
 * given; read-only at last when asked for (RENDER-02). `init_ns` is init's own namespace, to which
 * the caller, who must have one thread, returns in every case. Release with rootfs_done().
 */
int rootfs_build(const struct rootfs_spec *spec, int init_ns, struct rootfs *ret, struct err *err);

void rootfs_done(struct rootfs *r);

#endif
