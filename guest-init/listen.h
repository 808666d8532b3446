/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of ports that are socket-activated (APP-33, APP-34): open before the app runs. */
#ifndef APPC_GUEST_LISTEN_H
#define APPC_GUEST_LISTEN_H

#include <stddef.h>

#include "schema/manifest.h"

struct err;

/* Sockets of one app: select() and the usual limit of descriptors leave room for that many. */
#define LISTEN_MAX 256

/* The first descriptor that is passed, by the protocol of sd_listen_fds(). */
#define LISTEN_FIRST_FD 3

struct listen_set {
    int *fds;
    const char **names; /* of the port, for each descriptor; borrowed from the manifest */
    size_t n;
};

/*
 * Opens the sockets of an app's ports that are marked so: one for each port of a range, on all
 * addresses. TCP ones listen. A podPort of the pod takes the place of the port whose name its entry
 * has (POD-38). Release with listen_done(), also after a failure.
 */
int listen_open(const struct ac_pod_manifest *pod, const struct ac_app *app, struct listen_set *ret,
                struct err *err);

/* Closes the sockets: who has them inherited keeps them. */
void listen_done(struct listen_set *set);

/* In the child: puts the sockets at LISTEN_FIRST_FD and on, where they survive exec. -1 with errno.
 */
int listen_install(const struct listen_set *set);

/*
 * In the child: the environment with LISTEN_FDS, LISTEN_PID (the caller) and LISTEN_FDNAMES, in
 * place of what it says about these. Never freed, as the child executes.
 */
char *const *listen_environment(const struct listen_set *set, char *const *env);

#endif
