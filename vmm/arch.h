/* SPDX-License-Identifier: Apache-2.0 */
/* All that the VMM asks of an architecture; x86/ implements it. */
#ifndef APPC_VMM_ARCH_H
#define APPC_VMM_ARCH_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct guest_memory;
struct kvm_run;
struct machine;
struct vcpu;

/* Fills gpa and size of the regions that RAM of this size has. */
void arch_memory_layout(uint64_t size, struct guest_memory *m);

/* Guest-physical address of device slot `slot`'s register page; pages follow each other. */
uint64_t arch_device_address(unsigned slot);

/* The interrupt line (GSI) of the slot, as KVM_IRQFD wants it. */
uint32_t arch_device_gsi(unsigned slot);

/* Interrupt controllers and what else must be there before the first vCPU. */
int arch_vm_init(struct machine *m, struct err *err);

/* Loads kernel, initrd, command line and the description of the hardware. */
int arch_load(struct machine *m, uint64_t *ret_entry, struct err *err);

/* Sets what the vCPU shows of itself, and for CPU 0 the state of the kernel's boot protocol. */
int arch_vcpu_init(struct vcpu *v, uint64_t entry, struct err *err);

enum arch_verdict {
    ARCH_UNKNOWN, /* not an exit of this architecture */
    ARCH_HANDLED,
    ARCH_RESET /* the guest asked for a reset */
};

/* Handles the exits that are not common to all: port I/O, system events. */
enum arch_verdict arch_handle_exit(struct vcpu *v);

/* The probe guest (vmm/probe.c): what the VM needs before its vCPU, ... */
int arch_probe_vm_init(int vm, struct err *err);

/* ... its code in the memory, which begins at 0, and the vCPU's first state, ... */
int arch_probe_init(const struct guest_memory *m, int sys, int vcpu, struct err *err);

/* ... and whether an exit is one of its steps (vmm/probe_steps.h). */
bool arch_probe_step(const struct kvm_run *run, unsigned *ret_step);

#endif
