/* SPDX-License-Identifier: Apache-2.0 */
/* The token bucket, with a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/devices/throttle.h"

#define SECOND 1000000000ULL

/* How long `n` pieces of `units` take that begin as soon as each may. */
static uint64_t duration(struct throttle *t, uint64_t start, unsigned n, uint64_t units)
{
    uint64_t now = start;
    for (unsigned i = 0; i < n; i++) {
        now += throttle_wait(t, now);
        assert_int_equal(throttle_wait(t, now), 0);
        throttle_charge(t, now, units);
    }
    return now + throttle_wait(t, now) - start;
}

static void the_rate_is_kept_iso_58_iso_59(void **state)
{
    struct throttle t = {.rate = 1000000};
    (void)state;
    /* 10 MB at 1 MB a second, but for the burst; then without one. */
    assert_int_equal(duration(&t, 5 * SECOND, 100, 100000), 10 * SECOND - THROTTLE_BURST_NS);
    assert_int_equal(duration(&t, 15 * SECOND - THROTTLE_BURST_NS, 10, 1000000), 10 * SECOND);
}

static void a_pause_makes_up_for_one_burst_only(void **state)
{
    struct throttle t = {.rate = 10};
    (void)state;
    duration(&t, SECOND, 100, 1);
    assert_int_equal(duration(&t, 1000 * SECOND, 20, 1), 2 * SECOND - THROTTLE_BURST_NS);
}

static void no_rate_is_no_limit(void **state)
{
    struct throttle t = {.rate = 0};
    (void)state;
    assert_int_equal(duration(&t, 0, 100, UINT64_MAX), 0);
}

static void huge_pieces_wait_for_ever(void **state)
{
    struct throttle t = {.rate = 1};
    (void)state;
    for (int i = 0; i < 8; i++) {
        throttle_charge(&t, SECOND, UINT64_MAX);
        assert_true(throttle_wait(&t, SECOND) > 1000000 * SECOND);
    }
    t = (struct throttle){.rate = UINT64_MAX};
    assert_int_equal(duration(&t, SECOND, 1000, 1 << 20), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_is_kept_iso_58_iso_59),
        cmocka_unit_test(a_pause_makes_up_for_one_burst_only),
        cmocka_unit_test(no_rate_is_no_limit),
        cmocka_unit_test(huge_pieces_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
