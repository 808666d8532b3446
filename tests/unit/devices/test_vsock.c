/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-vsock: connections, credit, ends of all kinds, and guests that cheat. */
#include "vsock_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
