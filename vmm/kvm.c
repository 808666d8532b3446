/* SPDX-License-Identifier: Apache-2.0 */
/* The KVM VM. */
#include "vmm/kvm.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static const struct {
    long cap;
    const char *name;
} needed[] = {
    {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
    {KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
    {KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
    {KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

static int check_api(struct kvm *k, struct err *err)
{
    int version = ioctl(k->sys, KVM_GET_API_VERSION, 0);
    int size = ioctl(k->sys, KVM_GET_VCPU_MMAP_SIZE, 0);

    if (version < 0)
        return err_set(err, errno, "descriptor %d of --kvm-fd is not /dev/kvm", k->sys);
    if (version != KVM_API_VERSION)
        return err_set(err, 0, "KVM has API version %d, not %d", version, KVM_API_VERSION);
    if (size < (int)sizeof(struct kvm_run))
        return err_set(err, 0, "KVM's vCPU area has %d bytes", size);
    k->run_size = (size_t)size;
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (ioctl(k->sys, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
            return err_set(err, 0, "KVM of this host lacks %s", needed[i].name);
    return 0;
}

int kvm_create(struct kvm *k, int sys_fd, unsigned max_vcpus, struct err *err)
{
    *k = (struct kvm){.sys = sys_fd, .vm = -1};
    if (check_api(k, err))
        return -1;
    do
        k->vm = ioctl(sys_fd, KVM_CREATE_VM, 0);
    while (k->vm < 0 && errno == EINTR);
    if (k->vm < 0)
        return err_set(err, errno, "KVM can't make a VM");
    k->readonly_mem = kvm_has(k, KVM_CAP_READONLY_MEM) > 0;
    kvm_enable(k, KVM_CAP_MAX_VCPU_ID, max_vcpus); /* smaller tables; no loss without */
    return 0;
}

void kvm_destroy(struct kvm *k)
{
    if (k->vm >= 0)
        close(k->vm);
    k->vm = -1;
}

int kvm_has(const struct kvm *k, long cap)
{
    int n = ioctl(k->vm, KVM_CHECK_EXTENSION, cap);

    return n < 0 ? 0 : n;
}

bool kvm_enable(const struct kvm *k, uint32_t cap, uint64_t arg)
{
    struct kvm_enable_cap c = {.cap = cap, .args = {arg}};

    return kvm_has(k, cap) && ioctl(k->vm, KVM_ENABLE_CAP, &c) == 0;
}

int kvm_add_memory(struct kvm *k, uint64_t gpa, void *host, uint64_t size, bool readonly,
                   struct err *err)
{
    struct kvm_userspace_memory_region r = {
        .slot = k->next_slot,
        .flags = readonly ? KVM_MEM_READONLY : 0,
        .guest_phys_addr = gpa,
        .memory_size = size,
        .userspace_addr = (uintptr_t)host,
    };

    if (ioctl(k->vm, KVM_SET_USER_MEMORY_REGION, &r))
        return err_set(err, errno, "KVM refuses %" PRIu64 " bytes of memory at %#" PRIx64, size,
                       gpa);
    k->next_slot++;
    return 0;
}

int kvm_add_irqfd(const struct kvm *k, int fd, uint32_t gsi, struct err *err)
{
    struct kvm_irqfd i = {.fd = (uint32_t)fd, .gsi = gsi};

    if (ioctl(k->vm, KVM_IRQFD, &i))
        return err_set(err, errno, "KVM refuses an irqfd for line %u", gsi);
    return 0;
}

int kvm_add_ioeventfd(const struct kvm *k, uint64_t gpa, int fd, bool match, uint32_t value,
                      struct err *err)
{
    struct kvm_ioeventfd i = {
        .datamatch = value,
        .addr = gpa,
        .len = sizeof(uint32_t),
        .fd = fd,
        .flags = match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0,
    };

    if (ioctl(k->vm, KVM_IOEVENTFD, &i))
        return err_set(err, errno, "KVM refuses an ioeventfd at %#" PRIx64, gpa);
    return 0;
}

int kvm_stats_fd(const struct kvm *k, int of)
{
    return kvm_has(k, KVM_CAP_BINARY_STATS_FD) ? ioctl(of, KVM_GET_STATS_FD, NULL) : -1;
}
