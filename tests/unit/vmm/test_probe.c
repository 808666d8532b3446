/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/probe.c without KVM: what it says, and that it always says something. */
#include <sys/eventfd.h>

#include "base/buf.h"
#include "tests/unit/vmm/util.h"
#include "vmm/probe.h"

/* Not /dev/kvm at all. */
static void other_descriptor(void **state)
{
    (void)state;
    cleanup_close int fd = eventfd(0, EFD_CLOEXEC);
    struct probe_result r;

    probe_kvm(fd, &r);
    assert_false(r.usable);
    assert_non_null(strstr(r.reason, "is not /dev/kvm"));
    assert_int_equal(r.ps_per_instruction, 0);
}

static void prints_json(void **state)
{
    (void)state;
    cleanup_with(buf_free) struct buf b = {0};
    struct probe_result good = {.usable = true, .ps_per_instruction = 312, .total_ns = 99};
    struct probe_result bad = {.reason = "a \"quote\" and a \\", .ps_per_instruction = 570012};

    probe_print(&good, &b);
    assert_string_equal(b.data,
                        "{\"usable\": true, \"reason\": null, \"ns_per_instruction\": 0.312, "
                        "\"probe_ns\": 99}\n");
    buf_reset(&b);
    probe_print(&bad, &b);
    assert_string_equal(b.data, "{\"usable\": false, \"reason\": \"a \\\"quote\\\" and a \\\\\", "
                                "\"ns_per_instruction\": 570.012, \"probe_ns\": 0}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_descriptor),
        cmocka_unit_test(prints_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
