/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machine of one pod, and the map of the program.
 *
 *   main.c            options, jail, machine_run
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

    pthread_mutex_t end_lock;
    atomic_int end; /* enum machine_end; changes once */
    struct err failure;
    int end_event;  /* eventfd that wakes the main thread */
    int ack_event;  /* eventfd that takes the acknowledgements of interrupts; nobody reads it */
    int serial_irq; /* eventfd that raises the serial port's line */
};

/*
 * Builds the machine of `options` and runs it until the guest resets itself
 * (0), or something fails or a SIGTERM comes (-1). Writes the statistics to
 * options->stats_fd in either case. The jail has to be closed before: a VM
 * belongs to the process that made it.
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

/* Starts the threads: CPU 0 runs, the others wait in the kernel until it starts them. */
int vcpu_start_all(struct machine *m, struct err *err);

/* Takes all threads out of the guest and joins them. The machine has ended before. */
void vcpu_stop_all(struct machine *m);

/* Closes what vcpu_create() opened. */
void vcpu_destroy_all(struct machine *m);

#endif
