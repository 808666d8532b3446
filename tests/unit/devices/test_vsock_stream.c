/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-vsock: long streams in both directions at once, in a thread and in a jailed process. */
#include "vsock_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

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
        cmocka_unit_test(large_streams_arrive_whole),
        cmocka_unit_test(large_streams_pass_the_jail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
