/* SPDX-License-Identifier: Apache-2.0 */
/* The KVM VM as a set of descriptors; each function is one ioctl with its errors explained. */
#ifndef APPC_VMM_KVM_H
#define APPC_VMM_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct kvm {
    int sys; /* /dev/kvm; belongs to the caller */
    int vm;
    size_t run_size;    /* bytes of a vCPU's shared page(s) */
    bool readonly_mem;  /* a slot can be read-only */
    uint32_t next_slot; /* first unused memory slot */
};

/*
 * Checks the API version and the capabilities that there is no way without,
 * and makes a VM. `max_vcpus` bounds vCPU ids. kvm_destroy() closes it.
 */
int kvm_create(struct kvm *k, int sys_fd, unsigned max_vcpus, struct err *err);
void kvm_destroy(struct kvm *k);

/* KVM_CHECK_EXTENSION on the VM: 0 when absent. */
int kvm_has(const struct kvm *k, long cap);

/* Turns a capability on when the host has it; false when it has not. */
bool kvm_enable(const struct kvm *k, uint32_t cap, uint64_t arg);

/* Adds `size` bytes at `host` as RAM, or as ROM, to the guest's address space. */
int kvm_add_memory(struct kvm *k, uint64_t gpa, void *host, uint64_t size, bool readonly,
                   struct err *err);

/* A write to the eventfd raises the line (edge). */
int kvm_add_irqfd(const struct kvm *k, int fd, uint32_t gsi, struct err *err);

/*
 * A guest's 32-bit write to gpa is signalled on the eventfd instead of
 * leaving the kernel; with `match` only a write of `value`.
 */
int kvm_add_ioeventfd(const struct kvm *k, uint64_t gpa, int fd, bool match, uint32_t value,
                      struct err *err);

/* A descriptor with the binary statistics of a VM or vCPU; -1 where the host has none. */
int kvm_stats_fd(const struct kvm *k, int of);

#endif
