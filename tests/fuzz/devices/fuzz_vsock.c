/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-vsock between a guest that mostly keeps to the protocol and a host that does anything. */
#include <fcntl.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "input.h"
#include "vmm/devices/vsock.h"

#define PORTS    6
#define HOST_MAX 64
#define RX_SLOT  0x1000U
#define TX_SLOT  0x8000U
#define RX_AREA  GUEST_DATA
#define TX_AREA  (GUEST_DATA + GUEST_NUM * RX_SLOT)

static struct guest guest;
static struct vsock *v;
static int supervisor;
static int host[HOST_MAX];

/* What a guest knows of its credit, by port: the device must keep to it. */
static struct {
    uint32_t room, fwd, got;
} ports[PORTS];

static void take_over(void)
{
    for (;;) {
        uint32_t msg[2];
        int fds[FDPASS_MAX];
        size_t n;
        if (recv_fds(supervisor, msg, sizeof(msg), fds, &n) <= 0)
            return;
        MUST(n == 1 && fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
        int i = 0;
        while (i < HOST_MAX && host[i] >= 0)
            i++;
        if (i == HOST_MAX)
            close(fds[0]);
        else
            host[i] = fds[0];
    }
}

static void guest_sends(struct input *in)
{
    static const uint16_t ops[] = {
        VIRTIO_VSOCK_OP_REQUEST,       VIRTIO_VSOCK_OP_RW,  VIRTIO_VSOCK_OP_RW,
        VIRTIO_VSOCK_OP_SHUTDOWN,      VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_CREDIT_UPDATE,
        VIRTIO_VSOCK_OP_CREDIT_REQUEST};
    uint64_t slot = TX_AREA + guest.avail[VSOCK_TX] % GUEST_NUM * TX_SLOT;
    uint8_t port = input_u8(in) % PORTS;
    struct virtio_vsock_hdr h = {
        .src_cid = 3,
        .dst_cid = 2,
        .src_port = port,
        .dst_port = 1024,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = ops[input_u8(in) % 7],
        .buf_alloc = ports[port].room,
        .fwd_cnt = ports[port].fwd,
    };
    if (h.op == VIRTIO_VSOCK_OP_RW)
        h.len = input_u16(in) % (TX_SLOT - 64);
    if (h.op == VIRTIO_VSOCK_OP_SHUTDOWN)
        h.flags = input_u8(in);
    if (h.op == VIRTIO_VSOCK_OP_REQUEST)
        h.buf_alloc = ports[port].room = input_u16(in);
    if (h.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
        h.fwd_cnt = ports[port].fwd = ports[port].got;
    uint32_t len = h.len;
    if (input_rarely(in))
        ((uint8_t *)&h)[input_u8(in) % sizeof(h)] = input_u8(in);
    memcpy(guest_at(&guest, slot), &h, sizeof(h));
    const struct guest_buf bufs[] = {{slot, sizeof(h), false}, {slot + sizeof(h), len, false}};
    guest_add(&guest, in, VSOCK_TX, bufs, len ? 2 : 1);
}

static void guest_posts(struct input *in)
{
    uint64_t slot = RX_AREA + guest.avail[VSOCK_RX] % GUEST_NUM * RX_SLOT;
    uint32_t len = 45 + input_u16(in) % (RX_SLOT - 45);
    const struct guest_buf bufs[] = {{slot, 20, true}, {slot + 20, len - 20, true}};
    guest_add(&guest, in, VSOCK_RX, bufs, 2);
}

static void host_acts(struct input *in)
{
    static uint8_t buf[65536];
    unsigned i = input_u8(in) % HOST_MAX;
    for (unsigned n = 0; host[i] < 0 && n < HOST_MAX; n++)
        i = (i + 1) % HOST_MAX;
    if (host[i] < 0)
        return;
    switch (input_u8(in) % 6) {
    case 0:
    case 1:
        if (send(host[i], buf, input_u16(in), MSG_NOSIGNAL) < 0)
            return;
        return;
    case 2:
    case 3:
        if (read(host[i], buf, input_u16(in)) < 0)
            return;
        return;
    case 4:
        shutdown(host[i], input_u8(in) & 1 ? SHUT_WR : SHUT_RD);
        return;
    default:
        close(host[i]);
        host[i] = -1;
    }
}

static void guest_looks(void)
{
    uint16_t head;
    uint32_t len;
    while (guest_used(&guest, VSOCK_RX, &head, &len))
        MUST(head < GUEST_NUM && len >= 44);
    while (guest_used(&guest, VSOCK_TX, &head, &len))
        MUST(head < GUEST_NUM && len == 0);
}

static void check(void)
{
    struct vsock_conn *c;
    unsigned n = 0;
    TAILQ_FOREACH(c, &v->all, all_link)
    {
        n++;
        MUST(c->ring.len <= c->buf_alloc);
        MUST(c->rx_cnt - c->fwd_cnt == c->ring.len);
        MUST(c->rx_cnt - c->fwd_cnt <= c->buf_alloc);
        MUST(!c->is_ready || c->in_table);
        if (c->in_table && c->guest_port < PORTS)
            ports[c->guest_port].got = c->tx_cnt;
    }
    MUST(n == v->nconns && n <= v->conns_max);
    MUST(v->resets_len <= VSOCK_RESETS_MAX + VSOCK_CONNS_MAX + 1);
}

static void set_up(void)
{
    int sv[2];
    guest_init(&guest);
    for (unsigned i = 0; i < HOST_MAX; i++)
        host[i] = -1;
    MUST(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv));
    supervisor = sv[0];
    v = calloc(1, sizeof(*v));
    MUST(v && !vsock_init(v, 3, sv[1], 8, NULL));
}

static void tear_down(void)
{
    take_over();
    for (unsigned i = 0; i < HOST_MAX; i++) {
        if (host[i] >= 0)
            close(host[i]);
        host[i] = -1;
    }
    for (unsigned q = 0; q < VSOCK_QUEUES; q++)
        virtq_stop(&v->dev.queues[q]);
    while (!TAILQ_EMPTY(&v->all))
        vsock_conn_free(TAILQ_FIRST(&v->all));
    v->resets_len = 0;
    v->dev.again = 0;
    memset(ports, 0, sizeof(ports));
}

static int step(struct input *in)
{
    struct err err;
    switch (input_u8(in) % 8) {
    case 0:
    case 1:
    case 2:
        guest_sends(in);
        if (device_run(&v->dev, VSOCK_TX, &err))
            return -1;
        break;
    case 3:
    case 4:
        guest_posts(in);
        if (device_run(&v->dev, VSOCK_RX, &err))
            return -1;
        break;
    case 5:
        take_over();
        break;
    default:
        host_acts(in);
    }
    /* Never blocks: "again" makes the loop look only. */
    v->dev.again |= 1U << VSOCK_RX;
    if (device_turn(&v->dev, &err))
        return -1;
    guest_looks();
    check();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    if (!v)
        set_up();
    guest_start(&guest, &v->dev, VSOCK_QUEUES,
                (uint64_t)(input_u8(&in) & 3) << VIRTIO_RING_F_INDIRECT_DESC);
    while (in.left && !step(&in))
        ;
    tear_down();
    return 0;
}
