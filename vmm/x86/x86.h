/* SPDX-License-Identifier: Apache-2.0 */
/* x86-64: where things lie in guest memory, and the parts behind arch.h. */
#ifndef APPC_VMM_X86_X86_H
#define APPC_VMM_X86_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct boot_params;
struct err;
struct guest_memory;
struct kvm_cpuid2;
struct kvm_sregs;
struct vcpu;

#define X86_GDT        0x500ull
#define X86_ZERO_PAGE  0x7000ull
#define X86_PML4       0x9000ull
#define X86_PDPT       0xa000ull
#define X86_PD         0xb000ull
#define X86_SETUP_DATA 0x10000ull /* device tree and seed, up to X86_CMDLINE */
#define X86_CMDLINE    0x20000ull
#define X86_LOW_END    0x9fc00ull  /* what lies between this and ... */
#define X86_HIGH_START 0x100000ull /* ... this was never RAM on a PC */
#define X86_GAP_START  0xc0000000ull
#define X86_MMIO_BASE  0xd0000000ull
#define X86_IOAPIC     0xfec00000ull
#define X86_LAPIC      0xfee00000ull
#define X86_IDENTITY   0xfffbc000ull /* one page, for Intel CPUs without unrestricted guests */
#define X86_TSS        0xfffbd000ull /* three pages, for the same */
#define X86_GAP_END    0x100000000ull

#define X86_SERIAL_PORT  0x3f8u
#define X86_FIRST_DEVICE 5u /* interrupt line of the first device */

#define X86_SEED_SIZE 32u
#define X86_FDT_MAX   0xe000u

/* The smallest n with 1 << n >= count. */
unsigned x86_apic_bits(unsigned count);

/* What the device tree says. */
struct x86_hardware {
    unsigned cpus;
    unsigned devices;
};

/*
 * Writes a flattened device tree of at most `cap` bytes; its length, or -1.
 * The nodes are those of Linux' arch/x86/kernel/devicetree.c: cpus,
 * intel,ce4100-lapic and -ioapic, and virtio,mmio for each device slot.
 */
int x86_fdt(const struct x86_hardware *hw, void *out, size_t cap, struct err *err);

/* What a kernel is told in its boot_params. Addresses are guest-physical. */
struct x86_boot_info {
    uint64_t cmdline;
    uint32_t cmdline_len;
    uint64_t initrd;
    uint64_t initrd_len;
    uint64_t setup_data;
};

/* Fills the "zero page" (Documentation/arch/x86/boot.rst), with the memory map. */
void x86_boot_params(struct boot_params *bp, const struct x86_boot_info *info,
                     const struct guest_memory *m);

/*
 * Writes descriptor table and page tables (the first GiB, mapped one to
 * one), and sets the segment and control registers for 64-bit mode.
 */
int x86_long_mode(const struct guest_memory *m, struct kvm_sregs *sregs, struct err *err);

/* How the filter below changes what KVM supports. */
struct x86_cpu {
    unsigned index; /* APIC id */
    unsigned count;
    bool tsc_deadline; /* the host's KVM has that timer */
};

/* Room that x86_cpuid_filter() may need beyond the entries that are there. */
#define X86_CPUID_EXTRA 8u
#define X86_CPUID_MAX   256u

/*
 * Turns the list of KVM_GET_SUPPORTED_CPUID (with room for X86_CPUID_EXTRA
 * more entries) into what CPU `cpu` of the guest sees: topology, hypervisor bit,
 * TSC-deadline; no nested virtualization, no performance counters, nothing of SGX or tracing.
 */
void x86_cpuid_filter(struct kvm_cpuid2 *c, const struct x86_cpu *cpu);

#endif
