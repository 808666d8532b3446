/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-vsock: the device and the packets from the guest. */
#include "vmm/devices/vsock.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/io.h"

/* Packets worked off before the other descriptors have their turn. */
#define VSOCK_BATCH 64

static struct vsock *vsock_of(struct device *d)
{
    return (struct vsock *)((char *)d - offsetof(struct vsock, dev));
}

static void on_request(struct vsock *v, struct vsock_conn *c, const struct virtio_vsock_hdr *h)
{
    if (c) {
        vsock_conn_kill(c);
        return;
    }
    c = vsock_conn_open(v, h);
    if (!c) {
        vsock_reset(v, le32toh(h->src_port), le32toh(h->dst_port));
        return;
    }
    vsock_conn_credit(c, h);
    vsock_ready(c);
}

static void on_conn_packet(struct vsock_conn *c, const struct virtio_vsock_hdr *h,
                           struct iovs payload)
{
    vsock_conn_credit(c, h);
    switch (le16toh(h->op)) {
    case VIRTIO_VSOCK_OP_RW:
        if (vsock_conn_data(c, payload))
            vsock_conn_kill(c);
        return;
    case VIRTIO_VSOCK_OP_SHUTDOWN:
        vsock_conn_shutdown(c, le32toh(h->flags) & VSOCK_SHUT_BOTH);
        return;
    case VIRTIO_VSOCK_OP_RST:
        vsock_conn_reset_by_guest(c);
        return;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
        return;
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
        c->owes |= VSOCK_OWES_CREDIT;
        vsock_ready(c);
        return;
    default:
        /* RESPONSE answers a request that the host never makes; the rest is unknown. */
        vsock_conn_kill(c);
    }
}

/* Works off the packet in v->chain. Of malformed ones only what cannot be answered is dropped. */
static void packet(struct vsock *v)
{
    struct virtio_vsock_hdr h;
    struct iovs *data = &v->chain.readable;
    if (iovs_read(data, &h, sizeof(h)) < sizeof(h))
        return;
    iovs_drop(data, sizeof(h));
    uint32_t guest_port = le32toh(h.src_port), host_port = le32toh(h.dst_port);
    uint16_t op = le16toh(h.op);
    uint32_t len = le32toh(h.len);
    if (le64toh(h.src_cid) != v->guest_cid)
        return;
    struct vsock_conn *c = NULL;
    if (le64toh(h.dst_cid) == VSOCK_HOST_CID && le16toh(h.type) == VIRTIO_VSOCK_TYPE_STREAM)
        c = vsock_conn_find(v, guest_port, host_port);
    else if (op == VIRTIO_VSOCK_OP_REQUEST)
        op = VIRTIO_VSOCK_OP_INVALID;
    bool malformed = len > data->len || len > VSOCK_PACKET_MAX;
    if (!malformed && op == VIRTIO_VSOCK_OP_REQUEST)
        on_request(v, c, &h);
    else if (!malformed && c) {
        iovs_drop_end(data, data->len - len);
        on_conn_packet(c, &h, *data);
    } else if (c)
        vsock_conn_kill(c);
    else if (op != VIRTIO_VSOCK_OP_RST)
        vsock_reset(v, guest_port, host_port);
}

static int run_tx(struct vsock *v, struct err *err)
{
    struct virtq *q = &v->dev.queues[VSOCK_TX];
    bool more = true;
    virtq_kicks_off(q);
    for (unsigned n = 0; more && n < VSOCK_BATCH; n++) {
        v->tx_waits = v->resets_len >= VSOCK_RESETS_MAX;
        if (v->tx_waits)
            break;
        int r = virtq_pop(q, &v->chain, err);
        if (r < 0)
            return -1;
        if (r == 0) {
            more = virtq_kicks_on(q);
            continue;
        }
        packet(v);
        virtq_push(q, v->chain.head, 0);
    }
    virtq_flush(q);
    if (more && !v->tx_waits)
        device_again(&v->dev, VSOCK_TX);
    return vsock_pump(v, err);
}

static int vsock_run(struct device *d, unsigned q, struct err *err)
{
    struct vsock *v = vsock_of(d);
    switch (q) {
    case VSOCK_RX:
        return vsock_pump(v, err);
    case VSOCK_TX:
        return run_tx(v, err);
    default:
        return 0; /* there are no events, so the guest's buffers for them stay where they are */
    }
}

/*
 * A guest that stops its tx queue resets the device: its connections are over. What they still hold
 * for the host is drained as after a reset.
 */
static void vsock_stopped(struct device *d, unsigned q)
{
    struct vsock *v = vsock_of(d);
    if (q != VSOCK_TX)
        return;
    for (unsigned i = 0; i < VSOCK_BUCKETS; i++) {
        while (v->buckets[i])
            vsock_conn_reset_by_guest(v->buckets[i]);
    }
    v->resets_len = 0;
    v->tx_waits = false;
}

/* Bytes for the host that its sockets have not taken yet. */
static bool vsock_busy(const struct device *d)
{
    const struct vsock *v = (const struct vsock *)((const char *)d - offsetof(struct vsock, dev));
    for (const struct vsock_conn *c = TAILQ_FIRST(&v->all); c; c = TAILQ_NEXT(c, all_link)) {
        if (c->ring.len)
            return true;
    }
    return false;
}

static const struct device_ops vsock_ops = {
    .name = "vsock",
    .run = vsock_run,
    .stopped = vsock_stopped,
    .busy = vsock_busy,
};

int vsock_init(struct vsock *v, uint64_t guest_cid, int connect_fd, unsigned conns_max,
               struct err *err)
{
    v->guest_cid = guest_cid;
    v->config = (struct virtio_vsock_config){.guest_cid = htole64(guest_cid)};
    v->conns_max = conns_max < VSOCK_CONNS_MAX ? conns_max : VSOCK_CONNS_MAX;
    v->dev.ops = &vsock_ops;
    v->dev.offered = 0;
    v->dev.nqueues = VSOCK_QUEUES;
    v->dev.config = &v->config;
    v->dev.config_len = sizeof(v->config);
    TAILQ_INIT(&v->all);
    TAILQ_INIT(&v->ready);
    TAILQ_INIT(&v->lingering);
    TAILQ_INIT(&v->waiting);
    v->supervisor = (struct loop_source){.fd = connect_fd, .handle = vsock_handover_all, .data = v};
    if (getrandom(&v->hash_key, sizeof(v->hash_key), 0) != sizeof(v->hash_key))
        return err_set(err, errno, "vsock: cannot get random bytes");
    if (device_init(&v->dev, err))
        return -1;
    if (connect_fd < 0)
        return 0;
    if (set_nonblock(connect_fd, true))
        return err_set(err, errno, "vsock: cannot use descriptor %d", connect_fd);
    return loop_add(&v->dev.loop, &v->supervisor, EPOLLOUT | EPOLLRDHUP | EPOLLET, err);
}

void vsock_free(struct vsock *v)
{
    while (!TAILQ_EMPTY(&v->all))
        vsock_conn_free(TAILQ_FIRST(&v->all));
    device_free(&v->dev);
}
