/* SPDX-License-Identifier: Apache-2.0 */
/* The vhost-user back end: the protocol, and front ends that break it. */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "vmm/devices/vhost_user.h"

/* A device that answers each request with the bytes it was given, and counts. */
struct echo {
    struct device dev;
    uint8_t config[8];
    unsigned stops;
    struct virtq_chain chain;
};

static int echo_run(struct device *d, unsigned q, struct err *err)
{
    struct echo *e = (struct echo *)d;
    struct virtq *vq = &d->queues[q];
    int r;
    do {
        while ((r = virtq_pop(vq, &e->chain, err)) > 0) {
            uint8_t tmp[64];
            size_t n = iovs_read(&e->chain.readable, tmp, sizeof(tmp));
            virtq_push(vq, e->chain.head, (uint32_t)iovs_write(&e->chain.writable, tmp, n));
        }
    } while (r == 0 && virtq_kicks_on(vq));
    virtq_flush(vq);
    return r;
}

static void echo_stopped(struct device *d, unsigned q)
{
    (void)q;
    ((struct echo *)d)->stops++;
}

static int echo_set_config(struct device *d, size_t off, const void *data, size_t len)
{
    struct echo *e = (struct echo *)d;
    if (off < 4)
        return -1;
    memcpy(e->config + off, data, len);
    return 0;
}

static const struct device_ops echo_ops = {
    .name = "echo",
    .run = echo_run,
    .stopped = echo_stopped,
    .set_config = echo_set_config,
};

struct bench {
    struct echo echo;
    struct front f;
};

static struct bench *bench_new(void)
{
    struct bench *b = test_calloc(1, sizeof(*b));
    struct err err;
    b->echo = (struct echo){.dev = {.ops = &echo_ops,
                                    .offered = 1ULL << 5,
                                    .nqueues = 2,
                                    .config = b->echo.config,
                                    .config_len = 8},
                            .config = "\1\2\3\4\5\6\7\10"};
    assert_int_equal(device_init(&b->echo.dev, &err), 0);
    front_start(&b->f, &b->echo.dev);
    return b;
}

static void bench_free(struct bench *b)
{
    device_free(&b->echo.dev);
    test_free(b);
}

/* The device must still be well. */
static void bench_end(struct bench *b)
{
    assert_int_equal(front_end(&b->f), 0);
    bench_free(b);
}

/* The device must have given up; its reason holds `why`. */
static void bench_broken(struct bench *b, const char *why)
{
    int r = front_wait_end(&b->f);
    if (r != -1 || !strstr(b->f.err.msg, why))
        fail_msg("wanted \"%s\", got %d \"%s\"", why, r, r ? b->f.err.msg : "");
    bench_free(b);
}

static void echo_once(struct front *f, unsigned q, const char *text)
{
    const uint64_t in = FRONT_GPA + FRONT_DATA, out = FRONT_GPA2 + 64;
    uint32_t len, n = (uint32_t)strlen(text);
    memcpy(front_at(f, in), text, n);
    memset(front_at(f, out), 0, n);
    const struct front_buf bufs[] = {{in, n, false}, {out, n, true}};
    uint16_t head = front_add(f, q, bufs, 2);
    front_kick(f, q);
    assert_int_equal(front_used(f, q, &len), head);
    assert_int_equal(len, n);
    assert_memory_equal(front_at(f, out), text, n);
}

static void a_front_end_is_served(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    front_negotiate(&b->f, 1ULL << 5 | FRONT_EVENT_IDX | FRONT_INDIRECT);
    assert_int_equal(front_get_u64(&b->f, VU_GET_QUEUE_NUM), 2);
    front_queues(&b->f, 2);
    echo_once(&b->f, 0, "hello");
    echo_once(&b->f, 1, "world");
    for (int i = 0; i < 1000; i++)
        echo_once(&b->f, 0, "again");
    bench_end(b);
}

static void a_queue_stops_and_goes_on(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    front_negotiate(&b->f, 0);
    front_queues(&b->f, 1);
    echo_once(&b->f, 0, "one");
    echo_once(&b->f, 0, "two");
    struct vu_vring_state s = {0, 0};
    front_state(&b->f, VU_GET_VRING_BASE, 0, 0);
    front_reply(&b->f, VU_GET_VRING_BASE, &s, sizeof(s));
    assert_int_equal(s.num, 2);
    /* Stopped: a kick does nothing. */
    const struct front_buf bufs[] = {{FRONT_GPA + FRONT_DATA, 3, false}};
    front_add(&b->f, 0, bufs, 1);
    front_kick(&b->f, 0);
    front_sync(&b->f);
    assert_false(front_has_used(&b->f, 0));
    /* Started again it finds what was kicked before. */
    b->f.q[0].avail_idx--;
    front_queue_start(&b->f, 0);
    b->f.q[0].avail_idx++;
    front_used(&b->f, 0, NULL);
    front_state(&b->f, VU_SET_VRING_ENABLE, 0, 0);
    front_send(&b->f, VU_RESET_DEVICE, VU_VERSION, NULL, 0, NULL, 0);
    front_sync(&b->f);
    assert_int_equal(b->echo.stops, 2);
    front_set_u64(&b->f, VU_SET_FEATURES, FRONT_BASE_FEATURES);
    front_queue_start(&b->f, 0);
    echo_once(&b->f, 0, "three");
    bench_end(b);
}

static void without_protocol_features_rings_are_enabled(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    front_set_u64(&b->f, VU_SET_FEATURES, 1ULL << 32);
    front_mem_table(&b->f);
    front_queues(&b->f, 1);
    echo_once(&b->f, 0, "plain");
    bench_end(b);
}

static uint64_t acknowledged(struct front *f, uint32_t request, const void *payload, size_t size,
                             const int *fds, size_t nfds)
{
    uint64_t ack;
    front_send(f, request, VU_VERSION | VU_NEED_REPLY, payload, size, fds, nfds);
    front_reply(f, request, &ack, sizeof(ack));
    return ack;
}

static void memory_comes_and_goes_one_by_one(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct vu_mem_table none = {0};
    front_negotiate(&b->f, 0);
    front_send(&b->f, VU_SET_MEM_TABLE, VU_VERSION, &none, 8, NULL, 0);
    assert_int_equal(front_get_u64(&b->f, VU_GET_MAX_MEM_SLOTS), MEM_REGIONS_MAX);
    struct vu_mem_reg low = {.region = {FRONT_GPA, FRONT_HALF, FRONT_UADDR, 0}};
    struct vu_mem_reg high = {
        .region = {FRONT_GPA2, FRONT_HALF, FRONT_UADDR + FRONT_GPA2, FRONT_HALF}};
    assert_int_equal(acknowledged(&b->f, VU_ADD_MEM_REG, &low, sizeof(low), &b->f.memfd, 1), 0);
    assert_int_equal(acknowledged(&b->f, VU_ADD_MEM_REG, &high, sizeof(high), &b->f.memfd, 1), 0);
    front_queues(&b->f, 1);
    echo_once(&b->f, 0, "both");
    /* The region without rings may go while the queue runs; then its addresses are wrong. */
    assert_int_equal(acknowledged(&b->f, VU_REM_MEM_REG, &high, sizeof(high), NULL, 0), 0);
    const struct front_buf bufs[] = {{FRONT_GPA2, 3, false}};
    front_add(&b->f, 0, bufs, 1);
    front_kick(&b->f, 0);
    bench_broken(b, "queue 0: a buffer of 3 bytes at 0x40000000 is not in guest memory");
}

static void removing_the_rings_memory_ends_the_device(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    front_negotiate(&b->f, 0);
    front_queues(&b->f, 1);
    struct vu_mem_reg low = {.region = {FRONT_GPA, FRONT_HALF, FRONT_UADDR, 0}};
    front_send(&b->f, VU_REM_MEM_REG, VU_VERSION, &low, sizeof(low), NULL, 0);
    bench_broken(b, "queue 0: the descriptor table");
}

static void configuration_is_read_and_written(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    front_negotiate(&b->f, 0);
    struct vu_config c = {.offset = 2, .size = 10};
    front_send(&b->f, VU_GET_CONFIG, VU_VERSION, &c, VU_CONFIG_HEADER + 10, NULL, 0);
    front_reply(&b->f, VU_GET_CONFIG, &c, VU_CONFIG_HEADER + 10);
    assert_memory_equal(c.bytes, "\3\4\5\6\7\10\0\0\0\0", 10);
    c = (struct vu_config){.offset = 4, .size = 2, .bytes = "xy"};
    assert_int_equal(acknowledged(&b->f, VU_SET_CONFIG, &c, VU_CONFIG_HEADER + 2, NULL, 0), 0);
    assert_memory_equal(b->echo.config + 4, "xy", 2);
    c.offset = 2; /* the device refuses */
    assert_int_equal(acknowledged(&b->f, VU_SET_CONFIG, &c, VU_CONFIG_HEADER + 2, NULL, 0), 1);
    c.offset = 7; /* over the end */
    assert_int_equal(acknowledged(&b->f, VU_SET_CONFIG, &c, VU_CONFIG_HEADER + 2, NULL, 0), 1);
    bench_end(b);
}

/* A message that no back end may accept, after negotiation and with one running queue. */
struct hostile {
    const char *why;
    uint32_t request;
    uint32_t flags;
    uint32_t size;
    union {
        uint8_t bytes[64];
        uint64_t u64[8];
        uint32_t u32[16];
    } payload;
    size_t nfds;
};

static const struct hostile hostile_messages[] = {
    {"has the flags", VU_GET_FEATURES, 0, 0, {{0}}, 0},
    {"has the flags", VU_GET_FEATURES, 2, 0, {{0}}, 0},
    {"has the flags", VU_GET_FEATURES, VU_VERSION | VU_REPLY, 0, {{0}}, 0},
    {"not known", 0, VU_VERSION, 0, {{0}}, 0},
    {"not known", 6, VU_VERSION, 0, {{0}}, 0},
    {"not known", VU_REQUESTS, VU_VERSION, 0, {{0}}, 0},
    {"not known", UINT32_MAX, VU_VERSION, 0, {{0}}, 0},
    {"of 8 bytes is malformed", VU_GET_FEATURES, VU_VERSION, 8, {{0}}, 0},
    {"of 4 bytes is malformed", VU_SET_FEATURES, VU_VERSION, 4, {{0}}, 0},
    {"of 12 bytes is malformed", VU_SET_VRING_NUM, VU_VERSION, 12, {{0}}, 0},
    {"descriptors is malformed", VU_GET_FEATURES, VU_VERSION, 0, {{0}}, 1},
    {"descriptors is malformed", VU_SET_VRING_KICK, VU_VERSION, 8, {{0}}, 2},
    {"descriptors is malformed", VU_SET_VRING_KICK, VU_VERSION, 8, {{0}}, 0},
    {"descriptors is malformed", VU_SET_VRING_CALL, VU_VERSION, 8, {.u64 = {0x100}}, 1},
    {"descriptors is malformed", VU_SET_VRING_CALL, VU_VERSION, 8, {.u64 = {1ULL << 40}}, 1},
    {"queue 2 does not exist", VU_SET_VRING_KICK, VU_VERSION, 8, {.u64 = {2}}, 1},
    {"queue 255 does not exist", VU_SET_VRING_CALL, VU_VERSION, 8, {.u64 = {255}}, 1},
    {"queue 200 does not exist", VU_SET_VRING_ERR, VU_VERSION, 8, {.u64 = {200}}, 1},
    {"no kick descriptor", VU_SET_VRING_KICK, VU_VERSION, 8, {.u64 = {0x100}}, 0},
    {"queue 2 does not exist", VU_SET_VRING_NUM, VU_VERSION, 8, {.u32 = {2, 8}}, 0},
    {"does not exist", VU_SET_VRING_BASE, VU_VERSION, 8, {.u32 = {UINT32_MAX, 8}}, 0},
    {"does not exist", VU_GET_VRING_BASE, VU_VERSION, 8, {.u32 = {99, 8}}, 0},
    {"does not exist", VU_SET_VRING_ENABLE, VU_VERSION, 8, {.u32 = {16, 1}}, 0},
    {"does not exist", VU_SET_VRING_ADDR, VU_VERSION, 40, {.u32 = {3}}, 0},
    {"queue 0 runs", VU_SET_VRING_NUM, VU_VERSION, 8, {.u32 = {0, 8}}, 0},
    {"queue 0 runs", VU_SET_VRING_BASE, VU_VERSION, 8, {.u32 = {0, 8}}, 0},
    {"is not an index", VU_SET_VRING_BASE, VU_VERSION, 8, {.u32 = {1, 65536}}, 0},
    {"neither on nor off", VU_SET_VRING_ENABLE, VU_VERSION, 8, {.u32 = {1, 2}}, 0},
    {"not in guest memory", VU_SET_VRING_ADDR, VU_VERSION, 40, {.u32 = {0}}, 0},
    {"were not offered", VU_SET_FEATURES, VU_VERSION, 8, {.u64 = {1}}, 0},
    {"while queue 0 runs", VU_SET_FEATURES, VU_VERSION, 8, {.u64 = {1ULL << 32}}, 0},
    {"were not offered", VU_SET_PROTOCOL_FEATURES, VU_VERSION, 8, {.u64 = {1ULL << 1}}, 0},
    {"memory table", VU_SET_MEM_TABLE, VU_VERSION, 8, {.u32 = {1}}, 0},
    {"memory table", VU_SET_MEM_TABLE, VU_VERSION, 8, {.u32 = {9}}, 0},
    {"memory table", VU_SET_MEM_TABLE, VU_VERSION, 8, {.u32 = {UINT32_MAX}}, 0},
    {"memory table", VU_SET_MEM_TABLE, VU_VERSION, 40, {.u32 = {1}}, 0},
    {"memory table", VU_SET_MEM_TABLE, VU_VERSION, 40, {.u32 = {1}}, 2},
    {"not a memory file", VU_SET_MEM_TABLE, VU_VERSION, 40, {.u64 = {1, 0, 4096, 0, 0}}, 1},
    {"region with 0 descriptors", VU_ADD_MEM_REG, VU_VERSION, 40, {.u64 = {0, 0, 4096, 0, 0}}, 0},
    {"no region", VU_REM_MEM_REG, VU_VERSION, 40, {.u64 = {0, 0, 4096, 0, 0}}, 0},
    {"configuration message", VU_GET_CONFIG, VU_VERSION, 12, {.u32 = {0, 8, 0}}, 0},
    {"configuration message", VU_GET_CONFIG, VU_VERSION, 20, {.u32 = {256, 8, 0}}, 0},
    {"configuration message", VU_GET_CONFIG, VU_VERSION, 20, {.u32 = {UINT32_MAX, 8, 0}}, 0},
    {"configuration message", VU_SET_CONFIG, VU_VERSION, 20, {.u32 = {0, UINT32_MAX, 0}}, 0},
    {"of 8 bytes is malformed", VU_GET_CONFIG, VU_VERSION, 8, {{0}}, 0},
};

static void hostile_messages_end_the_device(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(hostile_messages); i++) {
        const struct hostile *h = &hostile_messages[i];
        struct bench *b = bench_new();
        int fd = eventfd(0, EFD_CLOEXEC), fds[2] = {fd, fd};
        front_negotiate(&b->f, 0);
        front_queues(&b->f, 1);
        front_send(&b->f, h->request, h->flags, &h->payload, h->size, fds, h->nfds);
        close(fd);
        bench_broken(b, h->why);
    }
}

static void too_large_messages_are_not_read(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {sizeof(struct vu_mem_table) + 1, 1U << 20, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct bench *b = bench_new();
        struct vu_header h = {VU_SET_MEM_TABLE, VU_VERSION, sizes[i]};
        assert_int_equal(write_all(b->f.sock, &h, sizeof(h)), 0);
        bench_broken(b, "is malformed");
    }
}

static void half_messages_end_the_device(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 20; cut++) {
        struct bench *b = bench_new();
        struct {
            struct vu_header h;
            uint8_t payload[8];
        } m = {{VU_SET_FEATURES, VU_VERSION, 8}, {0}};
        assert_int_equal(write_all(b->f.sock, &m, cut), 0);
        shutdown(b->f.sock, SHUT_WR);
        bench_broken(b, "half a message");
    }
}

/* A message may come in pieces, its descriptors with the first. */
static void slow_messages_are_put_together(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct vu_message m = {.header = {VU_GET_CONFIG, VU_VERSION, VU_CONFIG_HEADER + 4},
                           .payload.config = {.size = 4}};
    for (size_t i = 0; i < sizeof(m.header) + VU_CONFIG_HEADER + 4; i++)
        assert_int_equal(write_all(b->f.sock, (char *)&m.header + i, 1), 0);
    front_reply(&b->f, VU_GET_CONFIG, &m.payload.config, VU_CONFIG_HEADER + 4);
    assert_memory_equal(m.payload.config.bytes, "\1\2\3\4", 4);
    bench_end(b);
}

static void old_drivers_are_refused(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    front_set_u64(&b->f, VU_SET_FEATURES, 0);
    front_mem_table(&b->f);
    struct vu_vring_addr a = {
        .desc = FRONT_UADDR, .avail = FRONT_UADDR + 0x4000, .used = FRONT_UADDR + 0x8000};
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t index = 0;
    front_state(&b->f, VU_SET_VRING_NUM, 0, 8);
    front_send(&b->f, VU_SET_VRING_ADDR, VU_VERSION, &a, sizeof(a), NULL, 0);
    front_send(&b->f, VU_SET_VRING_KICK, VU_VERSION, &index, 8, &fd, 1);
    close(fd);
    bench_broken(b, "does not speak virtio 1");
}

/* A kick descriptor that cannot be waited for, and a call descriptor that nobody reads. */
static void odd_descriptors_do_no_harm(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    front_negotiate(&b->f, 0);
    front_queues(&b->f, 1);
    int ends[2];
    uint64_t index = 0;
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    front_send(&b->f, VU_SET_VRING_CALL, VU_VERSION, &index, 8, &ends[1], 1);
    close(ends[1]);
    const struct front_buf bufs[] = {{FRONT_GPA + FRONT_DATA, 3, false}};
    front_add(&b->f, 0, bufs, 1);
    signal(SIGPIPE, SIG_IGN);
    front_kick(&b->f, 0);
    while (!front_has_used(&b->f, 0))
        front_sync(&b->f);
    front_send(&b->f, VU_SET_VRING_KICK, VU_VERSION, &index, 8, &b->f.memfd, 1);
    bench_broken(b, "cannot wait for descriptor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_front_end_is_served),
        cmocka_unit_test(a_queue_stops_and_goes_on),
        cmocka_unit_test(without_protocol_features_rings_are_enabled),
        cmocka_unit_test(memory_comes_and_goes_one_by_one),
        cmocka_unit_test(removing_the_rings_memory_ends_the_device),
        cmocka_unit_test(configuration_is_read_and_written),
        cmocka_unit_test(hostile_messages_end_the_device),
        cmocka_unit_test(too_large_messages_are_not_read),
        cmocka_unit_test(half_messages_end_the_device),
        cmocka_unit_test(slow_messages_are_put_together),
        cmocka_unit_test(old_drivers_are_refused),
        cmocka_unit_test(odd_descriptors_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
