/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launch plan: all that the supervisor has to know to run one prepared
 * pod, as one JSON document that the command writes and hands over in a
 * descriptor. Descriptor numbers in it are inherited ones.
 */
#ifndef APPC_HOST_SUPERVISOR_PLAN_H
#define APPC_HOST_SUPERVISOR_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire.h"

struct err;

/* A part of a disk: `length` bytes of fd from `offset` on, or zeros when fd is -1. */
struct plan_extent {
    int fd;
    uint64_t offset;
    uint64_t length;
};

/* A directory or file of the host that the guest gets through virtio-fs. */
struct plan_share {
    char *name; /* wire_share_name() */
    int fd;     /* O_PATH */
    bool read_only;
    bool recursive; /* with what is mounted below */
};

struct plan {
    int pod_dir_fd;  /* <data>/pods/<uuid> */
    int lock_fd;     /* holds the pod's lock for as long as it is open */
    int kvm_fd;      /* -1: run under QEMU's TCG */
    int scratch_fd;  /* -1: no scratch disk */
    int metadata_fd; /* what appc-mds serves; -1: no metadata service */
    int ready_fd;    /* gets one byte when all apps are ready; -1: nobody waits */
    int output_fd;   /* standard output and error of the pod's apps; -1: logs only */
    int error_fd;
    unsigned cpus;
    uint64_t memory;         /* bytes */
    uint64_t block_bytes;    /* a second, on each disk: the pod's limits; 0: none */
    uint64_t block_requests; /* the same for their number */
    bool debug;
    bool report_json;   /* how --dry-run prints what became of the isolators */
    bool prefix_always; /* app names before lines, also where no terminal is */
    bool prefix_never;
    char *libexec; /* folder of appc-vmm, appc-dev-* and guest/ */
    char *qemu;    /* NULL with KVM */
    struct plan_extent *images;
    size_t nimages;
    struct plan_share *shares;
    size_t nshares;
    char *ownership;           /* of files on the shares: appc-dev-fs --ownership */
    struct wire_config config; /* clock_ns is set when it is sent */
};

/* Writes the plan (caller decrefs); reads it back, -1 when it is malformed. */
json_t *plan_encode(const struct plan *p);
int plan_decode(json_t *doc, struct plan *ret, struct err *err);

/* Releases the memory; the descriptors stay open. */
void plan_done(struct plan *p);

#endif
