/* SPDX-License-Identifier: Apache-2.0 */
/* The queues of a vhost-user device: when they run. For vhost_user.c. */
#ifndef APPC_VMM_DEVICES_VHOST_USER_QUEUE_H
#define APPC_VMM_DEVICES_VHOST_USER_QUEUE_H

#include "vmm/devices/vhost_user.h"

/*
 * A queue runs while it has addresses and a kick descriptor, the features are set, and it is
 * enabled (or protocol features were not negotiated). `index` comes from the front end in all of
 * these and is checked. Functions that take a descriptor own it in every case.
 */

void vu_queues_init(struct vhost_user *vu);

/* Stops and forgets everything about all queues. */
void vu_queues_reset(struct vhost_user *vu);

/* Looks the addresses of running queues up again: the memory table has changed. */
int vu_queues_remap(struct vhost_user *vu, struct err *err);

/* Takes over negotiated features, which cannot change while a queue runs. */
int vu_set_features(struct vhost_user *vu, uint64_t features, struct err *err);

int vu_queue_check(const struct vhost_user *vu, uint32_t index, struct err *err);
int vu_queue_set_num(struct vhost_user *vu, uint32_t index, uint32_t num, struct err *err);
int vu_queue_set_base(struct vhost_user *vu, uint32_t index, uint32_t base, struct err *err);
int vu_queue_set_addr(struct vhost_user *vu, uint32_t index, const struct virtq_addr *addr,
                      struct err *err);
int vu_queue_set_kick(struct vhost_user *vu, uint32_t index, int fd, struct err *err);
int vu_queue_set_call(struct vhost_user *vu, uint32_t index, int fd, struct err *err);
int vu_queue_enable(struct vhost_user *vu, uint32_t index, bool on, struct err *err);

/* Stops the queue and tells where it would go on. */
int vu_queue_stop(struct vhost_user *vu, uint32_t index, uint16_t *ret_base, struct err *err);

#endif
