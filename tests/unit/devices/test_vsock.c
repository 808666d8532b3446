/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-vsock: connections, credit, ends of all kinds, and guests that cheat. */
#include "front.h"

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "vmm/devices/vsock.h"

#define HDR      sizeof(struct virtio_vsock_hdr)
#define RX_BASE  (FRONT_GPA2 + 0x100000) /* the guest's receive buffers */
#define RX_SIZE  4096
#define RX_COUNT 64
#define TX_BASE  (FRONT_GPA2 + 0x800000)
#define TX_SLOT  (HDR + 65536 + 84) /* header and a whole packet */
#define TX_COUNT 32
#define PORT     1024
#define ROOM     262144

struct guest_conn {
    uint32_t port;      /* the guest's */
    uint32_t room;      /* what the device told */
    uint32_t fwd;       /* what the device told */
    uint32_t sent, got; /* bytes */
};

struct bench {
    struct vsock *v;
    struct front f;
    int supervisor;
    unsigned rx_used, tx_used, tx_done;
    struct virtio_vsock_hdr h; /* the last packet from the device ... */
    uint8_t data[RX_SIZE];     /* ... and its payload */
};

static void post_rx(struct bench *t, unsigned slot)
{
    const struct front_buf buf = {RX_BASE + slot * RX_SIZE, RX_SIZE, true};
    t->f.q[VSOCK_RX].next_desc = (uint16_t)slot;
    front_add(&t->f, VSOCK_RX, &buf, 1);
}

static void post_all_rx(struct bench *t)
{
    for (unsigned i = 0; i < RX_COUNT; i++)
        post_rx(t, i);
    front_kick(&t->f, VSOCK_RX);
}

static struct bench *bench_new(unsigned conns_max, bool rx)
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

static void bench_free(struct bench *t)
{
    close(t->v->supervisor.fd);
    vsock_free(t->v);
    test_free(t->v);
    close(t->supervisor);
    test_free(t);
}

static void bench_end(struct bench *t)
{
    int r = front_end(&t->f);
    if (r)
        fail_msg("the device gave up: %s", t->f.err.msg);
    bench_free(t);
}

static struct virtio_vsock_hdr packet(uint32_t port, enum virtio_vsock_op op)
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
static void send_packet(struct bench *t, const struct virtio_vsock_hdr *h, const void *data,
                        uint32_t len)
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

static void send_op(struct bench *t, uint32_t port, enum virtio_vsock_op op)
{
    struct virtio_vsock_hdr h = packet(port, op);
    send_packet(t, &h, NULL, 0);
}

static void send_shutdown(struct bench *t, uint32_t port, uint32_t flags)
{
    struct virtio_vsock_hdr h = packet(port, VIRTIO_VSOCK_OP_SHUTDOWN);
    h.flags = flags;
    send_packet(t, &h, NULL, 0);
}

static void send_data(struct bench *t, uint32_t port, const void *data, uint32_t len)
{
    struct virtio_vsock_hdr h = packet(port, VIRTIO_VSOCK_OP_RW);
    h.len = len;
    send_packet(t, &h, data, len);
}

/* The next packet from the device, in t->h and t->data; its buffer is posted again. */
static void receive(struct bench *t)
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

static void expect(struct bench *t, uint32_t port, enum virtio_vsock_op op)
{
    receive(t);
    if (t->h.op != op || t->h.dst_port != port)
        fail_msg("wanted op %d for port %u, got op %d for port %u", op, port, t->h.op,
                 t->h.dst_port);
    assert_int_equal(t->h.src_port, PORT);
}

static void expect_shutdown(struct bench *t, uint32_t port, uint32_t flags)
{
    expect(t, port, VIRTIO_VSOCK_OP_SHUTDOWN);
    assert_int_equal(t->h.flags, flags);
}

/* The supervisor's side: takes the next connection over. */
static int take_over(struct bench *t, uint32_t guest_port)
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

static int connect_guest(struct bench *t, uint32_t port)
{
    send_op(t, port, VIRTIO_VSOCK_OP_REQUEST);
    expect(t, port, VIRTIO_VSOCK_OP_RESPONSE);
    return take_over(t, port);
}

static void words_go_both_ways(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    char got[16] = {0};
    int s = connect_guest(t, 7000);
    assert_int_equal(t->h.buf_alloc, VSOCK_CREDIT);
    send_data(t, 7000, "hello", 5);
    assert_int_equal(read_all(s, got, 5), 0);
    assert_string_equal(got, "hello");
    assert_int_equal(write_all(s, "world!", 6), 0);
    expect(t, 7000, VIRTIO_VSOCK_OP_RW);
    assert_int_equal(t->h.len, 6);
    assert_memory_equal(t->data, "world!", 6);
    assert_int_equal(t->h.fwd_cnt, 5);
    close(s);
    expect_shutdown(t, 7000, VSOCK_SHUT_BOTH);
    send_op(t, 7000, VIRTIO_VSOCK_OP_RST);
    bench_end(t);
}

static void the_guest_shuts_half(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    char got[16] = {0};
    int s = connect_guest(t, 7000);
    send_data(t, 7000, "last", 4);
    send_shutdown(t, 7000, VIRTIO_VSOCK_SHUTDOWN_SEND);
    assert_int_equal(read_all(s, got, 4), 0);
    assert_int_equal(read(s, got, 1), 0);
    /* The other direction still works, and then ends too. */
    assert_int_equal(write_all(s, "reply", 5), 0);
    expect(t, 7000, VIRTIO_VSOCK_OP_RW);
    assert_memory_equal(t->data, "reply", 5);
    close(s);
    expect_shutdown(t, 7000, VSOCK_SHUT_BOTH);
    send_shutdown(t, 7000, VSOCK_SHUT_BOTH);
    expect(t, 7000, VIRTIO_VSOCK_OP_RST);
    bench_end(t);
}

static void the_host_shuts_half(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    char got[16] = {0};
    int s = connect_guest(t, 7000);
    assert_int_equal(write_all(s, "bye", 3), 0);
    shutdown(s, SHUT_WR);
    expect(t, 7000, VIRTIO_VSOCK_OP_RW);
    expect_shutdown(t, 7000, VIRTIO_VSOCK_SHUTDOWN_SEND);
    send_data(t, 7000, "more", 4);
    assert_int_equal(read_all(s, got, 4), 0);
    send_shutdown(t, 7000, VSOCK_SHUT_BOTH);
    expect(t, 7000, VIRTIO_VSOCK_OP_RST);
    assert_int_equal(read(s, got, 1), 0);
    close(s);
    bench_end(t);
}

static void the_host_stops_reading(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    int s = connect_guest(t, 7000);
    shutdown(s, SHUT_RD);
    send_data(t, 7000, "into the void", 13);
    expect_shutdown(t, 7000, VIRTIO_VSOCK_SHUTDOWN_RCV);
    assert_int_equal(write_all(s, "x", 1), 0);
    expect(t, 7000, VIRTIO_VSOCK_OP_RW);
    assert_int_equal(t->h.fwd_cnt, 13);
    close(s);
    expect_shutdown(t, 7000, VSOCK_SHUT_BOTH);
    bench_end(t);
}

static void the_guest_stops_reading(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    int s = connect_guest(t, 7000);
    send_shutdown(t, 7000, VIRTIO_VSOCK_SHUTDOWN_RCV);
    /* Wait until the device has done it: an answer to a later packet. */
    send_op(t, 7000, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    expect(t, 7000, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    assert_int_equal(send(s, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    send_op(t, 7000, VIRTIO_VSOCK_OP_RST);
    char c;
    assert_int_equal(read(s, &c, 1), 0);
    close(s);
    bench_end(t);
}

static void nobody_is_answered_with_a_reset(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    static const enum virtio_vsock_op ops[] = {
        VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_OP_CREDIT_UPDATE,
        VIRTIO_VSOCK_OP_CREDIT_REQUEST, VIRTIO_VSOCK_OP_RESPONSE};
    for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
        send_op(t, 7000 + (uint32_t)i, VIRTIO_VSOCK_OP_RST); /* never answered */
        send_op(t, 8000 + (uint32_t)i, ops[i]);
        expect(t, 8000 + (uint32_t)i, VIRTIO_VSOCK_OP_RST);
    }
    struct virtio_vsock_hdr h = packet(9000, VIRTIO_VSOCK_OP_REQUEST);
    h.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
    send_packet(t, &h, NULL, 0);
    expect(t, 9000, VIRTIO_VSOCK_OP_RST);
    h = packet(9001, VIRTIO_VSOCK_OP_REQUEST);
    h.dst_cid = 4;
    send_packet(t, &h, NULL, 0);
    expect(t, 9001, VIRTIO_VSOCK_OP_RST);
    h = packet(9002, VIRTIO_VSOCK_OP_REQUEST);
    h.src_cid = 4; /* somebody else's address: not a word */
    send_packet(t, &h, NULL, 0);
    close(connect_guest(t, 9003));
    bench_end(t);
}

/* Each of these ends the connection with a reset. */
static void cheating_guests_are_reset(void **state)
{
    (void)state;
    uint8_t *much = test_calloc(1, 65537);
    for (int i = 0; i < 6; i++) {
        struct bench *t = bench_new(64, true);
        int s = connect_guest(t, 7000);
        struct virtio_vsock_hdr h = packet(7000, VIRTIO_VSOCK_OP_RW);
        switch (i) {
        case 0: /* more than the packet holds */
            h.len = 100;
            send_packet(t, &h, much, 99);
            break;
        case 1: /* larger than packets are */
            h.len = 65537;
            send_packet(t, &h, much, 65537);
            break;
        case 2: /* after saying that there is no more */
            send_shutdown(t, 7000, VIRTIO_VSOCK_SHUTDOWN_SEND);
            send_data(t, 7000, much, 1);
            break;
        case 3: /* a second time */
            send_op(t, 7000, VIRTIO_VSOCK_OP_REQUEST);
            break;
        case 4:
            send_op(t, 7000, VIRTIO_VSOCK_OP_RESPONSE);
            break;
        default:
            send_op(t, 7000, (enum virtio_vsock_op)77);
        }
        expect(t, 7000, VIRTIO_VSOCK_OP_RST);
        char c;
        assert_int_equal(read(s, &c, 1), 0);
        close(s);
        bench_end(t);
    }
    test_free(much);
}

/* The host does not read: the guest may send its credit and not a byte more. */
static void credit_is_enforced(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    int s = connect_guest(t, 7000);
    uint8_t *chunk = test_calloc(1, 65536);
    uint32_t sent = 0, fwd = 0, room = t->h.buf_alloc;
    /* As an honest guest, to the last byte that it may send. */
    for (;;) {
        send_op(t, 7000, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
        do
            receive(t);
        while (t->h.op != VIRTIO_VSOCK_OP_CREDIT_UPDATE);
        /* An update that was owed anyway may have answered the request too. */
        fwd = t->h.fwd_cnt;
        uint32_t may = room - (sent - fwd);
        if (!may)
            break;
        uint32_t n = may < 65536 ? may : 65536;
        send_data(t, 7000, chunk, n);
        sent += n;
    }
    assert_int_equal(sent - fwd, VSOCK_CREDIT);
    /* Nothing is lost: the host reads all of it after one byte too much has ended it. */
    send_data(t, 7000, chunk, 1);
    do
        receive(t);
    while (t->h.op != VIRTIO_VSOCK_OP_RST);
    test_free(chunk);
    close(s);
    bench_end(t);
}

/* The guest's room: not a byte more than it has, and lies about it change nothing. */
static void the_guests_credit_is_kept(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    struct virtio_vsock_hdr h = packet(7000, VIRTIO_VSOCK_OP_REQUEST);
    h.buf_alloc = 10;
    send_packet(t, &h, NULL, 0);
    expect(t, 7000, VIRTIO_VSOCK_OP_RESPONSE);
    int s = take_over(t, 7000);
    assert_int_equal(write_all(s, "0123456789abcdefghij", 20), 0);
    expect(t, 7000, VIRTIO_VSOCK_OP_RW);
    assert_int_equal(t->h.len, 10);
    expect(t, 7000, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    /* "I have read 4 GiB": ignored. */
    h = packet(7000, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    h.buf_alloc = 10;
    h.fwd_cnt = 11;
    send_packet(t, &h, NULL, 0);
    h.fwd_cnt = 0xfffffff0;
    send_packet(t, &h, NULL, 0);
    h.fwd_cnt = 4;
    send_packet(t, &h, NULL, 0);
    expect(t, 7000, VIRTIO_VSOCK_OP_RW);
    assert_int_equal(t->h.len, 4);
    assert_memory_equal(t->data, "abcd", 4);
    expect(t, 7000, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    /* Less room than is in flight is no room. */
    h.buf_alloc = 5;
    h.fwd_cnt = 8;
    send_packet(t, &h, NULL, 0);
    h.buf_alloc = UINT32_MAX;
    send_packet(t, &h, NULL, 0);
    expect(t, 7000, VIRTIO_VSOCK_OP_RW);
    assert_int_equal(t->h.len, 6);
    close(s);
    bench_end(t);
}

static void connections_are_bounded(void **state)
{
    (void)state;
    struct bench *t = bench_new(4, true);
    int s[4];
    for (uint32_t i = 0; i < 4; i++)
        s[i] = connect_guest(t, 7000 + i);
    send_op(t, 7004, VIRTIO_VSOCK_OP_REQUEST);
    expect(t, 7004, VIRTIO_VSOCK_OP_RST);
    /* One that the host has closed makes room, though the guest has not agreed to its end. */
    close(s[1]);
    expect_shutdown(t, 7001, VSOCK_SHUT_BOTH);
    send_op(t, 7005, VIRTIO_VSOCK_OP_REQUEST);
    expect(t, 7001, VIRTIO_VSOCK_OP_RST);
    expect(t, 7005, VIRTIO_VSOCK_OP_RESPONSE);
    s[1] = take_over(t, 7005);
    for (uint32_t i = 0; i < 4; i++)
        close(s[i]);
    bench_end(t);
}

static void without_a_supervisor_nobody_connects(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    int s = connect_guest(t, 7000);
    shutdown(t->supervisor, SHUT_RDWR);
    send_op(t, 7001, VIRTIO_VSOCK_OP_REQUEST);
    expect(t, 7001, VIRTIO_VSOCK_OP_RST);
    /* Those that are there stay. */
    send_data(t, 7000, "x", 1);
    char c;
    assert_int_equal(read_all(s, &c, 1), 0);
    close(s);
    bench_end(t);
}

/* A supervisor that does not take connections over: some wait, then the guest is refused. */
static void a_slow_supervisor_is_waited_for(void **state)
{
    (void)state;
    struct bench *t = bench_new(VSOCK_CONNS_MAX, true);
    uint32_t n = 0, responses = 0, resets = 0;
    while (!resets) {
        send_op(t, 10000 + n++, VIRTIO_VSOCK_OP_REQUEST);
        send_op(t, 1, VIRTIO_VSOCK_OP_RW); /* is answered by a reset in any case */
        for (bool end = false; !end;) {
            receive(t);
            end = t->h.dst_port == 1;
            responses += t->h.op == VIRTIO_VSOCK_OP_RESPONSE;
            resets += t->h.op == VIRTIO_VSOCK_OP_RST && !end;
        }
        assert_in_range(n, 1, 4000);
    }
    assert_in_range(n - responses, VSOCK_HANDOVER_MAX, VSOCK_HANDOVER_MAX + 1);
    /* Now it does; everybody who waited is connected. */
    for (uint32_t i = 0; i < n - 1; i++)
        close(take_over(t, 10000 + i));
    while (responses < n - 1) {
        receive(t);
        responses += t->h.op == VIRTIO_VSOCK_OP_RESPONSE;
    }
    bench_end(t);
}

/* A guest without receive buffers: its packets wait when too many answers do; none is lost. */
static void answers_wait_for_buffers(void **state)
{
    (void)state;
    enum { N = VSOCK_RESETS_MAX + 500 };
    struct bench *t = bench_new(64, false);
    uint32_t sent = 0, got = 0;
    /* send_packet() waits while the device takes none, so that is tried first. */
    while (sent < VSOCK_RESETS_MAX)
        send_op(t, 20000 + sent++, VIRTIO_VSOCK_OP_RW);
    post_all_rx(t);
    while (sent < N || got < sent) {
        if (sent < N)
            send_op(t, 20000 + sent++, VIRTIO_VSOCK_OP_RW);
        expect(t, 20000 + got++, VIRTIO_VSOCK_OP_RST);
    }
    bench_end(t);
}

/* Bytes of the guest that the host has not read are still delivered when the guest is gone. */
static void last_words_are_delivered(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    int s = connect_guest(t, 7000);
    uint8_t *chunk = test_malloc(65536);
    size_t total = 0;
    for (int i = 0; i < 4; i++, total += 65536) {
        memset(chunk, 'a' + i, 65536);
        send_data(t, 7000, chunk, 65536);
    }
    send_op(t, 7000, VIRTIO_VSOCK_OP_RST);
    front_sync(&t->f);
    shutdown(t->f.sock, SHUT_RDWR); /* the whole machine is gone */
    for (size_t got = 0; got < total; got += 65536) {
        assert_int_equal(read_all(s, chunk, 65536), 0);
        assert_int_equal(chunk[0], 'a' + got / 65536);
        assert_int_equal(chunk[65535], 'a' + got / 65536);
    }
    assert_int_equal(read(s, chunk, 1), 0);
    test_free(chunk);
    close(s);
    assert_int_equal(front_wait_end(&t->f), 0);
    bench_free(t);
}

static void too_small_buffers_stop_the_device(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, false);
    const struct front_buf buf = {RX_BASE, HDR, true};
    front_add(&t->f, VSOCK_RX, &buf, 1);
    front_publish(&t->f, VSOCK_RX);
    send_op(t, 1, VIRTIO_VSOCK_OP_RW);
    assert_int_equal(front_wait_end(&t->f), -1);
    assert_non_null(strstr(t->f.err.msg, "queue 0: a buffer of 44 bytes"));
    bench_free(t);
}

static void headers_may_be_scattered(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, false);
    struct front_buf rx[30];
    for (unsigned k = 0; k < 8; k++) {
        for (unsigned i = 0; i < 30; i++)
            rx[i] = (struct front_buf){RX_BASE + k * 4096 + i * 100, 3, true};
        front_add(&t->f, VSOCK_RX, rx, 30);
    }
    front_kick(&t->f, VSOCK_RX);
    send_op(t, 7000, VIRTIO_VSOCK_OP_REQUEST);
    uint32_t len, total = 0;
    front_used(&t->f, VSOCK_RX, &len);
    assert_int_equal(len, HDR);
    int s = take_over(t, 7000);
    char text[200], got[200];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)i;
    assert_int_equal(write_all(s, text, sizeof(text)), 0);
    for (unsigned k = 1; total < sizeof(text); k++) {
        front_used(&t->f, VSOCK_RX, &len);
        assert_in_range(len, HDR + 1, 90);
        for (unsigned i = HDR; i < len; i++)
            got[total++] = *(char *)front_at(&t->f, RX_BASE + k * 4096 + i / 3 * 100 + i % 3);
    }
    assert_memory_equal(got, text, sizeof(text));
    close(s);
    bench_end(t);
}

/* 100 MB each way at once, through a process in its jail. */
enum { STREAM = 100 << 20 };

static uint64_t word(uint64_t i, uint64_t seed)
{
    return (i + seed) * 0x9e3779b97f4a7c15ULL;
}

struct host_side {
    int s;
    bool write;
    uint64_t bad;
};

static void *host_stream(void *arg)
{
    struct host_side *h = arg;
    static __thread uint64_t buf[4096];
    for (uint64_t i = 0; i < STREAM / 8; i += 4096) {
        for (uint64_t k = 0; h->write && k < 4096; k++)
            buf[k] = word(i + k, 2);
        if (h->write ? write_all(h->s, buf, sizeof(buf)) : read_all(h->s, buf, sizeof(buf))) {
            h->bad++;
            break;
        }
        for (uint64_t k = 0; !h->write && k < 4096; k++)
            h->bad += buf[k] != word(i + k, 1);
    }
    if (h->write)
        shutdown(h->s, SHUT_WR);
    return NULL;
}

struct guest_side {
    uint64_t sent, got, bad;
    uint32_t device_room, device_fwd, told;
    bool host_ended;
};

static void guest_sends(struct bench *t, struct guest_side *g)
{
    static uint64_t buf[8192];
    uint32_t may = g->device_room - (uint32_t)(g->sent - g->device_fwd);
    uint32_t n = may < sizeof(buf) ? may & ~7U : (uint32_t)sizeof(buf);
    if (n > STREAM - g->sent)
        n = (uint32_t)(STREAM - g->sent);
    for (uint64_t k = 0; k < n / 8; k++)
        buf[k] = word(g->sent / 8 + k, 1);
    struct virtio_vsock_hdr h = packet(7000, VIRTIO_VSOCK_OP_RW);
    h.len = n;
    h.fwd_cnt = (uint32_t)g->got;
    g->told = h.fwd_cnt;
    send_packet(t, &h, buf, n);
    g->sent += n;
    if (g->sent == STREAM)
        send_shutdown(t, 7000, VIRTIO_VSOCK_SHUTDOWN_SEND);
}

static void guest_receives(struct bench *t, struct guest_side *g)
{
    receive(t);
    g->device_room = t->h.buf_alloc;
    g->device_fwd = t->h.fwd_cnt;
    for (uint32_t i = 0; i < t->h.len; i++) {
        uint64_t pos = g->got + i, w = word(pos / 8, 2);
        g->bad += t->data[i] != (uint8_t)(w >> pos % 8 * 8);
    }
    g->got += t->h.len;
    if (t->h.op == VIRTIO_VSOCK_OP_SHUTDOWN)
        g->host_ended = true;
    if ((uint32_t)g->got - g->told < ROOM / 2)
        return;
    struct virtio_vsock_hdr h = packet(7000, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    h.fwd_cnt = (uint32_t)g->got;
    g->told = h.fwd_cnt;
    send_packet(t, &h, NULL, 0);
}

static void guest_stream(struct bench *t, struct guest_side *g)
{
    while (g->sent < STREAM || !g->host_ended) {
        bool may = g->sent < STREAM && g->device_room - (uint32_t)(g->sent - g->device_fwd) >= 8;
        if (may)
            guest_sends(t, g);
        if (!may || front_has_used(&t->f, VSOCK_RX))
            guest_receives(t, g);
    }
}

static void run_streams(struct bench *t)
{
    int s = connect_guest(t, 7000);
    struct guest_side g = {.device_room = t->h.buf_alloc};
    struct host_side reader = {.s = s}, writer = {.s = s, .write = true};
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, host_stream, &reader);
    pthread_create(&threads[1], NULL, host_stream, &writer);
    guest_stream(t, &g);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert_int_equal(g.got, STREAM);
    assert_int_equal(g.bad + reader.bad + writer.bad, 0);
    close(s);
}

static void large_streams_arrive_whole(void **state)
{
    (void)state;
    struct bench *t = bench_new(64, true);
    run_streams(t);
    bench_end(t);
}

static void large_streams_pass_the_jail(void **state)
{
    (void)state;
    struct bench *t = test_calloc(1, sizeof(*t));
    char path[4096], option[64];
    int sv[2];
    assert_non_null(getenv("APPC_DEVICES"));
    snprintf(path, sizeof(path), "%s/appc-dev-vsock", getenv("APPC_DEVICES"));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    set_cloexec(sv[0], true);
    snprintf(option, sizeof(option), "--connect-fd=%d", sv[1]);
    const char *const argv[] = {path, option, NULL};
    front_spawn(&t->f, argv);
    close(sv[1]);
    t->supervisor = sv[0];
    front_negotiate(&t->f, FRONT_EVENT_IDX);
    front_queues(&t->f, VSOCK_QUEUES);
    post_all_rx(t);
    run_streams(t);
    assert_int_equal(front_end(&t->f), 0);
    close(t->supervisor);
    test_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_go_both_ways),
        cmocka_unit_test(the_guest_shuts_half),
        cmocka_unit_test(the_host_shuts_half),
        cmocka_unit_test(the_host_stops_reading),
        cmocka_unit_test(the_guest_stops_reading),
        cmocka_unit_test(nobody_is_answered_with_a_reset),
        cmocka_unit_test(cheating_guests_are_reset),
        cmocka_unit_test(credit_is_enforced),
        cmocka_unit_test(the_guests_credit_is_kept),
        cmocka_unit_test(connections_are_bounded),
        cmocka_unit_test(without_a_supervisor_nobody_connects),
        cmocka_unit_test(a_slow_supervisor_is_waited_for),
        cmocka_unit_test(answers_wait_for_buffers),
        cmocka_unit_test(last_words_are_delivered),
        cmocka_unit_test(too_small_buffers_stop_the_device),
        cmocka_unit_test(headers_may_be_scattered),
        cmocka_unit_test(large_streams_arrive_whole),
        cmocka_unit_test(large_streams_pass_the_jail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
