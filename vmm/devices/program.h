/* SPDX-License-Identifier: Apache-2.0 */
/* What the main() of all device programs has in common: options, jail, end. */
#ifndef APPC_VMM_DEVICES_PROGRAM_H
#define APPC_VMM_DEVICES_PROGRAM_H

#include <getopt.h>

#include "vmm/devices/device.h"
#include "vmm/jail.h"

/* One option of a program, which takes an argument exactly when `takes` is "value". */
struct program_option {
    const char *name;
    const char *value; /* how the argument is called in the help text, or NULL */
    const char *help;
    /* -1 with *err when the argument is wrong. */
    int (*set)(void *self, const char *arg, struct err *err);
};

#define PROGRAM_FDS_MAX     4096
#define PROGRAM_OPTIONS_MAX 8

/* A device program. Zero-initialise what is not used. */
struct program {
    const char *name; /* appc-dev-KIND */
    const char *about;
    const struct program_option *options; /* besides those of all programs */
    size_t noptions;
    const struct jail_rule *rules; /* besides those of all programs */
    size_t nrules;
    unsigned long nofile; /* descriptors the device may want */
    bool files;           /* as in struct jail_spec ... */
    struct jail_tree *trees;
    size_t ntrees;

    /* Inside the jail: sets the device up from its options. */
    int (*init)(void *self, struct device **ret_dev, struct err *err);
    void *self;

    int fds[PROGRAM_FDS_MAX]; /* named on the command line: they stay open */
    size_t nfds;
};

/* The whole life of the process; returns its exit status. */
int program_main(struct program *p, int argc, char **argv);

/* Ends the process without running what libraries have left for exit(): the jail has no room for
 * it. */
_Noreturn void program_exit(int status);

/* For options: parses a descriptor number and keeps that descriptor open. */
int program_fd(struct program *p, const char *arg, int *ret_fd, struct err *err);

/* Keeps descriptor fd open in the jail. */
int program_keep_fd(struct program *p, int fd, struct err *err);

#endif
