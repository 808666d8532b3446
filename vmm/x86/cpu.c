/* SPDX-License-Identifier: Apache-2.0 */
/* The state that an x86 vCPU starts with, and the chips around it. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "vmm/arch.h"
#include "vmm/machine.h"
#include "vmm/x86/x86.h"

#define MSR_MISC_ENABLE   0x1a0u
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MISC_FAST_STRINGS 0x1ull
#define MTRR_WRITE_BACK   0x806ull /* enabled, default type write-back */

#define LAPIC_LVT_LINT0 0x350u
#define LAPIC_LVT_LINT1 0x360u
#define DELIVERY_NMI    0x400u
#define DELIVERY_EXTINT 0x700u

#define RFLAGS_RESERVED 0x2ull
#define STACK_POINTER   0x8ff0ull

uint64_t arch_device_address(unsigned slot)
{
    return X86_MMIO_BASE + slot * 0x1000ull;
}

uint32_t arch_device_gsi(unsigned slot)
{
    return X86_FIRST_DEVICE + slot;
}

int arch_vm_init(struct machine *m, struct err *err)
{
    uint64_t identity = X86_IDENTITY;
    int vm = m->kvm.vm;

    kvm_enable(&m->kvm, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE);
    if (ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) || ioctl(vm, KVM_SET_TSS_ADDR, X86_TSS))
        return err_set(err, errno, "KVM refuses the address of its task state segment");
    if (ioctl(vm, KVM_CREATE_IRQCHIP, 0))
        return err_set(err, errno, "KVM can't make the interrupt controllers");
    return 0;
}

static int set_cpuid(struct vcpu *v, struct err *err)
{
    struct machine *m = v->machine;
    struct x86_cpu cpu = {
        .index = v->index,
        .count = m->options->cpus,
        .tsc_deadline = kvm_has(&m->kvm, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
    };
    cleanup_free struct kvm_cpuid2 *c = xcalloc(
        1, sizeof(*c) + (X86_CPUID_MAX + X86_CPUID_EXTRA) * sizeof(struct kvm_cpuid_entry2));

    c->nent = X86_CPUID_MAX;
    if (ioctl(m->kvm.sys, KVM_GET_SUPPORTED_CPUID, c))
        return err_set(err, errno, "KVM does not tell its CPUID");
    x86_cpuid_filter(c, &cpu);
    if (ioctl(v->fd, KVM_SET_CPUID2, c))
        return err_set(err, errno, "KVM refuses the guest's CPUID");
    return 0;
}

/* All others are zero in a fresh vCPU. */
static int set_msrs(struct vcpu *v, struct err *err)
{
    static const struct kvm_msr_entry entries[] = {
        {.index = MSR_MISC_ENABLE, .data = MISC_FAST_STRINGS},
        {.index = MSR_MTRR_DEF_TYPE, .data = MTRR_WRITE_BACK},
    };
    cleanup_free struct kvm_msrs *msrs = xcalloc(1, sizeof(*msrs) + sizeof(entries));

    msrs->nmsrs = ARRAY_SIZE(entries);
    memcpy(msrs->entries, entries, sizeof(entries));
    if (ioctl(v->fd, KVM_SET_MSRS, msrs) != (int)msrs->nmsrs)
        return err_set(err, errno, "KVM refuses the initial MSRs");
    return 0;
}

static void set_lvt(struct kvm_lapic_state *l, uint32_t reg, uint32_t value)
{
    memcpy(l->regs + reg, &value, sizeof(value));
}

static int set_lapic(struct vcpu *v, struct err *err)
{
    struct kvm_lapic_state l;

    if (ioctl(v->fd, KVM_GET_LAPIC, &l))
        return err_set(err, errno, "KVM does not give the local APIC");
    set_lvt(&l, LAPIC_LVT_LINT0, DELIVERY_EXTINT);
    set_lvt(&l, LAPIC_LVT_LINT1, DELIVERY_NMI);
    if (ioctl(v->fd, KVM_SET_LAPIC, &l))
        return err_set(err, errno, "KVM refuses the local APIC");
    return 0;
}

/* The state that the 64-bit boot protocol asks for. */
static int set_boot_state(struct vcpu *v, uint64_t entry, struct err *err)
{
    struct kvm_regs regs = {
        .rip = entry, .rsi = X86_ZERO_PAGE, .rsp = STACK_POINTER, .rflags = RFLAGS_RESERVED};
    struct kvm_sregs sregs;

    if (ioctl(v->fd, KVM_GET_SREGS, &sregs))
        return err_set(err, errno, "KVM does not give the vCPU's registers");
    if (x86_long_mode(&v->machine->memory, &sregs, err))
        return -1;
    if (ioctl(v->fd, KVM_SET_SREGS, &sregs) || ioctl(v->fd, KVM_SET_REGS, &regs))
        return err_set(err, errno, "KVM refuses the vCPU's registers");
    return 0;
}

int arch_vcpu_init(struct vcpu *v, uint64_t entry, struct err *err)
{
    /* CPUID comes first: the MSRs that exist depend on it. */
    if (set_cpuid(v, err) || set_msrs(v, err) || set_lapic(v, err))
        return -1;
    return v->index == 0 ? set_boot_state(v, entry, err) : 0;
}
