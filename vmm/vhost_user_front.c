/* SPDX-License-Identifier: Apache-2.0 */
/* The vhost-user front end. */
#include "vmm/vhost_user_front.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/memory.h"
#include "vmm/vhost_user_msg.h"

/*
 * The protocol wants addresses of this process in ring addresses and in the
 * memory table, and translates one by the other. Ours are made up, so that a
 * device process learns nothing about the VMM's address space.
 */
#define USER_ADDR_BASE (1ull << 44)

/* The configuration is set by the driver, not restored from a snapshot. */
#define CONFIG_WRITABLE 0u

static bool has_protocol(const struct vhost_front *f, unsigned feature)
{
    return f->protocol_features & (1ull << feature);
}

static int send_request(struct vhost_front *f, uint32_t request, const void *payload, size_t len,
                        const int *fds, size_t nfds, struct err *err)
{
    if (vhost_send(f->sock, request, 0, payload, len, fds, nfds, VHOST_REPLY_MS, err))
        return err_prefix(err, "%s", f->name);
    return 0;
}

static int send_u64(struct vhost_front *f, uint32_t request, uint64_t value, struct err *err)
{
    return send_request(f, request, &value, sizeof(value), NULL, 0, err);
}

static int recv_exact(struct vhost_front *f, uint32_t request, void *payload, size_t len,
                      struct err *err)
{
    size_t got;

    if (vhost_recv_reply(f->sock, request, payload, len, &got, VHOST_REPLY_MS, err))
        return err_prefix(err, "%s", f->name);
    if (got != len)
        return err_set(err, 0, "%s: answers request %u with %zu bytes, not %zu", f->name, request,
                       got, len);
    return 0;
}

static int get_u64(struct vhost_front *f, uint32_t request, uint64_t *ret, struct err *err)
{
    if (send_request(f, request, NULL, 0, NULL, 0, err))
        return -1;
    return recv_exact(f, request, ret, sizeof(*ret), err);
}

static int make_eventfd(int *ret, struct err *err)
{
    *ret = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *ret < 0 ? err_set(err, errno, "can't make an eventfd") : 0;
}

int vhost_front_begin(struct vhost_front *f, int sock, unsigned nqueues, const char *name,
                      struct err *err)
{
    *f = (struct vhost_front){.sock = sock, .nqueues = nqueues, .call = -1};
    snprintf(f->name, sizeof(f->name), "%s", name);
    for (unsigned i = 0; i < VMM_QUEUES_MAX; i++)
        f->kick[i] = -1;
    for (unsigned i = 0; i < nqueues; i++)
        if (make_eventfd(&f->kick[i], err))
            return -1;
    if (make_eventfd(&f->call, err))
        return -1;
    return send_request(f, VHOST_GET_FEATURES, NULL, 0, NULL, 0, err);
}

void vhost_front_destroy(struct vhost_front *f)
{
    for (unsigned i = 0; i < VMM_QUEUES_MAX; i++) {
        if (f->kick[i] >= 0)
            close(f->kick[i]);
        f->kick[i] = -1;
    }
    if (f->call >= 0)
        close(f->call);
    f->call = -1;
}

/* Agrees on the protocol's extensions that are used here. */
static int negotiate_protocol(struct vhost_front *f, struct err *err)
{
    uint64_t ours = 1ull << VHOST_PROTOCOL_MQ | 1ull << VHOST_PROTOCOL_CONFIG;
    uint64_t theirs, queues;

    if (!(f->features & (1ull << VHOST_F_PROTOCOL_FEATURES)))
        return 0;
    if (get_u64(f, VHOST_GET_PROTOCOL_FEATURES, &theirs, err))
        return -1;
    f->protocol_features = theirs & ours;
    if (send_u64(f, VHOST_SET_PROTOCOL_FEATURES, f->protocol_features, err))
        return -1;
    if (!has_protocol(f, VHOST_PROTOCOL_MQ))
        return 0;
    if (get_u64(f, VHOST_GET_QUEUE_NUM, &queues, err))
        return -1;
    if (queues < f->nqueues)
        return err_set(err, 0, "%s: has %" PRIu64 " queues, not %u", f->name, queues, f->nqueues);
    return 0;
}

/* One attempt to read `size` bytes; *ret_ok is false when the device has not as many. */
static int try_config(struct vhost_front *f, uint32_t size, uint8_t *config, bool *ret_ok,
                      struct err *err)
{
    struct vhost_config c = {.size = size};
    size_t head = offsetof(struct vhost_config, data), got;

    if (send_request(f, VHOST_GET_CONFIG, &c, head + size, NULL, 0, err))
        return -1;
    if (vhost_recv_reply(f->sock, VHOST_GET_CONFIG, &c, sizeof(c), &got, VHOST_REPLY_MS, err))
        return err_prefix(err, "%s", f->name);
    *ret_ok = got == head + size && c.size == size;
    if (*ret_ok)
        memcpy(config, c.data, size);
    return 0;
}

/*
 * Only the device knows how long its configuration is, and some refuse a
 * request for more: halve it until it is granted.
 */
static int read_config(struct vhost_front *f, uint8_t *config, struct err *err)
{
    bool ok = false;

    memset(config, 0, VIRTIO_CONFIG_MAX);
    if (!has_protocol(f, VHOST_PROTOCOL_CONFIG))
        return 0;
    for (uint32_t size = VIRTIO_CONFIG_MAX; size >= 4 && !ok; size /= 2)
        if (try_config(f, size, config, &ok, err))
            return -1;
    return 0;
}

static int send_memory(struct vhost_front *f, const struct guest_memory *m, struct err *err)
{
    struct vhost_mem_table t = {.nregions = (uint32_t)m->nregions};
    int fds[MEMORY_REGIONS_MAX];

    for (size_t i = 0; i < m->nregions; i++) {
        const struct memory_region *r = &m->regions[i];

        t.regions[i] = (struct vhost_region){r->gpa, r->size, r->gpa + USER_ADDR_BASE, r->offset};
        fds[i] = m->fd;
    }
    return send_request(f, VHOST_SET_MEM_TABLE, &t,
                        offsetof(struct vhost_mem_table, regions) +
                            m->nregions * sizeof(t.regions[0]),
                        fds, m->nregions, err);
}

int vhost_front_finish(struct vhost_front *f, const struct guest_memory *m,
                       uint8_t ret_config[VIRTIO_CONFIG_MAX], struct err *err)
{
    if (recv_exact(f, VHOST_GET_FEATURES, &f->features, sizeof(f->features), err) ||
        negotiate_protocol(f, err) || send_request(f, VHOST_SET_OWNER, NULL, 0, NULL, 0, err) ||
        read_config(f, ret_config, err))
        return -1;
    return send_memory(f, m, err);
}

static int send_fd(struct vhost_front *f, uint32_t request, unsigned index, int fd, struct err *err)
{
    uint64_t value = index;

    return send_request(f, request, &value, sizeof(value), &fd, 1, err);
}

static int send_state(struct vhost_front *f, uint32_t request, unsigned index, uint32_t num,
                      struct err *err)
{
    struct vhost_vring_state s = {index, num};

    return send_request(f, request, &s, sizeof(s), NULL, 0, err);
}

static int start_queue(struct vhost_front *f, unsigned i, const struct virtio_queue *q,
                       struct err *err)
{
    struct vhost_vring_addr a = {
        .index = i,
        .desc = q->desc + USER_ADDR_BASE,
        .used = q->used + USER_ADDR_BASE,
        .avail = q->avail + USER_ADDR_BASE,
    };

    if (send_state(f, VHOST_SET_VRING_NUM, i, q->size, err) ||
        send_state(f, VHOST_SET_VRING_BASE, i, 0, err) ||
        send_request(f, VHOST_SET_VRING_ADDR, &a, sizeof(a), NULL, 0, err) ||
        send_fd(f, VHOST_SET_VRING_CALL, i, f->call, err) ||
        send_fd(f, VHOST_SET_VRING_KICK, i, f->kick[i], err))
        return -1;
    if (f->features & (1ull << VHOST_F_PROTOCOL_FEATURES))
        return send_state(f, VHOST_SET_VRING_ENABLE, i, 1, err);
    return 0;
}

static int front_start(void *self, const struct virtio_mmio *d, struct err *err)
{
    struct vhost_front *f = self;
    uint64_t features = d->driver_features | (f->features & (1ull << VHOST_F_PROTOCOL_FEATURES));

    if (send_u64(f, VHOST_SET_FEATURES, features, err))
        return -1;
    for (unsigned i = 0; i < d->nqueues; i++)
        if (d->queues[i].ready && start_queue(f, i, &d->queues[i], err))
            return -1;
    return 0;
}

/* GET_VRING_BASE stops a ring, and its reply says that the device has let go of it. */
static int front_stop(void *self, const struct virtio_mmio *d, struct err *err)
{
    struct vhost_front *f = self;
    struct vhost_vring_state s;

    for (unsigned i = 0; i < d->nqueues; i++) {
        if (!d->queues[i].ready)
            continue;
        if (send_state(f, VHOST_GET_VRING_BASE, i, 0, err) ||
            recv_exact(f, VHOST_GET_VRING_BASE, &s, sizeof(s), err))
            return -1;
    }
    return 0;
}

static int front_write_config(void *self, uint32_t off, const void *data, uint32_t len,
                              uint8_t config[VIRTIO_CONFIG_MAX], struct err *err)
{
    struct vhost_front *f = self;
    struct vhost_config c = {.offset = off, .size = len, .flags = CONFIG_WRITABLE};

    if (!has_protocol(f, VHOST_PROTOCOL_CONFIG))
        return 0;
    memcpy(c.data, data, len);
    if (send_request(f, VHOST_SET_CONFIG, &c, offsetof(struct vhost_config, data) + len, NULL, 0,
                     err))
        return -1;
    return read_config(f, config, err);
}

const struct virtio_backend vhost_front_backend = {
    .start = front_start,
    .stop = front_stop,
    .write_config = front_write_config,
};
