/* SPDX-License-Identifier: Apache-2.0 */
/* Sets up the x86 probe guest. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "vmm/arch.h"
#include "vmm/memory.h"
#include "vmm/x86/probe_guest.h"
#include "vmm/x86/x86.h"

#define PROBE_CODE  0x20000ull
#define PROBE_IDT   0x1000ull
#define PROBE_STACK 0x8ff0ull

#define VECTOR_BP 3u
#define VECTOR_UD 6u
#define VECTOR_GP 13u

#define SELECTOR_CODE  0x10u
#define INTERRUPT_GATE 0x8e00u /* present, ring 0, 64-bit interrupt gate */

/* The guest's code, its length, and where its exception handlers are in it (probe_guest.S). */
extern const uint8_t x86_probe_code[];
extern const struct probe_layout {
    uint32_t len;
    uint32_t bp;
    uint32_t fault;
} x86_probe_layout;

/* A gate of the 64-bit interrupt descriptor table (Intel SDM 3A, 6.14.1). */
static int set_gate(const struct guest_memory *m, unsigned vector, uint32_t handler,
                    struct err *err)
{
    uint64_t at = PROBE_CODE + handler;
    uint32_t gate[4] = {
        (uint32_t)(at & 0xffff) | SELECTOR_CODE << 16,
        (uint32_t)(at & 0xffff0000) | INTERRUPT_GATE,
        (uint32_t)(at >> 32),
        0,
    };

    return memory_write(m, PROBE_IDT + vector * sizeof(gate), gate, sizeof(gate), err);
}

static int write_guest(const struct guest_memory *m, struct err *err)
{
    const struct probe_layout *l = &x86_probe_layout;

    if (memory_write(m, PROBE_CODE, x86_probe_code, l->len, err) ||
        set_gate(m, VECTOR_BP, l->bp, err) || set_gate(m, VECTOR_UD, l->fault, err))
        return -1;
    return set_gate(m, VECTOR_GP, l->fault, err);
}

static int set_cpuid(int sys, int vcpu, struct err *err)
{
    cleanup_free struct kvm_cpuid2 *c =
        xcalloc(1, sizeof(*c) + X86_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));

    c->nent = X86_CPUID_MAX;
    if (ioctl(sys, KVM_GET_SUPPORTED_CPUID, c) || ioctl(vcpu, KVM_SET_CPUID2, c))
        return err_set(err, errno, "KVM refuses its own CPUID");
    return 0;
}

int arch_probe_init(const struct guest_memory *m, int sys, int vcpu, struct err *err)
{
    struct kvm_regs regs = {.rip = PROBE_CODE, .rsp = PROBE_STACK, .rflags = 2};
    struct kvm_sregs sregs;

    if (write_guest(m, err) || set_cpuid(sys, vcpu, err))
        return -1;
    if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
        return err_set(err, errno, "KVM does not give the vCPU's registers");
    if (x86_long_mode(m, &sregs, err))
        return -1;
    sregs.idt.base = PROBE_IDT;
    sregs.idt.limit = 256 * 16 - 1;
    if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
        return err_set(err, errno, "KVM refuses the vCPU's registers");
    return 0;
}

int arch_probe_vm_init(int vm, struct err *err)
{
    uint64_t identity = X86_IDENTITY;

    if (ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) || ioctl(vm, KVM_SET_TSS_ADDR, X86_TSS))
        return err_set(err, errno, "KVM refuses the address of its task state segment");
    return 0;
}

bool arch_probe_step(const struct kvm_run *run, unsigned *ret_step)
{
    if (run->exit_reason != KVM_EXIT_IO || run->io.port != PROBE_PORT ||
        run->io.direction != KVM_EXIT_IO_OUT)
        return false;
    *ret_step = *((const uint8_t *)run + run->io.data_offset);
    return true;
}
