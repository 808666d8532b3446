/* SPDX-License-Identifier: Apache-2.0 */
/* Starting one process of an app: everything between fork and exec. */
#ifndef APPC_GUEST_PROCESS_H
#define APPC_GUEST_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "guest-init/accounts.h"
#include "guest-init/isolate.h"
#include "guest-init/listen.h"

struct err;

struct process_spec {
    char *const *argv;
    char *const *env;
    const char *directory; /* working directory */
    const struct identity *identity;
    const uint32_t *groups; /* supplementary */
    size_t ngroups;
    const struct isolation *isolation;
    int mntns;  /* mount namespace whose root is the app's */
    int cgroup; /* directory of its control group; -1: none (tests) */
    int in, out, err;
    const struct listen_set *sockets; /* passed to the program; NULL or empty: none */
};

/* Written by the child without a system call, as a filter may forbid every one. */
struct process_failure {
    volatile int failed;
    char msg[512];
};

struct process {
    pid_t pid;
    int started; /* reaches its end when the program runs, or the child is gone */
    struct process_failure *failure;
};

/*
 * Forks. The child enters the app's namespace and control group, takes the
 * app's identity, capabilities, working directory and seccomp filter, and
 * executes argv[0] as exec_program() does. When `started` becomes readable, process_result()
 * tells how that went. Fails only when there is no child.
 */
int process_start(const struct process_spec *spec, struct process *ret, struct err *err);

/* After `started` became readable: 0 the program runs, -1 it could not and *err says why. */
int process_result(struct process *p, struct err *err);

/* Releases the descriptor and the shared page, not the process. */
void process_done(struct process *p);

#endif
