/* SPDX-License-Identifier: Apache-2.0 */
/* What spec/OS-SPEC.md wants in /dev, /proc and /sys of every app. */
#ifndef APPC_GUEST_DEVICES_H
#define APPC_GUEST_DEVICES_H

struct err;

/*
 * Mounts /dev with its nodes, /dev/pts, /dev/shm (shared by the pod: POD-03) and
 * /dev/mqueue, copies of the templates of /proc and /sys, and a read-only view of
 * the control group `cgroup` at /sys/fs/cgroup. Missing directories are made.
 */
int devices_mount(int rootfd, const char *cgroup, struct err *err);

#endif
