/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport: the back-end half of the vhost-user protocol on a connected stream socket. The
 * front end may be hostile (it shares a process with the guest's emulation): sizes, indices,
 * addresses and numbers of descriptors are all checked, and a violation ends the device.
 */
#ifndef APPC_VMM_DEVICES_VHOST_USER_H
#define APPC_VMM_DEVICES_VHOST_USER_H

#include <stdbool.h>

#include "vmm/devices/device.h"
#include "vmm/devices/vhost_user_proto.h"

struct err;
struct vhost_user;

/* A queue as the protocol sees it. */
struct vu_queue {
    struct vhost_user *vu;
    struct loop_source kick; /* fd -1: none */
    bool has_addr;
    bool enabled;
};

struct vhost_user {
    struct device *dev;
    int sock;
    bool closed; /* the front end has gone */
    uint64_t protocol_features;
    struct loop_source source;
    struct vu_queue queues[DEVICE_QUEUES_MAX];
};

/* Starts to listen on `sock`, which stays the caller's, for a device that is initialised. */
int vhost_user_init(struct vhost_user *vu, struct device *dev, int sock, struct err *err);

/* Stops all queues and closes what the front end has sent. */
void vhost_user_free(struct vhost_user *vu);

/*
 * Reads and answers one message: 0, or -1 when it is malformed. The end of the stream sets
 * vu->closed. Blocks while a message is only half there.
 */
int vhost_user_receive(struct vhost_user *vu, struct err *err);

/* Serves until the front end closes the socket (0) or something is wrong (-1). */
int vhost_user_serve(struct device *dev, int sock, struct err *err);

#endif
