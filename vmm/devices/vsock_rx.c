/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of virtio-vsock to the guest: bytes from the host, credit, shutdowns and resets. */
#include <endian.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "vmm/devices/vsock.h"

/* Bytes that one read from a socket may bring, and rounds before others have their turn. */
#define VSOCK_READ_MAX 65536U
#define VSOCK_ROUNDS   64

void vsock_reset(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
    unsigned at = (v->resets_head + v->resets_len) % ARRAY_SIZE(v->resets);
    v->resets[at] = (struct vsock_reset){guest_port, host_port};
    v->resets_len++;
}

uint32_t vsock_conn_room(const struct vsock_conn *c)
{
    uint32_t in_flight = c->tx_cnt - c->peer_fwd_cnt;
    return c->peer_buf_alloc > in_flight ? c->peer_buf_alloc - in_flight : 0;
}

/* Whether the socket is to be read for the guest, credit aside. */
static bool wants_data(const struct vsock_conn *c)
{
    return c->readable && !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) &&
           !(c->shut & VIRTIO_VSOCK_SHUTDOWN_SEND);
}

void vsock_ready(struct vsock_conn *c)
{
    if (c->is_ready || !c->in_table || c->peer_fd >= 0)
        return;
    bool data = wants_data(c), room = vsock_conn_room(c);
    if (data && !room && !c->starved) {
        c->starved = true;
        c->owes |= VSOCK_OWES_CREDIT_REQUEST;
    }
    if (!c->owes && c->shut == c->told && !(data && room))
        return;
    TAILQ_INSERT_TAIL(&c->v->ready, c, ready_link);
    c->is_ready = true;
}

void vsock_conn_credit(struct vsock_conn *c, const struct virtio_vsock_hdr *h)
{
    uint32_t fwd = le32toh(h->fwd_cnt);
    /* Anything else is old news that another packet overtook, or a lie: it counts for nothing. */
    if (fwd - c->peer_fwd_cnt <= c->tx_cnt - c->peer_fwd_cnt)
        c->peer_fwd_cnt = fwd;
    c->peer_buf_alloc = le32toh(h->buf_alloc);
    if (vsock_conn_room(c))
        c->starved = false;
    vsock_ready(c);
}

static struct virtio_vsock_hdr header(const struct vsock *v, uint32_t guest_port,
                                      uint32_t host_port, enum virtio_vsock_op op)
{
    return (struct virtio_vsock_hdr){
        .src_cid = htole64(VSOCK_HOST_CID),
        .dst_cid = htole64(v->guest_cid),
        .src_port = htole32(host_port),
        .dst_port = htole32(guest_port),
        .type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
        .op = htole16((uint16_t)op),
    };
}

/* A header of a connection tells the guest its credit; credit_told() notes that it was sent. */
static struct virtio_vsock_hdr conn_header(const struct vsock_conn *c, enum virtio_vsock_op op)
{
    struct virtio_vsock_hdr h = header(c->v, c->guest_port, c->host_port, op);
    h.buf_alloc = htole32(c->buf_alloc);
    h.fwd_cnt = htole32(c->fwd_cnt);
    return h;
}

static void credit_told(struct vsock_conn *c)
{
    c->told_fwd_cnt = c->fwd_cnt;
    c->owes &= ~(unsigned)VSOCK_OWES_CREDIT;
}

static int pop_buffer(struct vsock *v, struct err *err)
{
    int r = virtq_pop(&v->dev.queues[VSOCK_RX], &v->chain, err);
    if (r <= 0)
        return r;
    if (v->chain.readable.len || v->chain.writable.len <= VSOCK_HEADER)
        return err_set(err, 0, "queue %d: a buffer of %zu bytes cannot take a packet", VSOCK_RX,
                       v->chain.writable.len);
    return 1;
}

/* Sends a packet without payload: 1, 0 when there is no buffer, -1 malformed. */
static int send_header(struct vsock *v, const struct virtio_vsock_hdr *h, struct err *err)
{
    int r = pop_buffer(v, err);
    if (r <= 0)
        return r;
    iovs_write(&v->chain.writable, h, sizeof(*h));
    virtq_push(&v->dev.queues[VSOCK_RX], v->chain.head, sizeof(*h));
    return 1;
}

static int send_reset(struct vsock *v, struct err *err)
{
    const struct vsock_reset *reset = &v->resets[v->resets_head];
    struct virtio_vsock_hdr h = header(v, reset->guest_port, reset->host_port, VIRTIO_VSOCK_OP_RST);
    int r = send_header(v, &h, err);
    if (r <= 0)
        return r;
    v->resets_head = (v->resets_head + 1) % ARRAY_SIZE(v->resets);
    v->resets_len--;
    return 1;
}

/* Adds the buffer in v->chain to the batch; false when it does not fit beside the others. */
static bool batch_add(struct vsock *v)
{
    struct vsock_batch *b = &v->batch;
    const struct iovs *w = &v->chain.writable;
    if (w->n > VIRTQ_CHAIN_MAX - b->nstore)
        return false;
    struct iovec *to = &b->store[b->nstore];
    memcpy(to, w->v, w->n * sizeof(*to));
    b->nstore += w->n;
    size_t room = w->len - VSOCK_HEADER;
    if (room > VSOCK_PACKET_MAX)
        room = VSOCK_PACKET_MAX;
    b->buffers[b->n].head = v->chain.head;
    b->buffers[b->n].whole = (struct iovs){to, w->n, w->len};
    b->buffers[b->n].room = room;
    b->n++;
    b->payload.n += iovs_slice(w, VSOCK_HEADER, room, b->parts + b->payload.n);
    b->payload.len += room;
    return true;
}

/* Takes buffers for up to `want` bytes of payload: 1, 0 when there are none, -1 malformed. */
static int batch_collect(struct vsock *v, size_t want, struct err *err)
{
    struct vsock_batch *b = &v->batch;
    b->n = 0;
    b->nstore = 0;
    b->payload = (struct iovs){.v = b->parts};
    while (b->n < VSOCK_BUFFERS_MAX && b->payload.len < want) {
        int r = pop_buffer(v, err);
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        if (!batch_add(v)) {
            virtq_unpop(&v->dev.queues[VSOCK_RX], 1);
            break;
        }
    }
    return b->n > 0;
}

/* The first `len` bytes of the batch's room are filled: makes packets and returns the rest. */
static void batch_send(struct vsock_conn *c, size_t len)
{
    struct vsock_batch *b = &c->v->batch;
    struct virtq *q = &c->v->dev.queues[VSOCK_RX];
    unsigned i = 0;
    c->tx_cnt += (uint32_t)len;
    for (; len; i++) {
        size_t n = len < b->buffers[i].room ? len : b->buffers[i].room;
        struct virtio_vsock_hdr h = conn_header(c, VIRTIO_VSOCK_OP_RW);
        h.len = htole32((uint32_t)n);
        iovs_write(&b->buffers[i].whole, &h, sizeof(h));
        virtq_push(q, b->buffers[i].head, (uint32_t)(sizeof(h) + n));
        len -= n;
        credit_told(c);
    }
    virtq_unpop(q, b->n - i);
}

static ssize_t receive(const struct vsock_conn *c, struct iovs *to, size_t want)
{
    struct iovs_limit token;
    struct msghdr msg = {.msg_iov = to->v, .msg_iovlen = iovs_limit(to, want, &token)};
    ssize_t n;
    do
        n = recvmsg(c->source.fd, &msg, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    iovs_unlimit(&token);
    return n;
}

static int send_data(struct vsock_conn *c, struct err *err)
{
    size_t want = vsock_conn_room(c);
    if (want > VSOCK_READ_MAX)
        want = VSOCK_READ_MAX;
    int r = batch_collect(c->v, want, err);
    if (r <= 0)
        return r;
    ssize_t n = receive(c, &c->v->batch.payload, want);
    batch_send(c, n > 0 ? (size_t)n : 0);
    if (n > 0)
        return 1;
    c->readable = false;
    /* An error (the host closed with unread bytes) is an end like any other. */
    if (n == 0 || errno != EAGAIN)
        c->shut |= VIRTIO_VSOCK_SHUTDOWN_SEND;
    return 1;
}

/* A packet without payload that pays `debt` (or none). */
static int send_control(struct vsock_conn *c, unsigned debt, enum virtio_vsock_op op,
                        uint32_t flags, struct err *err)
{
    struct virtio_vsock_hdr h = conn_header(c, op);
    h.flags = htole32(flags);
    int r = send_header(c->v, &h, err);
    if (r <= 0)
        return r;
    credit_told(c);
    c->owes &= ~debt;
    return 1;
}

static int send_shutdown(struct vsock_conn *c, struct err *err)
{
    uint32_t flags = c->shut;
    int r = send_control(c, 0, VIRTIO_VSOCK_OP_SHUTDOWN, flags, err);
    if (r > 0)
        c->told = flags;
    return r;
}

static int send_one(struct vsock_conn *c, struct err *err)
{
    if (c->owes & VSOCK_OWES_RESPONSE)
        return send_control(c, VSOCK_OWES_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE, 0, err);
    if (c->shut != c->told)
        return send_shutdown(c, err);
    if (wants_data(c) && vsock_conn_room(c))
        return send_data(c, err);
    if (c->owes & VSOCK_OWES_CREDIT_REQUEST)
        return send_control(c, VSOCK_OWES_CREDIT_REQUEST, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, err);
    if (c->owes & VSOCK_OWES_CREDIT)
        return send_control(c, VSOCK_OWES_CREDIT, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, err);
    return 1;
}

/* One packet (or one read's worth of packets) for the connection whose turn it is. */
static int serve_next(struct vsock *v, struct err *err)
{
    struct vsock_conn *c = TAILQ_FIRST(&v->ready);
    TAILQ_REMOVE(&v->ready, c, ready_link);
    c->is_ready = false;
    int r = send_one(c, err);
    if (r >= 0)
        vsock_conn_settle(c);
    return r;
}

int vsock_pump(struct vsock *v, struct err *err)
{
    struct virtq *q = &v->dev.queues[VSOCK_RX];
    int r = 1;
    if (!q->running)
        return 0;
    virtq_kicks_off(q);
    for (unsigned n = 0; r > 0 && (v->resets_len || !TAILQ_EMPTY(&v->ready)); n++) {
        if (n == VSOCK_ROUNDS) {
            device_again(&v->dev, VSOCK_RX);
            break;
        }
        r = v->resets_len ? send_reset(v, err) : serve_next(v, err);
        /* Without a buffer for it everything waits for a kick, unless one has just come. */
        if (r == 0 && virtq_kicks_on(q))
            r = 1;
    }
    virtq_flush(q);
    if (v->tx_waits && v->resets_len < VSOCK_RESETS_MAX / 2) {
        v->tx_waits = false;
        device_again(&v->dev, VSOCK_TX);
    }
    return r < 0 ? -1 : 0;
}
