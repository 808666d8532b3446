/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/memory.c: the layout of RAM and the door to it. */
#include <sys/mman.h>

#include "tests/unit/vmm/util.h"
#include "vmm/arch.h"
#include "vmm/memory.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct guest_memory make(uint64_t size)
{
    struct guest_memory m = {.fd = -1};
    struct err err;

    arch_memory_layout(size, &m);
    assert_int_equal(memory_create(&m, &err), 0);
    return m;
}

/* Nothing is behind the addresses yet, so even a large machine costs nothing. */
static void regions(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        size_t nregions;
        uint64_t low, high;
    } sizes[] = {
        {32 * MIB, 1, 32 * MIB, 0},
        {3 * GIB, 1, 3 * GIB, 0},
        {3 * GIB + 4096, 2, 3 * GIB, 4096},
        {64 * GIB, 2, 3 * GIB, 61 * GIB},
    };

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct guest_memory m = make(sizes[i].size);

        assert_int_equal(m.size, sizes[i].size);
        assert_int_equal(m.nregions, sizes[i].nregions);
        assert_int_equal(m.regions[0].gpa, 0);
        assert_int_equal(m.regions[0].size, sizes[i].low);
        if (m.nregions > 1) {
            assert_int_equal(m.regions[1].gpa, 4 * GIB);
            assert_int_equal(m.regions[1].size, sizes[i].high);
            assert_int_equal(m.regions[1].offset, sizes[i].low);
        }
        memory_destroy(&m);
    }
}

/* A huge page of the guest has to be one of the host. */
static void alignment(void **state)
{
    (void)state;
    struct guest_memory m = make(5 * GIB);

    for (size_t i = 0; i < m.nregions; i++)
        assert_int_equal((uintptr_t)m.regions[i].host % (2 * MIB), m.regions[i].gpa % (2 * MIB));
    memory_destroy(&m);
}

static void door(void **state)
{
    (void)state;
    struct guest_memory m = make(5 * GIB);

    assert_ptr_equal(memory_at(&m, 0, 1), m.regions[0].host);
    assert_non_null(memory_at(&m, 3 * GIB - 1, 1));
    assert_null(memory_at(&m, 3 * GIB - 1, 2));
    assert_null(memory_at(&m, 3 * GIB, 1));
    assert_null(memory_at(&m, 4 * GIB - 1, 2)); /* no range reaches over the gap */
    assert_ptr_equal(memory_at(&m, 4 * GIB, 2 * GIB), m.regions[1].host);
    assert_null(memory_at(&m, 4 * GIB, 2 * GIB + 1));
    assert_null(memory_at(&m, 4096, UINT64_MAX));
    assert_null(memory_at(&m, UINT64_MAX, 1));
    assert_null(memory_at(&m, UINT64_MAX, UINT64_MAX));
    memory_destroy(&m);
}

static void copies(void **state)
{
    (void)state;
    struct guest_memory m = make(5 * GIB);
    cleanup_close int fd = memfd_create("file", 0);
    struct err err;

    assert_int_equal(pwrite_all(fd, "0123456789", 10, 0), 0);
    assert_int_equal(memory_load_file(&m, 4 * GIB + 7, fd, 2, 5, "file", &err), 0);
    assert_memory_equal(memory_at(&m, 4 * GIB + 7, 5), "23456", 5);
    assert_int_equal(memory_load_file(&m, 0, fd, 8, 5, "file", &err), -1);
    assert_says(err, "ends 3 bytes too early");
    assert_int_equal(memory_load_file(&m, 3 * GIB, fd, 0, 1, "file", &err), -1);
    assert_says(err, "outside of memory");
    assert_int_equal(memory_write(&m, 3 * GIB - 4, "12345", 5, &err), -1);
    assert_int_equal(memory_write(&m, 3 * GIB - 5, "12345", 5, &err), 0);
    memory_destroy(&m);
}

/* The device processes see the same bytes through the descriptor. */
static void shared(void **state)
{
    (void)state;
    struct guest_memory m = make(4 * GIB);
    char *other = mmap(NULL, 4096, PROT_READ, MAP_SHARED, m.fd, (off_t)m.regions[1].offset);
    struct err err;

    assert_ptr_not_equal(other, MAP_FAILED);
    assert_int_equal(memory_write(&m, 4 * GIB, "seen", 5, &err), 0);
    assert_string_equal(other, "seen");
    munmap(other, 4096);
    memory_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions), cmocka_unit_test(alignment), cmocka_unit_test(door),
        cmocka_unit_test(copies),  cmocka_unit_test(shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
