/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's driver of virtio-vsock and the supervisor, as far as the tests need them. */
#include "vsock_bench.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"

static void post_rx(struct bench *t, unsigned slot)
{
    const struct front_buf buf = {RX_BASE + slot * RX_SIZE, RX_SIZE, true};
    t->f.q[VSOCK_RX].next_desc = (uint16_t)slot;
    front_add(&t->f, VSOCK_RX, &buf, 1);
}

void post_all_rx(struct bench *t)
{
    for (unsigned i = 0; i < RX_COUNT; i++)
        post_rx(t, i);
    front_kick(&t->f, VSOCK_RX);
}

struct bench *bench_new(unsigned conns_max, bool rx)
{
    struct bench *t = test_calloc(1, sizeof(*t));
    struct err err;
    int sv[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    t->v = test_calloc(1, sizeof(*t->v));
    assert_int_equal(vsock_init(t->v, 3, sv[1], conns_max, &err), 0);
    t->supervisor = sv[0];
    front_start(&t->f, &t->v->dev);
    front_negotiate(&t->f, FRONT_EVENT_IDX);
    front_queues(&t->f, VSOCK_QUEUES);
    if (rx)
        post_all_rx(t);
    return t;
}

void bench_free(struct bench *t)
{
    close(t->v->supervisor.fd);
    vsock_free(t->v);
    test_free(t->v);
    close(t->supervisor);
    test_free(t);
}

void bench_end(struct bench *t)
{
    int r = front_end(&t->f);
    if (r)
        fail_msg("the device gave up: %s", t->f.err.msg);
    bench_free(t);
}

struct virtio_vsock_hdr packet(uint32_t port, enum virtio_vsock_op op)
{
    return (struct virtio_vsock_hdr){.src_cid = 3,
                                     .dst_cid = 2,
                                     .src_port = port,
                                     .dst_port = PORT,
                                     .type = VIRTIO_VSOCK_TYPE_STREAM,
                                     .op = (uint16_t)op,
                                     .buf_alloc = ROOM};
}

/* Sends a packet whose payload is `len` bytes at `data`; header and payload are two buffers. */
void send_packet(struct bench *t, const struct virtio_vsock_hdr *h, const void *data, uint32_t len)
{
    while (t->tx_used - t->tx_done >= TX_COUNT) {
        front_used(&t->f, VSOCK_TX, NULL);
        t->tx_done++;
    }
    uint64_t gpa = TX_BASE + (t->tx_used++ % TX_COUNT) * TX_SLOT;
    memcpy(front_at(&t->f, gpa), h, HDR);
    if (len)
        memcpy(front_at(&t->f, gpa + HDR), data, len);
    const struct front_buf bufs[] = {{gpa, HDR, false}, {gpa + HDR, len, false}};
    front_add(&t->f, VSOCK_TX, bufs, len ? 2 : 1);
    front_kick(&t->f, VSOCK_TX);
}

void send_op(struct bench *t, uint32_t port, enum virtio_vsock_op op)
{
    struct virtio_vsock_hdr h = packet(port, op);
    send_packet(t, &h, NULL, 0);
}

void send_shutdown(struct bench *t, uint32_t port, uint32_t flags)
{
    struct virtio_vsock_hdr h = packet(port, VIRTIO_VSOCK_OP_SHUTDOWN);
    h.flags = flags;
    send_packet(t, &h, NULL, 0);
}

void send_data(struct bench *t, uint32_t port, const void *data, uint32_t len)
{
    struct virtio_vsock_hdr h = packet(port, VIRTIO_VSOCK_OP_RW);
    h.len = len;
    send_packet(t, &h, data, len);
}

/* The next packet from the device, in t->h and t->data; its buffer is posted again. */
void receive(struct bench *t)
{
    uint32_t len;
    uint16_t slot = front_used(&t->f, VSOCK_RX, &len);
    const uint8_t *p = front_at(&t->f, RX_BASE + slot * RX_SIZE);
    assert_in_range(len, HDR, RX_SIZE);
    memcpy(&t->h, p, HDR);
    assert_int_equal(t->h.len + HDR, len);
    assert_int_equal(t->h.src_cid, 2);
    assert_int_equal(t->h.dst_cid, 3);
    assert_int_equal(t->h.type, VIRTIO_VSOCK_TYPE_STREAM);
    memcpy(t->data, p + HDR, t->h.len);
    post_rx(t, slot);
    front_kick(&t->f, VSOCK_RX);
}

void expect(struct bench *t, uint32_t port, enum virtio_vsock_op op)
{
    receive(t);
    if (t->h.op != op || t->h.dst_port != port)
        fail_msg("wanted op %d for port %u, got op %d for port %u", op, port, t->h.op,
                 t->h.dst_port);
    assert_int_equal(t->h.src_port, PORT);
}

void expect_shutdown(struct bench *t, uint32_t port, uint32_t flags)
{
    expect(t, port, VIRTIO_VSOCK_OP_SHUTDOWN);
    assert_int_equal(t->h.flags, flags);
}

/* The supervisor's side: takes the next connection over. */
int take_over(struct bench *t, uint32_t guest_port)
{
    uint32_t ports[3];
    int fds[FDPASS_MAX];
    size_t n;
    assert_int_equal(recv_fds(t->supervisor, ports, sizeof(ports), fds, &n), 8);
    assert_int_equal(n, 1);
    assert_int_equal(ports[0], PORT);
    assert_int_equal(ports[1], guest_port);
    return fds[0];
}

int connect_guest(struct bench *t, uint32_t port)
{
    send_op(t, port, VIRTIO_VSOCK_OP_REQUEST);
    expect(t, port, VIRTIO_VSOCK_OP_RESPONSE);
    return take_over(t, port);
}
