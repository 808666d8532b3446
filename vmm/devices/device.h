/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract between a virtio device and its transport. A device (blk.c, vsock.c, rng.c) embeds
 * struct device, fills in what it offers and has operations; vhost_user.c drives them for a front
 * end. A device process is one thread:
 *
 *   program_start() -> jail -> device_init() -> device's own set-up -> jail_seal()
 *   -> vhost_user_serve(): the loop calls ops->run() for each kick, and the handlers of the
 *      descriptors that the device has added to device->loop itself
 */
#ifndef APPC_VMM_DEVICES_DEVICE_H
#define APPC_VMM_DEVICES_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/devices/loop.h"
#include "vmm/devices/mem.h"
#include "vmm/devices/virtq.h"

struct err;
struct device;

#define DEVICE_QUEUES_MAX 16
#define DEVICE_CONFIG_MAX 256 /* the largest device configuration that vhost-user can carry */

/* Exit statuses of a device process. */
enum device_exit {
    DEVICE_EXIT_OK = 0,        /* the front end closed its socket */
    DEVICE_EXIT_FAILED = 1,    /* the process could not start or go on */
    DEVICE_EXIT_USAGE = 2,     /* the command line is wrong */
    DEVICE_EXIT_MALFORMED = 3, /* the guest broke a ring or the front end the protocol */
};

struct device_ops {
    const char *name; /* for messages */

    /*
     * Requests may be waiting in queue q, which is running. Works a bounded number of them off and
     * calls virtq_flush(); when more are left, it calls device_again(). -1 when the ring is
     * malformed. Called at the start of a queue too, as a kick may have come before.
     */
    int (*run)(struct device *d, unsigned q, struct err *err);

    /* Queue q has stopped: nothing of it may be touched. May be NULL. */
    void (*stopped)(struct device *d, unsigned q);

    /*
     * Whether work is left that has to be done although the front end has gone: the loop goes on
     * until it is done. May be NULL.
     */
    bool (*busy)(const struct device *d);

    /*
     * The driver writes `len` bytes at `off` of the configuration, inside config_len. May be NULL
     * for a configuration without writable fields. -1 when it is refused.
     */
    int (*set_config)(struct device *d, size_t off, const void *data, size_t len);
};

struct device {
    const struct device_ops *ops;
    uint64_t offered;   /* the device's own features; the transport adds those of the rings */
    unsigned nqueues;   /* at most DEVICE_QUEUES_MAX */
    const void *config; /* device configuration space, little-endian; owned by the device */
    size_t config_len;

    /* The transport's. */
    struct loop loop;
    struct mem mem;
    struct virtq queues[DEVICE_QUEUES_MAX];
    uint64_t features; /* negotiated */
    uint32_t again;    /* queues to run again, a bit each */
};

/* Sets up loop and queues; the device has set its own fields before. */
int device_init(struct device *d, struct err *err);

/* Unmaps guest memory and closes the loop. */
void device_free(struct device *d);

/* The queue is to be run again after the other descriptors have had their turn. */
static inline void device_again(struct device *d, unsigned q)
{
    d->again |= 1U << q;
}

/* Runs queue q if it is running; the device's name is put before an error. */
int device_run(struct device *d, unsigned q, struct err *err);

/* One round of the loop and of the queues that asked to be run again. */
int device_turn(struct device *d, struct err *err);

/* Whether the driver has accepted feature number `bit`. */
static inline bool device_has(const struct device *d, unsigned bit)
{
    return d->features >> bit & 1;
}

#endif
