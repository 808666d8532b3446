/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machine of one pod, and the map of the program.
 *
 *   main.c            options, machine_run
 *   confine.c         the jail and its system calls
 *   machine.c         puts the parts together and waits for the end
 *   kvm.c             the VM: capabilities, memory slots, eventfds
 *   vcpu.c            a thread per CPU, the KVM_RUN loop, exits
 *   memory.c, elf_load.c   guest RAM, the kernel's segments
 *   arch.h, x86/      everything that depends on the architecture
 *   virtio_mmio.c     register pages: the generic front end of every device
 *   vhost_user_*.c    what stands behind it: a device process
 *   serial.c          a serial port for --debug
 *   stats.c, probe.c  figures; is KVM here usable
 */
#ifndef APPC_VMM_MACHINE_H
#define APPC_VMM_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "vmm/kvm.h"
#include "vmm/memory.h"
#include "vmm/options.h"
#include "vmm/serial.h"
#include "vmm/stats.h"
#include "vmm/vhost_user_front.h"
#include "vmm/virtio_mmio.h"

struct kvm_run;

/* One virtual CPU. The thread is the only one to touch fd, run and stats until it was joined. */
struct vcpu {
    struct machine *machine;
    unsigned index;
    int fd;
    struct kvm_run *run;
    int stats_fd; /* KVM's binary statistics, or -1 */
    pthread_t thread;
    struct exit_stats stats;
};

/* A device slot: the registers that the guest sees, and the process behind them. */
struct device {
    struct vhost_front front;
    struct virtio_mmio mmio;
};

enum machine_end {
    MACHINE_RUNS,
    MACHINE_RESET,  /* the guest reset itself: the good end */
    MACHINE_FAILED, /* `failure` says why */
    MACHINE_STOPPED /* by a signal */
};

struct machine {
    const struct options *options;
    struct kvm kvm;
    struct guest_memory memory;
    struct vcpu vcpus[VMM_CPUS_MAX];
    size_t nvcpus;   /* made */
    size_t nthreads; /* started */
    struct device devices[VMM_DEVICES_MAX];
    size_t ndevices;
    uint8_t *pages; /* the register pages, one a device */
    struct serial serial;
    uint64_t started_ns; /* CLOCK_MONOTONIC of the first instruction */
    uint64_t ended_ns;

    int stats_fd; /* KVM's binary statistics of the VM, or -1 */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    size_t waiting; /* CPU threads that have come to the gate */
    bool open;      /* the gate is open: CPUs run */
    atomic_int end; /* enum machine_end; changes once */
    struct err failure;
    int end_event; /* eventfd that wakes the main thread */
    int ack_event; /* eventfd that takes the acknowledgements of interrupts; nobody reads it */
};

/*
 * Enters the jail, builds the machine of `options` and runs it until the
 * guest resets itself (0), or something fails or a SIGTERM comes (-1). Writes
 * the statistics to options->stats_fd in either case.
 *
 * The order matters: the jail comes first, as a VM belongs to the process
 * (the address space) that made it; then everything is made that needs
 * system calls, up to the threads, which wait at a gate; then the
 * filter of system calls is closed; and only then the device processes are listened
 * to, and the gate is opened.
 */
int machine_run(const struct options *options, struct err *err);

/*
 * Ends the machine: the first caller decides why. May be called by any
 * thread. `failure` is copied (NULL unless end is MACHINE_FAILED).
 */
void machine_end(struct machine *m, enum machine_end end, const struct err *failure);

static inline bool machine_ended(struct machine *m)
{
    return atomic_load(&m->end) != MACHINE_RUNS;
}

/* Makes vCPU `index` of the machine; the architecture sets its registers. */
int vcpu_create(struct machine *m, unsigned index, struct err *err);

/* Starts the threads and waits until all are at the gate. */
int vcpu_start_all(struct machine *m, struct err *err);

/* Opens the gate: CPU 0 runs, the others wait in the kernel until it starts them. */
void vcpu_release_all(struct machine *m);

/* Takes all threads out of the gate or the guest and joins them. The machine has ended before. */
void vcpu_stop_all(struct machine *m);

/* Closes what vcpu_create() opened. */
void vcpu_destroy_all(struct machine *m);

#endif
