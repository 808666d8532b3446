/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of appc-vmm: descriptors and sizes, never a path. */
#ifndef APPC_VMM_OPTIONS_H
#define APPC_VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* One I/O APIC has 24 pins, and pins 5 to 23 are free for devices. */
#define VMM_DEVICES_MAX 19
#define VMM_QUEUES_MAX  16
#define VMM_CPUS_MAX    64
#define VMM_MEMORY_MIN  (32ull << 20)
#define VMM_MEMORY_MAX  (1ull << 40)
/* The kernel's COMMAND_LINE_SIZE, with the terminating NUL. */
#define VMM_CMDLINE_MAX 2048

/* --device=ID:QUEUES:FD, in the order of the command line. */
struct device_option {
    uint32_t id;     /* virtio device id, 1..63 */
    unsigned queues; /* 1..VMM_QUEUES_MAX */
    int fd;          /* connected vhost-user socket */
};

/* Descriptors are -1 when they were not given. Strings belong to argv. */
struct options {
    bool probe;
    int kvm_fd;
    int kernel_fd;
    int initrd_fd;
    int serial_fd;
    int stats_fd;
    const char *cmdline;
    uint64_t memory; /* bytes */
    unsigned cpus;
    struct device_option devices[VMM_DEVICES_MAX];
    size_t ndevices;
};

/*
 * Parses the arguments after argv[0]. Everything must be NAME=VALUE; an
 * unknown name, a value out of bounds, a repeated option and a missing one
 * are errors that quote the argument. *ret is untouched on failure.
 */
int options_parse(int argc, char *const *argv, struct options *ret, struct err *err);

#endif
