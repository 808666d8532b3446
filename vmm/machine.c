/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the machine together, runs it and says how it ended. */
#include "vmm/machine.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "vmm/arch.h"
#include "vmm/confine.h"

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void machine_end(struct machine *m, enum machine_end end, const struct err *failure)
{
    pthread_mutex_lock(&m->lock);
    if (!machine_ended(m)) {
        m->ended_ns = now_ns();
        if (failure)
            m->failure = *failure;
        atomic_store(&m->end, end);
        pthread_cond_broadcast(&m->changed);
        eventfd_write(m->end_event, 1);
    }
    pthread_mutex_unlock(&m->lock);
}

/* Asks every device process for its features; the answers are read when the kernel is loaded. */
static int begin_devices(struct machine *m, struct err *err)
{
    for (size_t i = 0; i < m->options->ndevices; i++) {
        const struct device_option *o = &m->options->devices[i];
        char name[32];

        snprintf(name, sizeof(name), "device %zu (virtio id %u)", i, o->id);
        m->ndevices++;
        if (vhost_front_begin(&m->devices[i].front, o->fd, o->queues, name, err))
            return -1;
    }
    return 0;
}

/* Lets KVM carry the notifications between the guest and the device process. */
static int connect_device(struct machine *m, size_t slot, struct err *err)
{
    const struct vhost_front *f = &m->devices[slot].front;
    uint64_t base = arch_device_address((unsigned)slot);

    for (unsigned q = 0; q < f->nqueues; q++)
        if (kvm_add_ioeventfd(&m->kvm, base + VIRTIO_MMIO_QUEUE_NOTIFY, f->kick[q], true, q, err))
            return -1;
    if (kvm_add_irqfd(&m->kvm, f->call, arch_device_gsi((unsigned)slot), err))
        return -1;
    return kvm_add_ioeventfd(&m->kvm, base + VIRTIO_MMIO_INTERRUPT_ACK, m->ack_event, false, 0,
                             err);
}

/* Reads what the device process says of itself, and shows it to the guest. */
static int introduce_device(struct machine *m, size_t slot, struct err *err)
{
    struct device *d = &m->devices[slot];
    uint8_t config[VIRTIO_CONFIG_MAX];

    if (vhost_front_finish(&d->front, &m->memory, config, err))
        return -1;
    virtio_mmio_init(&d->mmio, m->options->devices[slot].id, d->front.nqueues, d->front.features,
                     config, m->pages + slot * VIRTIO_MMIO_PAGE, &m->memory, &vhost_front_backend,
                     &d->front);
    return 0;
}

/* One slot for all pages. Where a slot can't be read-only, reads are exits. */
static int add_pages(struct machine *m, struct err *err)
{
    size_t size = m->ndevices * VIRTIO_MMIO_PAGE;

    if (!size)
        return 0;
    m->pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->pages == MAP_FAILED) {
        m->pages = NULL;
        return err_set(err, errno, "can't make the register pages");
    }
    return m->kvm.readonly_mem
               ? kvm_add_memory(&m->kvm, arch_device_address(0), m->pages, size, true, err)
               : 0;
}

static int create_vm(struct machine *m, struct err *err)
{
    if (kvm_create(&m->kvm, m->options->kvm_fd, m->options->cpus, err) || arch_vm_init(m, err))
        return -1;
    m->stats_fd = kvm_stats_fd(&m->kvm, m->kvm.vm);
    for (size_t i = 0; i < m->memory.nregions; i++) {
        const struct memory_region *r = &m->memory.regions[i];

        if (kvm_add_memory(&m->kvm, r->gpa, r->host, r->size, false, err))
            return -1;
    }
    return add_pages(m, err);
}

static int create_vcpus(struct machine *m, uint64_t entry, struct err *err)
{
    for (unsigned i = 0; i < m->options->cpus; i++)
        if (vcpu_create(m, i, err) || arch_vcpu_init(&m->vcpus[i], entry, err))
            return -1;
    return 0;
}

static int make_events(struct machine *m, struct err *err)
{
    m->end_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->ack_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->end_event < 0 || m->ack_event < 0)
        return err_set(err, errno, "can't make an eventfd");
    return 0;
}

/* All that needs system calls beyond those of a running machine. */
static int build(struct machine *m, struct err *err)
{
    uint64_t entry;

    arch_memory_layout(m->options->memory, &m->memory);
    if (make_events(m, err) || memory_create(&m->memory, err) || begin_devices(m, err) ||
        create_vm(m, err) || arch_load(m, &entry, err))
        return -1;
    for (size_t i = 0; i < m->ndevices; i++)
        if (connect_device(m, i, err))
            return -1;
    return create_vcpus(m, entry, err);
}

static void close_event(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void destroy(struct machine *m)
{
    vcpu_destroy_all(m);
    for (size_t i = 0; i < m->ndevices; i++)
        vhost_front_destroy(&m->devices[i].front);
    kvm_destroy(&m->kvm);
    if (m->pages)
        munmap(m->pages, m->ndevices * VIRTIO_MMIO_PAGE);
    memory_destroy(&m->memory);
    close_event(m->end_event);
    close_event(m->ack_event);
    close_event(m->stats_fd);
    free(m);
}

/* The signals that stop the VMM, as a descriptor. They stay blocked. */
static int open_signals(struct err *err)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? err_set(err, errno, "can't make a signal descriptor") : fd;
}

/* A device process may only go when the machine has ended. */
static void report_hangup(struct machine *m, size_t slot)
{
    struct err err;

    err_set(&err, 0, "%s: the device process closed its socket", m->devices[slot].front.name);
    machine_end(m, MACHINE_FAILED, &err);
}

/* Waits for the end: by the guest, by a signal, by a device process that hangs up. */
static int wait_for_end(struct machine *m, int signals, struct err *err)
{
    struct pollfd p[2 + VMM_DEVICES_MAX] = {
        {.fd = m->end_event, .events = POLLIN},
        {.fd = signals, .events = POLLIN},
    };

    for (size_t i = 0; i < m->ndevices; i++)
        p[2 + i] = (struct pollfd){.fd = m->devices[i].front.sock, .events = POLLRDHUP};
    while (!machine_ended(m)) {
        if (poll(p, 2 + m->ndevices, -1) < 0) {
            if (errno == EINTR)
                continue;
            return err_set(err, errno, "poll");
        }
        if (p[1].revents)
            machine_end(m, MACHINE_STOPPED, NULL);
        for (size_t i = 0; i < m->ndevices; i++)
            if (p[2 + i].revents)
                report_hangup(m, i);
    }
    return 0;
}

static const char *const end_names[] = {
    [MACHINE_RUNS] = "none",
    [MACHINE_RESET] = "reset",
    [MACHINE_FAILED] = "failed",
    [MACHINE_STOPPED] = "stopped",
};

static void write_stats(struct machine *m)
{
    cleanup_with(buf_free) struct buf b = {0};
    struct exit_stats sum = {0};

    if (m->options->stats_fd < 0)
        return;
    for (size_t i = 0; i < m->nvcpus; i++)
        stats_merge(&sum, &m->vcpus[i].stats);
    buf_printf(&b, "{\"end\": \"%s\", \"run_ns\": %llu, ", end_names[atomic_load(&m->end)],
               (unsigned long long)(m->started_ns ? m->ended_ns - m->started_ns : 0));
    stats_print(&sum, &b);
    buf_adds(&b, ", \"kvm\": ");
    stats_print_kvm(m->stats_fd, &b);
    buf_adds(&b, ", \"kvm_cpus\": [");
    for (size_t i = 0; i < m->nvcpus; i++) {
        buf_adds(&b, i ? ", " : "");
        stats_print_kvm(m->vcpus[i].stats_fd, &b);
    }
    buf_adds(&b, "]}\n");
    write_all(m->options->stats_fd, b.data, b.len); /* a reader that left does not matter */
}

/* From the closed jail to the end of the guest. */
static int run(struct machine *m, int signals, struct err *err)
{
    if (confine_seal(err))
        return -1;
    for (size_t i = 0; i < m->ndevices; i++)
        if (introduce_device(m, i, err))
            return -1;
    m->started_ns = now_ns();
    vcpu_release_all(m);
    return wait_for_end(m, signals, err);
}

/* Says how it ended, when all threads are gone. */
static int result(struct machine *m, struct err *err)
{
    switch ((enum machine_end)atomic_load(&m->end)) {
    case MACHINE_RESET:
        return 0;
    case MACHINE_STOPPED:
        return err_set(err, 0, "stopped by a signal before the guest had ended");
    default:
        *err = m->failure;
        return -1;
    }
}

static int build_and_run(struct machine *m, struct err *err)
{
    cleanup_close int signals = open_signals(err);

    if (signals < 0 || build(m, err))
        return -1;
    if (vcpu_start_all(m, err) || run(m, signals, err))
        machine_end(m, MACHINE_FAILED, err);
    vcpu_stop_all(m);
    write_stats(m);
    return result(m, err);
}

int machine_run(const struct options *options, struct err *err)
{
    struct machine *m = xcalloc(1, sizeof(*m));
    int r;

    m->options = options;
    m->memory.fd = m->kvm.vm = m->stats_fd = -1;
    m->end_event = m->ack_event = -1;
    serial_init(&m->serial, options->serial_fd);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    r = confine_enter(options, err) || build_and_run(m, err) ? -1 : 0;
    destroy(m);
    return r;
}
