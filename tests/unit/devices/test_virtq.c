/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory and split rings: what is allowed, and every way to break them. */
#include "front.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/devices/mem.h"
#include "vmm/devices/virtq.h"

#define NUM   8
#define SIZE  (1U << 20)
#define GPA   0x10000ULL
#define UADDR 0x555500000000ULL
#define DATA  (GPA + 0x8000)
#define TABLE (GPA + 0x4000) /* indirect */

static const uint64_t EVENT_IDX = 1ULL << VIRTIO_RING_F_EVENT_IDX;
static const uint64_t INDIRECT = 1ULL << VIRTIO_RING_F_INDIRECT_DESC;

struct bench {
    struct mem mem;
    struct virtq q;
    uint8_t *host;
    struct vring_desc *desc, *table;
    struct vring_avail *avail;
    struct vring_used *used;
    struct virtq_chain chain;
    struct err err;
};

static int memory_file(size_t size)
{
    int fd = memfd_create("guest", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static struct bench *bench_new(uint64_t features)
{
    struct bench *b = test_calloc(1, sizeof(*b));
    cleanup_close int fd = memory_file(SIZE);
    const struct mem_desc d = {GPA, SIZE, UADDR, 0};
    assert_int_equal(mem_add(&b->mem, &d, fd, &b->err), 0);
    b->host = mem_at(&b->mem, GPA, SIZE);
    assert_non_null(b->host);
    b->desc = (void *)b->host;
    b->avail = (void *)(b->host + 0x1000);
    b->used = (void *)(b->host + 0x2000);
    b->table = (void *)(b->host + 0x4000);
    b->q = (struct virtq){.num = NUM,
                          .addr = {UADDR, UADDR + 0x1000, UADDR + 0x2000},
                          .mem = &b->mem,
                          .call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    assert_int_equal(virtq_start(&b->q, features, &b->err), 0);
    return b;
}

static void bench_free(struct bench *b)
{
    close(b->q.call_fd);
    mem_clear(&b->mem);
    test_free(b);
}

static void offer(struct bench *b, uint16_t head)
{
    b->avail->ring[b->avail->idx % NUM] = head;
    b->avail->idx++;
}

static uint64_t interrupts(struct bench *b)
{
    uint64_t n;
    return read(b->q.call_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void chains_come_whole(void **state)
{
    (void)state;
    struct bench *b = bench_new(INDIRECT);
    b->desc[3] = (struct vring_desc){DATA, 100, VRING_DESC_F_NEXT, 5};
    b->desc[5] = (struct vring_desc){DATA + 500, 0, VRING_DESC_F_NEXT, 1}; /* empty: skipped */
    b->desc[1] = (struct vring_desc){DATA + 1000, 20, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 7};
    b->desc[7] = (struct vring_desc){GPA + SIZE - 1, 1, VRING_DESC_F_WRITE, 999};
    offer(b, 3);
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), 1);
    assert_int_equal(b->chain.head, 3);
    assert_int_equal(b->chain.readable.n, 1);
    assert_int_equal(b->chain.readable.len, 100);
    assert_int_equal(b->chain.writable.n, 2);
    assert_int_equal(b->chain.writable.len, 21);
    assert_ptr_equal(b->chain.writable.v[1].iov_base, b->host + SIZE - 1);
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), 0);
    virtq_unpop(&b->q, 1);
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), 1);
    bench_free(b);
}

/* Section 2.7.5.3.2: some ordinary descriptors, then an indirect one. */
static void indirect_tables_end_a_chain(void **state)
{
    (void)state;
    struct bench *b = bench_new(INDIRECT);
    b->desc[0] = (struct vring_desc){DATA, 16, VRING_DESC_F_NEXT, 1};
    /* WRITE on the head of a table means nothing, and tables need not be aligned. */
    b->desc[1] = (struct vring_desc){TABLE + 4, 48, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0};
    struct vring_desc t[3] = {{DATA + 64, 8, VRING_DESC_F_NEXT, 2},
                              {DATA, 1, VRING_DESC_F_WRITE, 0},
                              {DATA + 128, 32, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1}};
    memcpy(b->host + 0x4004, t, sizeof(t));
    offer(b, 0);
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), 1);
    assert_int_equal(b->chain.readable.n, 2);
    assert_int_equal(b->chain.readable.len, 24);
    assert_int_equal(b->chain.writable.len, 33);
    bench_free(b);
}

struct hostile {
    const char *what;
    struct vring_desc desc[3]; /* the chain starts at 0 */
    struct vring_desc table[3];
    uint64_t features;
};

#define NEXT VRING_DESC_F_NEXT
#define WR   VRING_DESC_F_WRITE
#define IND  VRING_DESC_F_INDIRECT

static const struct hostile hostile_chains[] = {
    {"loop of one", {{DATA, 1, NEXT, 0}}, {{0}}, 0},
    {"loop of two", {{DATA, 1, NEXT, 1}, {DATA, 1, NEXT, 0}}, {{0}}, 0},
    {"next is the size", {{DATA, 1, NEXT, NUM}}, {{0}}, 0},
    {"next is huge", {{DATA, 1, NEXT, 0xffff}}, {{0}}, 0},
    {"address 0", {{0, 1, 0, 0}}, {{0}}, 0},
    {"just below memory", {{GPA - 1, 1, 0, 0}}, {{0}}, 0},
    {"just behind memory", {{GPA + SIZE, 1, 0, 0}}, {{0}}, 0},
    {"over the end", {{GPA + SIZE - 1, 2, 0, 0}}, {{0}}, 0},
    {"whole memory and one", {{GPA, SIZE + 1, 0, 0}}, {{0}}, 0},
    {"length 4 GiB - 1", {{GPA, 0xffffffff, 0, 0}}, {{0}}, 0},
    {"address wraps", {{UINT64_MAX, 0xffffffff, 0, 0}}, {{0}}, 0},
    {"the front end's address", {{UADDR, 1, 0, 0}}, {{0}}, 0},
    {"readable after writable", {{DATA, 1, NEXT | WR, 1}, {DATA, 1, 0, 0}}, {{0}}, 0},
    {"indirect not negotiated", {{TABLE, 16, IND, 0}}, {{DATA, 1, 0, 0}}, 0},
    {"indirect with next", {{TABLE, 16, IND | NEXT, 1}, {DATA, 1, 0, 0}}, {{DATA, 1, 0, 0}}, 1},
    {"indirect length 0", {{TABLE, 0, IND, 0}}, {{DATA, 1, 0, 0}}, 1},
    {"indirect length 17", {{TABLE, 17, IND, 0}}, {{DATA, 1, 0, 0}}, 1},
    {"indirect too long", {{TABLE, 16 * (VIRTQ_CHAIN_MAX + 1), IND, 0}}, {{DATA, 1, 0, 0}}, 1},
    {"indirect outside", {{GPA + SIZE - 8, 16, IND, 0}}, {{0}}, 1},
    {"nested", {{TABLE, 16, IND, 0}}, {{TABLE, 16, IND, 0}}, 1},
    {"loop in the table", {{TABLE, 32, IND, 0}}, {{DATA, 1, NEXT, 1}, {DATA, 1, NEXT, 0}}, 1},
    {"next leaves the table", {{TABLE, 32, IND, 0}}, {{DATA, 1, NEXT, 2}, {DATA, 1, 0, 0}}, 1},
    {"order across the table",
     {{DATA, 1, NEXT | WR, 1}, {TABLE, 16, IND, 0}},
     {{DATA, 1, 0, 0}},
     1},
};

static void hostile_chains_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(hostile_chains); i++) {
        const struct hostile *h = &hostile_chains[i];
        struct bench *b = bench_new(h->features ? INDIRECT : 0);
        memcpy(b->desc, h->desc, sizeof(h->desc));
        memcpy(b->table, h->table, sizeof(h->table));
        offer(b, 0);
        if (virtq_pop(&b->q, &b->chain, &b->err) != -1)
            fail_msg("\"%s\" was accepted", h->what);
        assert_non_null(strstr(b->err.msg, "queue 0"));
        bench_free(b);
    }
}

static void hostile_indices_are_refused(void **state)
{
    (void)state;
    struct bench *b = bench_new(0);
    b->desc[0] = (struct vring_desc){DATA, 1, 0, 0};
    b->avail->idx = NUM + 1;
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), -1);
    b->avail->idx = 0xffff;
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), -1);
    b->avail->idx = 1;
    b->avail->ring[0] = NUM;
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), -1);
    b->avail->ring[0] = 0;
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), 1);
    /* Backwards is a jump forwards. */
    b->avail->idx = 0;
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), -1);
    bench_free(b);
}

static void rings_must_lie_in_memory(void **state)
{
    (void)state;
    static const struct {
        unsigned num;
        struct virtq_addr addr;
    } rows[] = {
        {0, {UADDR, UADDR + 0x1000, UADDR + 0x2000}},
        {3, {UADDR, UADDR + 0x1000, UADDR + 0x2000}},
        {2048, {UADDR, UADDR + 0x10000, UADDR + 0x20000}},
        {1U << 31, {UADDR, UADDR + 0x1000, UADDR + 0x2000}},
        {8, {UADDR + 8, UADDR + 0x1000, UADDR + 0x2000}},
        {8, {UADDR, UADDR + 0x1001, UADDR + 0x2000}},
        {8, {UADDR, UADDR + 0x1000, UADDR + 0x2002}},
        {8, {GPA, UADDR + 0x1000, UADDR + 0x2000}},
        {8, {UADDR + SIZE - 112, UADDR + 0x1000, UADDR + 0x2000}},
        {8, {UADDR, UADDR + SIZE - 20, UADDR + 0x2000}},
        {8, {UADDR, UADDR + 0x1000, UADDR + SIZE - 68}},
        {8, {UADDR, UADDR + 0x1000, UINT64_MAX - 3}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct bench *b = bench_new(0);
        struct virtq q = {.num = rows[i].num, .addr = rows[i].addr, .mem = &b->mem};
        assert_int_equal(virtq_start(&q, 0, &b->err), -1);
        bench_free(b);
    }
}

static void answer(struct bench *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        virtq_push(&b->q, (uint16_t)(i % NUM), i);
    virtq_flush(&b->q);
}

static void answers_appear_at_the_flush(void **state)
{
    (void)state;
    struct bench *b = bench_new(0);
    virtq_push(&b->q, 5, 77);
    assert_int_equal(b->used->idx, 0);
    virtq_flush(&b->q);
    assert_int_equal(b->used->idx, 1);
    assert_int_equal(b->used->ring[0].id, 5);
    assert_int_equal(b->used->ring[0].len, 77);
    assert_int_equal(interrupts(b), 1);
    virtq_flush(&b->q); /* nothing new, no interrupt */
    assert_int_equal(interrupts(b), 0);
    b->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
    answer(b, 3);
    assert_int_equal(b->used->idx, 4);
    assert_int_equal(interrupts(b), 0);
    bench_free(b);
}

static void event_index_suppresses_interrupts(void **state)
{
    (void)state;
    static const struct {
        uint16_t start, event;
        unsigned answers;
        unsigned want;
    } rows[] = {
        {0, 0, 1, 1},      /* wants the very first */
        {0, 3, 3, 0},      /* not reached */
        {0, 3, 4, 1},      /* reached by the last */
        {0, 0, 5, 1},      /* passed in a batch: one */
        {10, 3, 5, 0},     /* passed long ago */
        {0xfffe, 0, 2, 0}, /* before the wrap */
        {0xfffe, 0, 3, 1}, /* over the wrap */
        {0xfffe, 0xffff, 2, 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct bench *b = bench_new(EVENT_IDX);
        b->q.used_idx = b->q.shown_idx = b->q.signalled = rows[i].start;
        b->q.signalled_valid = true;
        b->avail->ring[NUM] = rows[i].event;
        answer(b, rows[i].answers);
        assert_int_equal(interrupts(b), rows[i].want);
        bench_free(b);
    }
}

static void kicks_are_switched(void **state)
{
    (void)state;
    struct bench *b = bench_new(0);
    b->desc[0] = (struct vring_desc){DATA, 1, 0, 0};
    virtq_kicks_off(&b->q);
    assert_int_equal(b->used->flags, VRING_USED_F_NO_NOTIFY);
    assert_false(virtq_kicks_on(&b->q));
    assert_int_equal(b->used->flags, 0);
    offer(b, 0);
    assert_true(virtq_kicks_on(&b->q));
    bench_free(b);
    b = bench_new(EVENT_IDX);
    b->desc[0] = (struct vring_desc){DATA, 1, 0, 0};
    offer(b, 0);
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), 1);
    assert_false(virtq_kicks_on(&b->q));
    assert_int_equal(*(uint16_t *)&b->used->ring[NUM], 1);
    bench_free(b);
}

/* The guest's index of the used ring at the start is taken over, whatever it is. */
static void indices_go_on_where_they_were(void **state)
{
    (void)state;
    struct bench *b = bench_new(0);
    virtq_stop(&b->q);
    b->used->idx = 0xffff;
    b->avail->idx = 0;
    b->q.last_avail = 0xffff;
    b->avail->ring[7] = 2;
    b->desc[2] = (struct vring_desc){DATA, 1, 0, 0};
    assert_int_equal(virtq_start(&b->q, 0, &b->err), 0);
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), 1);
    assert_int_equal(b->chain.head, 2);
    answer(b, 1);
    assert_int_equal(b->used->idx, 0);
    assert_int_equal(virtq_pop(&b->q, &b->chain, &b->err), 0);
    bench_free(b);
}

static void regions_are_checked(void **state)
{
    (void)state;
    struct err err;
    cleanup_close int fd = memory_file(3 * 4096);
    int pipefd[2];
    assert_int_equal(pipe(pipefd), 0);
    static const struct mem_desc bad[] = {
        {0x9000, 0, 0x1000, 0},                   /* empty */
        {0x9000, 4 * 4096, 0x9000, 0},            /* larger than the file */
        {0x9000, 4096, 0x9000, 3 * 4096},         /* behind the file */
        {0x9000, 4096, 0x9000, 2 * 4096 + 1},     /* over its end */
        {0x9000, UINT64_MAX, 0x9000, 0},          /* wraps */
        {UINT64_MAX - 100, 4096, 0x9000, 0},      /* wraps */
        {0x9000, 4096, UINT64_MAX - 100, 0},      /* wraps */
        {0x9000, 4096, 0x9000, UINT64_MAX - 100}, /* wraps */
        {0x1000 - 1, 4096, 0x9000, 0},            /* overlaps the first by gpa */
        {0x1000 + 4095, 4096, 0x9000, 0},         /* the same at its end */
        {0x9000, 4096, 0x7000 + 4095, 0},         /* by address of the front end */
        {0, 0x3000, 0x9000, 0},                   /* around it */
    };
    struct mem m = {0};
    const struct mem_desc good = {0x1000, 4096, 0x7000, 100}; /* the offset need not be aligned */
    assert_int_equal(mem_add(&m, &good, fd, &err), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(mem_add(&m, &bad[i], fd, &err), -1);
    const struct mem_desc other = {0x9000, 4096, 0x9000, 0};
    assert_int_equal(mem_add(&m, &other, pipefd[0], &err), -1);
    assert_int_equal(mem_add(&m, &other, -1, &err), -1);
    assert_int_equal(m.n, 1);
    const uint32_t v = 0xdeadbeef;
    assert_int_equal(pwrite(fd, &v, sizeof(v), 104), sizeof(v));
    assert_memory_equal(mem_at(&m, 0x1004, sizeof(v)), &v, sizeof(v));
    assert_memory_equal(mem_at_uaddr(&m, 0x7004, sizeof(v)), &v, sizeof(v));
    assert_null(mem_at(&m, 0x1ffd, 4));
    assert_null(mem_at(&m, 0x2000, 0));
    assert_int_equal(mem_remove(&m, &other, &err), -1);
    assert_int_equal(mem_remove(&m, &good, &err), 0);
    assert_null(mem_at(&m, 0x1000, 1));
    close(pipefd[0]);
    close(pipefd[1]);
}

static void vectors_are_cut(void **state)
{
    (void)state;
    char text[] = "abcdefghij", out[16] = {0};
    struct iovec v[] = {{text, 3}, {text + 3, 4}, {text + 7, 3}}, part[3];
    struct iovs s = {v, 3, 10};
    assert_int_equal(iovs_slice(&s, 4, 4, part), 2);
    assert_memory_equal(part[0].iov_base, "efg", 3);
    assert_int_equal(part[1].iov_len, 1);
    struct iovs_limit token;
    assert_int_equal(iovs_limit(&s, 5, &token), 2);
    assert_int_equal(v[1].iov_len, 2);
    iovs_unlimit(&token);
    assert_int_equal(v[1].iov_len, 4);
    assert_int_equal(iovs_limit(&s, 7, &token), 2);
    iovs_unlimit(&token);
    iovs_drop(&s, 4);
    iovs_drop_end(&s, 4);
    assert_int_equal(s.len, 2);
    assert_int_equal(iovs_read(&s, out, sizeof(out)), 2);
    assert_string_equal(out, "ef");
    iovs_zero(&s, 1);
    assert_int_equal(text[4], 0);
    assert_int_equal(iovs_write(&s, "XYZ", 3), 1);
    assert_int_equal(text[5], 'X');
    iovs_drop(&s, 100);
    assert_int_equal(s.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_come_whole),
        cmocka_unit_test(indirect_tables_end_a_chain),
        cmocka_unit_test(hostile_chains_are_refused),
        cmocka_unit_test(hostile_indices_are_refused),
        cmocka_unit_test(rings_must_lie_in_memory),
        cmocka_unit_test(answers_appear_at_the_flush),
        cmocka_unit_test(event_index_suppresses_interrupts),
        cmocka_unit_test(kicks_are_switched),
        cmocka_unit_test(indices_go_on_where_they_were),
        cmocka_unit_test(regions_are_checked),
        cmocka_unit_test(vectors_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
