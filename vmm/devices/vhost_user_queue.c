/* SPDX-License-Identifier: Apache-2.0 */
/* The queues of a vhost-user device: when they run. */
#include "vmm/devices/vhost_user_queue.h"

#include <linux/virtio_config.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/*
 * Kick descriptors are watched edge-triggered and never read: every write to an eventfd is an edge
 * of its own, so reading it would only be one more system call for each kick.
 */
static int on_kick(void *data, uint32_t events, struct err *err)
{
    struct vu_queue *q = data;
    (void)events;
    return device_run(q->vu->dev, (unsigned)(q - q->vu->queues), err);
}

void vu_queues_init(struct vhost_user *vu)
{
    for (unsigned i = 0; i < DEVICE_QUEUES_MAX; i++) {
        struct vu_queue *q = &vu->queues[i];
        *q = (struct vu_queue){.vu = vu, .kick = {.fd = -1, .handle = on_kick, .data = q}};
    }
}

static void drop_kick(struct vu_queue *q)
{
    if (q->kick.fd < 0)
        return;
    loop_remove(&q->vu->dev->loop, &q->kick);
    close(q->kick.fd);
    q->kick.fd = -1;
}

static void drop_call(struct virtq *vq)
{
    if (vq->call_fd >= 0)
        close(vq->call_fd);
    vq->call_fd = -1;
}

static void stop(struct vhost_user *vu, unsigned i)
{
    struct device *d = vu->dev;
    d->again &= ~(1U << i);
    if (!d->queues[i].running)
        return;
    virtq_flush(&d->queues[i]);
    virtq_stop(&d->queues[i]);
    if (d->ops->stopped)
        d->ops->stopped(d, i);
}

void vu_queues_reset(struct vhost_user *vu)
{
    for (unsigned i = 0; i < vu->dev->nqueues; i++) {
        stop(vu, i);
        drop_kick(&vu->queues[i]);
        drop_call(&vu->dev->queues[i]);
        vu->queues[i].has_addr = false;
        vu->queues[i].enabled = false;
        vu->dev->queues[i].last_avail = 0;
        vu->dev->queues[i].num = 0;
    }
}

int vu_queues_remap(struct vhost_user *vu, struct err *err)
{
    for (unsigned i = 0; i < vu->dev->nqueues; i++) {
        struct virtq *vq = &vu->dev->queues[i];
        if (vq->running && virtq_remap(vq, err))
            return -1;
    }
    return 0;
}

int vu_set_features(struct vhost_user *vu, uint64_t features, struct err *err)
{
    struct device *d = vu->dev;
    for (unsigned i = 0; i < d->nqueues; i++) {
        if (d->queues[i].running && features != d->features)
            return err_set(err, 0, "features change while queue %u runs", i);
    }
    d->features = features;
    return 0;
}

int vu_queue_check(const struct vhost_user *vu, uint32_t index, struct err *err)
{
    if (index >= vu->dev->nqueues)
        return err_set(err, 0, "queue %u does not exist", index);
    return 0;
}

/* Starts or stops the queue after one of the conditions has changed. */
static int update(struct vhost_user *vu, unsigned i, struct err *err)
{
    struct vu_queue *q = &vu->queues[i];
    struct device *d = vu->dev;
    struct virtq *vq = &d->queues[i];
    bool enabled = q->enabled || !device_has(d, VU_F_PROTOCOL_FEATURES);
    if (!(enabled && q->has_addr && q->kick.fd >= 0)) {
        stop(vu, i);
        return 0;
    }
    if (vq->running)
        return 0;
    if (!device_has(d, VIRTIO_F_VERSION_1))
        return err_set(err, 0, "queue %u: the driver does not speak virtio 1", i);
    if (virtq_start(vq, d->features, err))
        return -1;
    /* A kick may have come already. It is run from the loop, so that messages go first. */
    device_again(d, i);
    return 0;
}

static int check_stopped(const struct vhost_user *vu, uint32_t index, struct err *err)
{
    if (vu_queue_check(vu, index, err))
        return -1;
    if (vu->dev->queues[index].running)
        return err_set(err, 0, "queue %u runs and cannot be changed", index);
    return 0;
}

int vu_queue_set_num(struct vhost_user *vu, uint32_t index, uint32_t num, struct err *err)
{
    if (check_stopped(vu, index, err))
        return -1;
    vu->dev->queues[index].num = num;
    return 0;
}

int vu_queue_set_base(struct vhost_user *vu, uint32_t index, uint32_t base, struct err *err)
{
    if (check_stopped(vu, index, err))
        return -1;
    if (base > UINT16_MAX)
        return err_set(err, 0, "queue %u: %u is not an index", index, base);
    vu->dev->queues[index].last_avail = (uint16_t)base;
    return 0;
}

int vu_queue_set_addr(struct vhost_user *vu, uint32_t index, const struct virtq_addr *addr,
                      struct err *err)
{
    if (vu_queue_check(vu, index, err))
        return -1;
    struct virtq *vq = &vu->dev->queues[index];
    vq->addr = *addr;
    vu->queues[index].has_addr = true;
    if (vq->running)
        return virtq_remap(vq, err);
    return update(vu, index, err);
}

int vu_queue_set_kick(struct vhost_user *vu, uint32_t index, int fd, struct err *err)
{
    cleanup_close int owned = fd;
    if (vu_queue_check(vu, index, err))
        return -1;
    if (fd < 0)
        return err_set(err, 0, "queue %u: there is no kick descriptor", index);
    struct vu_queue *q = &vu->queues[index];
    drop_kick(q);
    q->kick.fd = fd;
    if (loop_add(&vu->dev->loop, &q->kick, EPOLLIN | EPOLLET, err)) {
        q->kick.fd = -1;
        return -1;
    }
    (void)take_fd(owned);
    return update(vu, index, err);
}

int vu_queue_set_call(struct vhost_user *vu, uint32_t index, int fd, struct err *err)
{
    cleanup_close int owned = fd;
    if (vu_queue_check(vu, index, err))
        return -1;
    drop_call(&vu->dev->queues[index]);
    vu->dev->queues[index].call_fd = take_fd(owned);
    return 0;
}

int vu_queue_enable(struct vhost_user *vu, uint32_t index, bool on, struct err *err)
{
    if (vu_queue_check(vu, index, err))
        return -1;
    vu->queues[index].enabled = on;
    return update(vu, index, err);
}

int vu_queue_stop(struct vhost_user *vu, uint32_t index, uint16_t *ret_base, struct err *err)
{
    if (vu_queue_check(vu, index, err))
        return -1;
    stop(vu, index);
    drop_kick(&vu->queues[index]);
    *ret_base = vu->dev->queues[index].last_avail;
    return 0;
}
