/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-rng: bytes come, but not more than the bucket has. */
#include "front.h"

#include "vmm/devices/rng.h"

#define DATA (FRONT_GPA2 + 4096)

struct bench {
    struct rng rng;
    struct front f;
};

static struct bench *bench_new(void)
{
    struct bench *t = test_calloc(1, sizeof(*t));
    struct err err;
    assert_int_equal(rng_init(&t->rng, &err), 0);
    front_start(&t->f, &t->rng.dev);
    front_negotiate(&t->f, FRONT_EVENT_IDX);
    front_queues(&t->f, 1);
    return t;
}

static void bench_end(struct bench *t)
{
    assert_int_equal(front_end(&t->f), 0);
    rng_free(&t->rng);
    test_free(t);
}

static uint32_t ask(struct bench *t, const struct front_buf *bufs, size_t n)
{
    uint32_t len;
    front_add(&t->f, 0, bufs, n);
    front_kick(&t->f, 0);
    front_used(&t->f, 0, &len);
    return len;
}

static void bytes_fill_the_buffers(void **state)
{
    (void)state;
    struct bench *t = bench_new();
    const struct front_buf bufs[] = {
        {DATA, 1, true}, {DATA + 100, 4000, true}, {DATA + 9000, 99, true}};
    assert_int_equal(ask(t, bufs, 3), 4100);
    unsigned counts[256] = {0};
    const uint8_t *p = front_at(&t->f, DATA);
    for (int i = 0; i < 4000; i++)
        counts[p[100 + i]]++;
    for (int i = 0; i < 256; i++)
        assert_in_range(counts[i], 0, 80); /* 16 is the mean */
    assert_int_equal(p[1], 0);             /* the gap is untouched */
    assert_int_equal(p[4100], 0);
    bench_end(t);
}

static void one_request_is_capped(void **state)
{
    (void)state;
    struct bench *t = bench_new();
    const struct front_buf bufs[] = {{DATA, 1U << 20, true}};
    assert_int_equal(ask(t, bufs, 1), RNG_REQUEST_MAX);
    assert_int_equal(*(uint64_t *)front_at(&t->f, DATA + RNG_REQUEST_MAX), 0);
    bench_end(t);
}

static void requests_without_room_are_answered(void **state)
{
    (void)state;
    struct bench *t = bench_new();
    const struct front_buf readable[] = {{DATA, 100, false}};
    assert_int_equal(ask(t, readable, 1), 0);
    const struct front_buf empty[] = {{DATA, 0, true}};
    assert_int_equal(ask(t, empty, 1), 0);
    bench_end(t);
}

/* More than the bucket holds: all is answered in the end, by the timer. */
static void a_greedy_guest_waits(void **state)
{
    (void)state;
    struct bench *t = bench_new();
    const struct front_buf bufs[] = {{DATA, 65536, true}};
    uint64_t total = 0;
    for (int i = 0; i < 8; i++)
        front_add(&t->f, 0, bufs, 1);
    front_kick(&t->f, 0);
    for (int i = 0; i < 8; i++) {
        uint32_t len;
        front_used(&t->f, 0, &len);
        assert_in_range(len, 1, RNG_REQUEST_MAX);
        total += len;
    }
    /* Four fit into the bucket; the others got what there was when their turn came. */
    assert_in_range(total, RNG_BURST - 5 * RNG_REQUEST_COST, 8 * 65536 - 1);
    bench_end(t);
}

static void the_bucket_fills_by_the_clock(void **state)
{
    (void)state;
    const uint64_t second = 1000000000;
    struct rng r = {.tokens = 0, .filled_ns = 5 * second};
    rng_refill(&r, 5 * second);
    assert_int_equal(r.tokens, 0);
    /* In steps too small for a token nothing is lost. */
    for (uint64_t i = 1; i <= 1000; i++)
        rng_refill(&r, 5 * second + i * 100);
    assert_in_range(r.tokens, RNG_RATE / 10000 - 2, RNG_RATE / 10000);
    rng_refill(&r, 5 * second + second / 8);
    assert_in_range(r.tokens, RNG_RATE / 8 - 2, RNG_RATE / 8);
    rng_refill(&r, UINT64_MAX);
    assert_int_equal(r.tokens, RNG_BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_fill_the_buffers),
        cmocka_unit_test(one_request_is_capped),
        cmocka_unit_test(requests_without_room_are_answered),
        cmocka_unit_test(a_greedy_guest_waits),
        cmocka_unit_test(the_bucket_fills_by_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
