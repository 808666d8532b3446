/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of a process that faces a guest.
 *
 * Theory of operation. Such a process is started with descriptors and options only, and shuts
 * itself in before it reads a byte that somebody else wrote:
 *
 *   1. jail_enter(): limits; every descriptor that is not named is closed; the user becomes
 *      an unprivileged one (but see jail_spec.files); new user, mount, network, IPC and UTS
 * namespaces; the root directory becomes an empty read-only tmpfs; Landlock refuses all access to
 * files; no capabilities.
 *   2. the process makes what it needs (epoll, timers, a virtual machine)
 *   3. jail_seal(): a seccomp filter that kills the process at the first system call which is not
 *      on its list.
 *
 * Where the host has no user namespaces for the caller, step 1 leaves the namespaces and the empty
 * root out and the rest has to do: jail_enter() says which level was reached. There is no new pid
 * namespace: it would only hold for children, which the process cannot have, and no system call on
 * the lists takes a pid.
 */
#ifndef APPC_VMM_JAIL_H
#define APPC_VMM_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* From weak to strong. Each has all of what stands before it. */
enum jail_level {
    JAIL_SECCOMP,    /* descriptors, limits, no privileges, and (after jail_seal) seccomp */
    JAIL_LANDLOCK,   /* no access to files by path */
    JAIL_NAMESPACES, /* own namespaces and an empty root */
};

/*
 * A file or directory whose content stays within reach of a process that serves files. Reading is
 * always granted; where the kernel has Landlock with REFER (Linux 5.19), all else is refused.
 */
struct jail_tree {
    int fd; /* O_PATH or open for reading; the caller's */
    bool read_only;
};

struct jail_spec {
    const int *fds; /* stay open, besides 0, 1 and 2; in any order */
    size_t nfds;
    /*
     * The process serves files of the user who started it (appc-dev-fs): it stays that user, who is
     * user 0 in its namespace. Of root's rights it keeps those over files (CAP_CHOWN,
     * CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID), in a namespace that has all ids but no power over
     * anything else.
     */
    bool files;
    const struct jail_tree *trees; /* only with `files` */
    size_t ntrees;
    unsigned long nofile; /* limit of open descriptors; lowered to the hard limit */
    /*
     * Processes and threads that the user may have, 0 for no new one; JAIL_NPROC_KEEP leaves the
     * limit as it is, for a program that makes threads (its filter should watch clone).
     */
    unsigned long nproc;
};
#define JAIL_NPROC_KEEP (~0UL)

/*
 * Shuts the process in, except for system calls: the level reached (>= 0), or -1 when even the
 * weakest one was not. The process has one thread. Its parent-death signal is kept; if the parent
 * has died meanwhile, the process ends.
 */
int jail_enter(const struct jail_spec *spec, struct err *err);

/*
 * An allowed system call. With `mask` 0 it is allowed with any arguments, else when
 * (argument number `arg` & mask) == value. Several rules for one call are alternatives.
 */
struct jail_rule {
    int nr; /* SCMP_SYS(name) */
    unsigned arg;
    uint64_t mask;
    uint64_t value;
};

/*
 * From here on the calls in `rules` (and `more`, if not NULL) are all there is; any other kills the
 * process. Holds for every thread that exists. 0 or -1.
 */
int jail_seal(const struct jail_rule *rules, size_t nrules, const struct jail_rule *more,
              size_t nmore, struct err *err);

/*
 * Which level jail_enter() would reach for a process started by this one, found by trying in a
 * child. -1 when the child could not be made.
 */
int jail_probe(struct err *err);

/* "namespaces", "landlock" or "seccomp". */
const char *jail_level_name(enum jail_level level);

#endif
