/* SPDX-License-Identifier: Apache-2.0 */
/* The device tree by which an x86-64 Linux finds its CPUs, interrupt controllers and devices. */
#include <libfdt.h>
#include <stdio.h>

#include "base/err.h"
#include "vmm/arch.h"
#include "vmm/x86/x86.h"

#define PHANDLE_IOAPIC 1u
#define EDGE_RISING    3u

/* The first error sticks, as all further calls would follow from it. */
struct tree {
    void *fdt;
    int status;
};

static void check(struct tree *t, int status)
{
    if (!t->status)
        t->status = status;
}

static void begin(struct tree *t, const char *name)
{
    check(t, fdt_begin_node(t->fdt, name));
}

static void end(struct tree *t)
{
    check(t, fdt_end_node(t->fdt));
}

static void prop_u32(struct tree *t, const char *name, uint32_t value)
{
    check(t, fdt_property_u32(t->fdt, name, value));
}

static void prop_string(struct tree *t, const char *name, const char *value)
{
    check(t, fdt_property_string(t->fdt, name, value));
}

static void prop_empty(struct tree *t, const char *name)
{
    check(t, fdt_property(t->fdt, name, NULL, 0));
}

/* reg = <address size>, both of two cells. */
static void prop_reg(struct tree *t, uint64_t address, uint64_t size)
{
    fdt64_t cells[] = {cpu_to_fdt64(address), cpu_to_fdt64(size)};

    check(t, fdt_property(t->fdt, "reg", cells, sizeof(cells)));
}

static void add_cpus(struct tree *t, unsigned count)
{
    char name[16];

    begin(t, "cpus");
    prop_u32(t, "#address-cells", 1);
    prop_u32(t, "#size-cells", 0);
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "cpu@%x", i);
        begin(t, name);
        prop_string(t, "device_type", "cpu");
        prop_u32(t, "reg", i); /* APIC id */
        end(t);
    }
    end(t);
}

static void add_interrupt_controllers(struct tree *t)
{
    begin(t, "lapic@fee00000");
    prop_string(t, "compatible", "intel,ce4100-lapic");
    prop_reg(t, X86_LAPIC, 0x1000);
    prop_empty(t, "intel,virtual-wire-mode"); /* else the kernel looks for a PIC */
    end(t);

    begin(t, "ioapic@fec00000");
    prop_string(t, "compatible", "intel,ce4100-ioapic");
    prop_reg(t, X86_IOAPIC, 0x1000);
    prop_empty(t, "interrupt-controller");
    prop_u32(t, "#interrupt-cells", 2);
    prop_u32(t, "phandle", PHANDLE_IOAPIC);
    end(t);
}

static void add_device(struct tree *t, unsigned slot)
{
    fdt32_t interrupt[] = {cpu_to_fdt32(arch_device_gsi(slot)), cpu_to_fdt32(EDGE_RISING)};
    char name[40];

    snprintf(name, sizeof(name), "virtio@%llx", (unsigned long long)arch_device_address(slot));
    begin(t, name);
    prop_string(t, "compatible", "virtio,mmio");
    prop_reg(t, arch_device_address(slot), 0x1000);
    prop_u32(t, "interrupt-parent", PHANDLE_IOAPIC);
    check(t, fdt_property(t->fdt, "interrupts", interrupt, sizeof(interrupt)));
    end(t);
}

int x86_fdt(const struct x86_hardware *hw, void *out, size_t cap, struct err *err)
{
    struct tree t = {.fdt = out};

    check(&t, fdt_create(out, (int)cap));
    check(&t, fdt_finish_reservemap(out));
    begin(&t, "");
    prop_string(&t, "compatible", "appc-vm");
    prop_u32(&t, "#address-cells", 2);
    prop_u32(&t, "#size-cells", 2);
    add_cpus(&t, hw->cpus);
    add_interrupt_controllers(&t);
    for (unsigned i = 0; i < hw->devices; i++)
        add_device(&t, i);
    end(&t);
    check(&t, fdt_finish(out));
    if (t.status)
        return err_set(err, 0, "can't write the device tree: %s", fdt_strerror(t.status));
    return (int)fdt_totalsize(out);
}
