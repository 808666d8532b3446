/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/x86/cpuid.c: what a guest sees of its CPUs. */
#include <linux/kvm.h>
#include <stdlib.h>

#include "tests/unit/vmm/util.h"
#include "vmm/x86/x86.h"

struct list {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[64];
};

static void put(struct list *l, uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx,
                uint32_t ecx, uint32_t edx)
{
    l->entries[l->head.nent++] = (struct kvm_cpuid_entry2){
        .function = function, .index = index, .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx};
}

static const struct kvm_cpuid_entry2 *get(const struct list *l, uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < l->head.nent; i++)
        if (l->entries[i].function == function && l->entries[i].index == index)
            return &l->entries[i];
    fail_msg("leaf %#x.%u is missing", function, index);
    return NULL;
}

/* Everything on that a host could have. */
static struct list host(const char *vendor)
{
    struct list l = {0};
    uint32_t v[3];

    memcpy(v, vendor, sizeof(v));
    put(&l, 0x0, 0, 0x1f, v[0], v[2], v[1]);
    put(&l, 0x1, 0, 0x306f2, 0x12345678, ~0u, ~0u);
    put(&l, 0x4, 0, 0xfc004121, 0, 0, 0); /* level 1 data */
    put(&l, 0x4, 1, 0xfc01c163, 0, 0, 0); /* level 3 */
    put(&l, 0x4, 2, 0, 0, 0, 0);
    put(&l, 0x6, 0, ~0u, ~0u, ~0u, ~0u);
    put(&l, 0x7, 0, 1, ~0u, ~0u, ~0u);
    put(&l, 0xa, 0, 0x07300404, 0, 0, 0x603);
    put(&l, 0xb, 0, 1, 2, 0x100, 9);
    put(&l, 0xb, 1, 5, 24, 0x201, 9);
    put(&l, 0x40000000, 0, 0x40000001, 0, 0, 0);
    put(&l, 0x40000001, 0, ~0u, 0, 0, 0);
    put(&l, 0x80000001, 0, 0, 0, ~0u, ~0u);
    put(&l, 0x80000008, 0, 0x3028, 0, 0x7017, 0);
    put(&l, 0x8000000a, 0, 1, 8, 0, ~0u);
    put(&l, 0x8000001d, 3, 0x163, 0, 0, 0);
    put(&l, 0x8000001e, 0, 99, 0x199, 0x705, 0);
    return l;
}

static struct list filtered(const char *vendor, unsigned index, unsigned count)
{
    struct list l = host(vendor);
    struct x86_cpu cpu = {.index = index, .count = count, .tsc_deadline = true};

    x86_cpuid_filter(&l.head, &cpu);
    return l;
}

#define INTEL "GenuineIntel"
#define AMD   "AuthenticAMD"

static void leaf_1(void **state)
{
    (void)state;
    struct list l = filtered(INTEL, 5, 6);
    const struct kvm_cpuid_entry2 *e = get(&l, 1, 0);

    assert_int_equal(e->ebx >> 24, 5);
    assert_int_equal((e->ebx >> 16) & 0xff, 8); /* rounded up */
    assert_int_equal((e->ebx >> 8) & 0xff, 8);
    assert_int_equal(e->ebx & 0xff, 0x78); /* brand untouched */
    assert_true(e->ecx & (1u << 31));      /* hypervisor */
    assert_true(e->ecx & (1u << 24));      /* TSC-deadline */
    assert_false(e->ecx & (1u << 5));      /* VMX */
    assert_false(e->ecx & (1u << 15));     /* PDCM */
    assert_true(e->edx & (1u << 28));      /* HTT */
}

static void one_cpu(void **state)
{
    (void)state;
    struct list l = filtered(INTEL, 0, 1);

    assert_false(get(&l, 1, 0)->edx & (1u << 28));
    assert_int_equal((get(&l, 1, 0)->ebx >> 16) & 0xff, 1);
    assert_int_equal(get(&l, 0xb, 1)->eax, 0);
    assert_int_equal(get(&l, 0xb, 1)->ebx, 1);
}

static void no_deadline_timer(void **state)
{
    (void)state;
    struct list l = host(INTEL);
    struct x86_cpu cpu = {.count = 1, .tsc_deadline = false};

    x86_cpuid_filter(&l.head, &cpu);
    assert_false(get(&l, 1, 0)->ecx & (1u << 24));
}

/* A missing bit is set where KVM has the timer: the kernel would want a PIT. */
static void deadline_timer_is_offered(void **state)
{
    (void)state;
    struct list l = host(INTEL);
    struct x86_cpu cpu = {.count = 1, .tsc_deadline = true};

    l.entries[1].ecx = 0;
    l.entries[5].eax = 0;
    x86_cpuid_filter(&l.head, &cpu);
    assert_true(get(&l, 1, 0)->ecx & (1u << 24));
    assert_int_equal(get(&l, 6, 0)->eax, 4); /* ARAT */
}

static void extended_topology(void **state)
{
    (void)state;
    struct list l = filtered(INTEL, 2, 3);

    for (int i = 0; i < 2; i++) {
        uint32_t leaf = i ? 0x1f : 0xb;

        assert_int_equal(get(&l, leaf, 0)->eax, 0);
        assert_int_equal(get(&l, leaf, 0)->ebx, 1);
        assert_int_equal(get(&l, leaf, 0)->ecx, 0x100);
        assert_int_equal(get(&l, leaf, 1)->eax, 2);
        assert_int_equal(get(&l, leaf, 1)->ebx, 3);
        assert_int_equal(get(&l, leaf, 1)->ecx, 0x201);
        for (uint32_t sub = 0; sub < 3; sub++)
            assert_int_equal(get(&l, leaf, sub)->edx, 2);
    }
}

/* A host whose highest leaf is below gets none. */
static void no_leaf_beyond_the_highest(void **state)
{
    (void)state;
    struct list l = host(INTEL);
    struct x86_cpu cpu = {.count = 1};

    l.entries[0].eax = 0xd;
    x86_cpuid_filter(&l.head, &cpu);
    for (uint32_t i = 0; i < l.head.nent; i++)
        assert_int_not_equal(l.entries[i].function, 0x1f);
}

static void caches(void **state)
{
    (void)state;
    struct list l = filtered(INTEL, 0, 4);

    assert_int_equal((get(&l, 4, 0)->eax >> 14) & 0xfff, 0);
    assert_int_equal((get(&l, 4, 1)->eax >> 14) & 0xfff, 3);
    assert_int_equal(get(&l, 4, 0)->eax >> 26, 3);
    assert_int_equal(get(&l, 4, 2)->eax, 0);
    assert_int_equal((get(&l, 0x8000001d, 3)->eax >> 14) & 0xfff, 3);
}

/* Linux compares the three places and warns when they differ. */
static void amd_topology(void **state)
{
    (void)state;
    struct list l = filtered(AMD, 3, 4);

    assert_int_equal(get(&l, 0x80000008, 0)->ecx & 0xff, 3);
    assert_int_equal((get(&l, 0x80000008, 0)->ecx >> 12) & 0xf, 2);
    assert_int_equal(get(&l, 0x8000001e, 0)->eax, 3);
    assert_int_equal(get(&l, 0x8000001e, 0)->ebx, 3);
    assert_int_equal(get(&l, 0x8000001e, 0)->ecx, 0);
    assert_int_equal(get(&l, 0xb, 1)->eax, 2);
    assert_int_equal(get(&l, 0xb, 1)->ebx, 4);
}

static void intel_keeps_its_leaves(void **state)
{
    (void)state;
    struct list l = filtered(INTEL, 3, 4);

    assert_int_equal(get(&l, 0x80000008, 0)->ecx, 0x7017);
}

static void nothing_nested_or_measured(void **state)
{
    (void)state;
    struct list l = filtered(AMD, 0, 1);

    assert_false(get(&l, 0x80000001, 0)->ecx & (1u << 2)); /* SVM */
    assert_int_equal(get(&l, 0x8000000a, 0)->edx, 0);
    assert_int_equal(get(&l, 0xa, 0)->eax, 0);
    assert_int_equal(get(&l, 0xa, 0)->edx, 0);
    assert_int_equal(get(&l, 6, 0)->eax, 4);
    assert_int_equal(get(&l, 6, 0)->ecx, 0);
    assert_false(get(&l, 7, 0)->ebx & (1u << 2 | 1u << 4 | 1u << 11 | 1u << 25));
    /* kvm-clock and its kin stay; what breaks with snapshots goes. */
    assert_true(get(&l, 0x40000001, 0)->eax & (1u << 3));
    assert_true(get(&l, 0x40000001, 0)->eax & (1u << 24));
    assert_false(get(&l, 0x40000001, 0)->eax & (1u << 4));
}

/* It adds no more entries than it says, even to an almost empty list. */
static void room(void **state)
{
    (void)state;
    struct list l = {0};
    struct x86_cpu cpu = {.count = 2};

    x86_cpuid_filter(&l.head, &cpu);
    assert_int_equal(l.head.nent, 0);
    put(&l, 0, 0, 0x1f, 0, 0, 0);
    x86_cpuid_filter(&l.head, &cpu);
    assert_in_range(l.head.nent, 1, 1 + X86_CPUID_EXTRA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaf_1),
        cmocka_unit_test(one_cpu),
        cmocka_unit_test(no_deadline_timer),
        cmocka_unit_test(deadline_timer_is_offered),
        cmocka_unit_test(extended_topology),
        cmocka_unit_test(no_leaf_beyond_the_highest),
        cmocka_unit_test(caches),
        cmocka_unit_test(amd_topology),
        cmocka_unit_test(intel_keeps_its_leaves),
        cmocka_unit_test(nothing_nested_or_measured),
        cmocka_unit_test(room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
