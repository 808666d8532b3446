/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front-end side of vhost-user: one device process behind a socket.
 *
 * It knows no device: features, configuration and rings are forwarded. Every
 * reply is waited for with a deadline and checked, as the device process may
 * have been taken over by its guest. Written after the vhost-user
 * protocol's documentation (QEMU, docs/interop/vhost-user.rst).
 */
#ifndef APPC_VMM_VHOST_USER_FRONT_H
#define APPC_VMM_VHOST_USER_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/options.h"
#include "vmm/virtio_mmio.h"

struct err;
struct guest_memory;

/* How long a reply may take. Only a device process that hangs needs it: a dead one hangs up. */
#define VHOST_REPLY_MS 10000

struct vhost_front {
    int sock; /* belongs to the caller */
    char name[32];
    uint64_t features;          /* offered by the device */
    uint64_t protocol_features; /* negotiated */
    unsigned nqueues;
    int kick[VMM_QUEUES_MAX]; /* eventfds; the guest's QueueNotify writes them */
    int call;                 /* eventfd; the device writes it, KVM raises the line */
};

/* What virtio_mmio calls; `self` is a struct vhost_front. */
extern const struct virtio_backend vhost_front_backend;

/*
 * Makes the eventfds and sends the first request, so that the device works on it while
 * the caller does other things. `name` is for messages. vhost_front_destroy() closes the eventfds.
 */
int vhost_front_begin(struct vhost_front *f, int sock, unsigned nqueues, const char *name,
                      struct err *err);
void vhost_front_destroy(struct vhost_front *f);

/*
 * The rest of the introduction: features, protocol features, number of
 * queues, configuration (zeros where the device has none), the memory table.
 */
int vhost_front_finish(struct vhost_front *f, const struct guest_memory *m,
                       uint8_t ret_config[VIRTIO_CONFIG_MAX], struct err *err);

#endif
