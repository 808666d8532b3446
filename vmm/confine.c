/* SPDX-License-Identifier: Apache-2.0 */
/* The VMM's jail. */
#include "vmm/confine.h"

#include <linux/kvm.h>
#include <seccomp.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "vmm/jail.h"
#include "vmm/options.h"

/* vCPUs, eventfds of queues and devices, statistics; the sum of the largest machine is below. */
#define DESCRIPTORS_MAX 1024

static const struct jail_rule rules[] = {
    {.nr = SCMP_SYS(ioctl), 1, UINT32_MAX, KVM_RUN}, /* the guest */
    {.nr = SCMP_SYS(poll)},                          /* the end, and replies of devices */
    {.nr = SCMP_SYS(ppoll)},                         /* the same, where poll is missing */
    {.nr = SCMP_SYS(sendmsg)},                       /* requests to devices */
    {.nr = SCMP_SYS(recvfrom)},                      /* their replies */
    {.nr = SCMP_SYS(write)},                         /* serial port, statistics, the last line */
    {.nr = SCMP_SYS(pread64)},                       /* statistics of KVM */
    {.nr = SCMP_SYS(fallocate)},                     /* memory that the guest gives back */
    {.nr = SCMP_SYS(futex)},                         /* locks, and the end of threads */
    {.nr = SCMP_SYS(tgkill)},                        /* takes a CPU out of the guest */
    {.nr = SCMP_SYS(getpid)},                        /* the same */
    {.nr = SCMP_SYS(rt_sigprocmask)},                /* the same, and the end of threads */
    {.nr = SCMP_SYS(rt_sigreturn)},                  /* the same */
    {.nr = SCMP_SYS(restart_syscall)},               /* the kernel's, after a stop */
    {.nr = SCMP_SYS(clock_gettime)},                 /* the clock where there is no vDSO */
    {.nr = SCMP_SYS(close)},                         /* the end */
    {.nr = SCMP_SYS(mmap), 2, PROT_EXEC, 0},         /* buffers for the statistics */
    {.nr = SCMP_SYS(munmap)},                        /* the same */
    {.nr = SCMP_SYS(brk)},                           /* the same */
    {.nr = SCMP_SYS(madvise)},                       /* stacks of threads that have ended */
    {.nr = SCMP_SYS(exit)},                          /* the end of a thread */
    {.nr = SCMP_SYS(exit_group)},                    /* the end */
};

int confine_enter(const struct options *o, struct err *err)
{
    int fds[5 + VMM_DEVICES_MAX];
    const int wanted[] = {o->kvm_fd, o->kernel_fd, o->initrd_fd, o->serial_fd, o->stats_fd};
    struct jail_spec spec = {.fds = fds, .nofile = DESCRIPTORS_MAX, .nproc = JAIL_NPROC_KEEP};

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        if (wanted[i] >= 0)
            fds[spec.nfds++] = wanted[i];
    for (size_t i = 0; i < o->ndevices; i++)
        fds[spec.nfds++] = o->devices[i].fd;
    return jail_enter(&spec, err) < 0 ? -1 : 0;
}

int confine_seal(struct err *err)
{
    return jail_seal(rules, ARRAY_SIZE(rules), NULL, 0, err);
}
