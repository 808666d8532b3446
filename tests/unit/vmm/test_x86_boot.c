/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/x86: boot_params, memory map, device tree and the first register state. */
#include <asm/bootparam.h>
#include <libfdt.h>
#include <linux/kvm.h>
#include <stdio.h>

#include "tests/unit/vmm/util.h"
#include "vmm/arch.h"
#include "vmm/memory.h"
#include "vmm/x86/x86.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static void memory_map(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {32 * MIB, 512 * MIB, 3 * GIB, 3 * GIB + 4096, 100 * GIB};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct guest_memory m = {.fd = -1};
        struct x86_boot_info info = {.cmdline = X86_CMDLINE};
        struct boot_params bp;
        uint64_t low = sizes[i] < 3 * GIB ? sizes[i] : 3 * GIB;

        arch_memory_layout(sizes[i], &m);
        x86_boot_params(&bp, &info, &m);
        assert_int_equal(bp.e820_entries, sizes[i] > low ? 3 : 2);
        assert_int_equal(bp.e820_table[0].addr, 0);
        assert_int_equal(bp.e820_table[0].size, 0x9fc00);
        assert_int_equal(bp.e820_table[1].addr, MIB);
        assert_int_equal(bp.e820_table[1].size, low - MIB);
        if (sizes[i] > low) {
            assert_int_equal(bp.e820_table[2].addr, 4 * GIB);
            assert_int_equal(bp.e820_table[2].size, sizes[i] - low);
        }
        for (unsigned k = 0; k < bp.e820_entries; k++)
            assert_int_equal(bp.e820_table[k].type, 1);
    }
}

/* Offsets as Documentation/arch/x86/boot.rst has them, not as the header has. */
static void boot_params_fields(void **state)
{
    (void)state;
    struct guest_memory m = {.fd = -1};
    struct x86_boot_info info = {.cmdline = 0x20000,
                                 .cmdline_len = 77,
                                 .initrd = 0xbff00000,
                                 .initrd_len = 0x12345,
                                 .setup_data = 0x10000};
    struct boot_params bp;
    const uint8_t *page = (const uint8_t *)&bp;
    uint32_t u32;
    uint64_t u64;

    assert_int_equal(sizeof(bp), 4096);
    arch_memory_layout(GIB, &m);
    memset(&bp, 0xff, sizeof(bp));
    x86_boot_params(&bp, &info, &m);
    assert_int_equal(page[0x1ef], 0); /* the sentinel */
    assert_memory_equal(page + 0x1fe, "\x55\xaa", 2);
    assert_memory_equal(page + 0x202, "HdrS", 4);
    assert_int_equal(page[0x210], 0xff);
    memcpy(&u32, page + 0x218, 4);
    assert_int_equal(u32, 0xbff00000);
    memcpy(&u32, page + 0x21c, 4);
    assert_int_equal(u32, 0x12345);
    memcpy(&u32, page + 0x228, 4);
    assert_int_equal(u32, 0x20000);
    memcpy(&u32, page + 0x238, 4);
    assert_int_equal(u32, 77);
    memcpy(&u64, page + 0x250, 8);
    assert_int_equal(u64, 0x10000);
}

static const char *string_of(const void *fdt, int node, const char *name)
{
    const char *s = fdt_getprop(fdt, node, name, NULL);

    assert_non_null(s);
    return s;
}

static uint32_t cell_of(const void *fdt, int node, const char *name, int index)
{
    int len;
    const fdt32_t *cells = fdt_getprop(fdt, node, name, &len);

    assert_non_null(cells);
    assert_true(len >= (index + 1) * 4);
    return fdt32_to_cpu(cells[index]);
}

static void check_device(const void *fdt, unsigned slot)
{
    char path[64];
    int node;

    snprintf(path, sizeof(path), "/virtio@%x", 0xd0000000 + slot * 0x1000);
    node = fdt_path_offset(fdt, path);
    assert_true(node > 0);
    assert_string_equal(string_of(fdt, node, "compatible"), "virtio,mmio");
    assert_int_equal(cell_of(fdt, node, "reg", 0), 0);
    assert_int_equal(cell_of(fdt, node, "reg", 1), 0xd0000000 + slot * 0x1000);
    assert_int_equal(cell_of(fdt, node, "reg", 3), 0x1000);
    assert_int_equal(cell_of(fdt, node, "interrupts", 0), 5 + slot);
    assert_int_equal(cell_of(fdt, node, "interrupts", 1), 3); /* rising edge */
    assert_int_equal(cell_of(fdt, node, "interrupt-parent", 0),
                     fdt_get_phandle(fdt, fdt_path_offset(fdt, "/ioapic@fec00000")));
}

static void device_tree(void **state)
{
    (void)state;
    static uint8_t fdt[X86_FDT_MAX];
    struct x86_hardware hw = {.cpus = 3, .devices = 2};
    int node, cpus = 0;
    struct err err;

    assert_true(x86_fdt(&hw, fdt, sizeof(fdt), &err) > 0);
    assert_int_equal(fdt_check_full(fdt, sizeof(fdt)), 0);
    assert_int_equal(cell_of(fdt, 0, "#address-cells", 0), 2);
    assert_int_equal(cell_of(fdt, 0, "#size-cells", 0), 2);
    fdt_for_each_subnode(node, fdt, fdt_path_offset(fdt, "/cpus"))
    {
        assert_string_equal(string_of(fdt, node, "device_type"), "cpu");
        assert_int_equal(cell_of(fdt, node, "reg", 0), cpus);
        cpus++;
    }
    assert_int_equal(cpus, 3);
    node = fdt_path_offset(fdt, "/lapic@fee00000");
    assert_string_equal(string_of(fdt, node, "compatible"), "intel,ce4100-lapic");
    assert_non_null(fdt_getprop(fdt, node, "intel,virtual-wire-mode", NULL));
    node = fdt_path_offset(fdt, "/ioapic@fec00000");
    assert_string_equal(string_of(fdt, node, "compatible"), "intel,ce4100-ioapic");
    assert_int_equal(cell_of(fdt, node, "#interrupt-cells", 0), 2);
    check_device(fdt, 0);
    check_device(fdt, 1);
    assert_int_equal(fdt_path_offset(fdt, "/virtio@d0002000"), -FDT_ERR_NOTFOUND);
}

/* The largest machine fits into the room; one that does not is an error. */
static void device_tree_size(void **state)
{
    (void)state;
    static uint8_t fdt[X86_FDT_MAX];
    struct x86_hardware hw = {.cpus = 64, .devices = 19};
    struct err err;

    assert_true(x86_fdt(&hw, fdt, sizeof(fdt), &err) > 0);
    assert_int_equal(x86_fdt(&hw, fdt, 512, &err), -1);
    assert_says(err, "device tree");
}

static void long_mode(void **state)
{
    (void)state;
    struct guest_memory m = {.fd = -1};
    struct kvm_sregs s = {0};
    const uint64_t *gdt, *pd;
    struct err err;

    arch_memory_layout(32 * MIB, &m);
    assert_int_equal(memory_create(&m, &err), 0);
    assert_int_equal(x86_long_mode(&m, &s, &err), 0);
    gdt = memory_at(&m, s.gdt.base, s.gdt.limit + 1ull);
    assert_non_null(gdt);
    assert_int_equal(gdt[0], 0);
    assert_int_equal(gdt[s.cs.selector / 8], 0x00af9b000000ffffull);
    assert_int_equal(gdt[s.ds.selector / 8], 0x00cf93000000ffffull);
    assert_int_equal(s.cs.selector, 0x10);
    assert_int_equal(s.ds.selector, 0x18);
    assert_int_equal(s.cr0, 0x80000001);
    assert_int_equal(s.cr4, 0x20);
    assert_int_equal(s.efer, 0x500);
    pd = memory_at(&m, X86_PD, 4096);
    for (uint64_t i = 0; i < 512; i++)
        assert_int_equal(pd[i], i << 21 | 0x83);
    memory_destroy(&m);
}

static void apic_bits(void **state)
{
    (void)state;
    assert_int_equal(x86_apic_bits(1), 0);
    assert_int_equal(x86_apic_bits(2), 1);
    assert_int_equal(x86_apic_bits(3), 2);
    assert_int_equal(x86_apic_bits(4), 2);
    assert_int_equal(x86_apic_bits(64), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_map),  cmocka_unit_test(boot_params_fields),
        cmocka_unit_test(device_tree), cmocka_unit_test(device_tree_size),
        cmocka_unit_test(long_mode),   cmocka_unit_test(apic_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
