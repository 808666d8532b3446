/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes of a pod: the VMM and the device processes. */
#ifndef APPC_HOST_SUPERVISOR_CHILD_H
#define APPC_HOST_SUPERVISOR_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "host/supervisor/loop.h"

struct err;

#define CHILD_LINE_MAX 512

/*
 * One child. Its standard error is a pipe whose lines go to `log_fd` and the
 * last of which is kept for the message when the child fails.
 */
struct child {
    struct watch watch;  /* first member: the pidfd */
    struct watch errors; /* read end of standard error */
    struct loop *loop;
    const char *name; /* for messages; not owned */
    pid_t pid;        /* 0: never started; stays set after the end */
    bool running;
    bool errors_open;
    int wstatus; /* of waitpid, once it has ended */
    int log_fd;
    bool echo; /* also copy the lines to the supervisor's standard error */
    struct buf line;
    char last_line[CHILD_LINE_MAX];
    void (*ended)(struct child *c); /* called once */
    void *ctx;
};

/* Arguments under construction: strings, and the descriptors that the child inherits. */
struct child_args {
    char **argv; /* NULL-terminated */
    size_t argc;
    size_t cap;
    int *fds;
    size_t nfds;
    size_t fds_cap;
};

void child_arg(struct child_args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Marks fd as inherited (its number stays) and returns it. */
int child_arg_fd(struct child_args *a, int fd);

void child_args_done(struct child_args *a);

/*
 * Starts the program argv[0] with exactly the descriptors of `a`, standard
 * input and output on /dev/null, an empty environment, and SIGKILL when the
 * supervisor dies. name, log_fd, echo, ended and ctx of *c are set by the caller.
 */
int child_start(struct child *c, struct loop *l, const struct child_args *a, struct err *err);

/* SIGKILL, if it runs. The end is still reported by the loop. */
void child_kill(struct child *c);

/* "NAME: last line", or how it ended when it said nothing. */
void child_reason(const struct child *c, struct err *err);

/* Waits for the child's end if it still runs (it was killed) and releases everything. */
void child_done(struct child *c);

#endif
