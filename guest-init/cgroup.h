/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups: one for init, one for the pod, and one in it for each app. */
#ifndef APPC_GUEST_CGROUP_H
#define APPC_GUEST_CGROUP_H

#include <stdbool.h>

struct err;

/* Below this the apps' groups lie; limits on it bound the whole pod (ISO-04). */
#define CGROUP_POD "pod"

/*
 * Turns on every controller for the pod and its apps, and moves init into a
 * group of its own with protected memory. `root` is the mounted cgroup2 tree.
 */
int cgroup_setup(const char *root, struct err *err);

/*
 * Makes the group of an app and returns its directory's descriptor; *ret_events is
 * its cgroup.events, which reports EPOLLPRI when the group becomes empty.
 */
int cgroup_make_app(const char *root, const char *name, int *ret_events, struct err *err);

/* The pod's group. */
int cgroup_open_pod(const char *root, struct err *err);

/*
 * Restricts the processes of the group and of all below it to the devices that
 * every app has in /dev: a node that an app makes itself opens nothing more.
 */
int cgroup_filter_devices(int dirfd, struct err *err);

/* Writes one value to a file of a group; 0, or -1 with errno. */
int cgroup_write(int dirfd, const char *file, const char *value);

/* Whether any process lives in the group or below it. */
bool cgroup_populated(int events_fd);

/* Sends a signal to every process of the group; SIGKILL also to those born meanwhile. */
void cgroup_signal(int dirfd, int signo);

#endif
