/* SPDX-License-Identifier: Apache-2.0 */
/* A thread per virtual CPU, and the exits that are common to all architectures. */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/arch.h"
#include "vmm/machine.h"

/* Takes a vCPU out of KVM_RUN. Its handler does nothing: immediate_exit says what to do. */
#define KICK_SIGNAL SIGUSR1

#define VCPU_STACK (64u << 10)

int vcpu_create(struct machine *m, unsigned index, struct err *err)
{
    struct vcpu *v = &m->vcpus[index];
    void *run;
    int fd = ioctl(m->kvm.vm, KVM_CREATE_VCPU, (unsigned long)index);

    if (fd < 0)
        return err_set(err, errno, "KVM can't make CPU %u", index);
    run = mmap(NULL, m->kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (run == MAP_FAILED) {
        int e = errno;

        close(fd);
        return err_set(err, e, "can't map the area of CPU %u", index);
    }
    *v = (struct vcpu){.machine = m, .index = index, .fd = fd, .run = run};
    v->stats_fd = kvm_stats_fd(&m->kvm, fd);
    m->nvcpus++;
    return 0;
}

static void fail(struct vcpu *v, struct err *err)
{
    err_prefix(err, "CPU %u", v->index);
    machine_end(v->machine, MACHINE_FAILED, err);
}

/* An access to a device slot's page; everything else in the gap is a hole. */
static int handle_mmio(struct vcpu *v, struct err *err)
{
    struct machine *m = v->machine;
    struct kvm_run *run = v->run;
    uint64_t base = arch_device_address(0);
    uint64_t slot = (run->mmio.phys_addr - base) / VIRTIO_MMIO_PAGE;
    uint64_t off = (run->mmio.phys_addr - base) % VIRTIO_MMIO_PAGE;
    uint32_t len = run->mmio.len <= sizeof(run->mmio.data) ? run->mmio.len : 0;

    if (run->mmio.phys_addr < base || slot >= m->ndevices) {
        if (!run->mmio.is_write)
            memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
        return 0;
    }
    stats_count_device(&v->stats, slot);
    if (run->mmio.is_write)
        return virtio_mmio_write(&m->devices[slot].mmio, off, run->mmio.data, len, err);
    virtio_mmio_read(&m->devices[slot].mmio, off, run->mmio.data, len);
    return 0;
}

static void handle_unknown(struct vcpu *v)
{
    struct kvm_run *run = v->run;
    struct err err;

    if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
        err_set(&err, 0, "the host's CPU refuses to enter the guest (reason %#" PRIx64 ")",
                (uint64_t)run->fail_entry.hardware_entry_failure_reason);
    else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        err_set(&err, 0, "KVM could not go on (internal error %u%s)", run->internal.suberror,
                run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
                    ? ": an instruction that it can't emulate"
                    : "");
    else
        err_set(&err, 0, "unexpected exit %u of KVM", run->exit_reason);
    fail(v, &err);
}

static void handle_exit(struct vcpu *v)
{
    struct err err;

    stats_count_exit(&v->stats, v->run->exit_reason);
    if (v->run->exit_reason == KVM_EXIT_MMIO) {
        if (handle_mmio(v, &err))
            fail(v, &err);
        return;
    }
    switch (arch_handle_exit(v)) {
    case ARCH_HANDLED:
        return;
    case ARCH_RESET:
        machine_end(v->machine, MACHINE_RESET, NULL);
        return;
    case ARCH_UNKNOWN:
        handle_unknown(v);
        return;
    }
}

static void wait_at_gate(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    m->waiting++;
    pthread_cond_broadcast(&m->changed);
    while (!m->open && !machine_ended(m))
        pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

static void *vcpu_main(void *arg)
{
    struct vcpu *v = arg;
    struct err err;

    wait_at_gate(v->machine);
    while (!machine_ended(v->machine)) {
        if (ioctl(v->fd, KVM_RUN, 0) == 0) {
            handle_exit(v);
        } else if (errno == EINTR || errno == EAGAIN) {
            v->stats.interrupted++;
        } else {
            err_set(&err, errno, "KVM can't run it");
            fail(v, &err);
        }
    }
    return NULL;
}

static void do_nothing(int signo)
{
    (void)signo;
}

/* Threads inherit the mask: they take the kick and nothing else. */
static void block_all_but_kick(sigset_t *ret_old)
{
    struct sigaction sa = {.sa_handler = do_nothing};
    sigset_t set;

    sigaction(KICK_SIGNAL, &sa, NULL);
    sigfillset(&set);
    sigdelset(&set, KICK_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &set, ret_old);
}

int vcpu_start_all(struct machine *m, struct err *err)
{
    pthread_attr_t attr;
    sigset_t old;
    int e = 0;

    block_all_but_kick(&old);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, VCPU_STACK);
    for (size_t i = 0; i < m->nvcpus && !e; i++) {
        e = pthread_create(&m->vcpus[i].thread, &attr, vcpu_main, &m->vcpus[i]);
        if (!e)
            m->nthreads++;
    }
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_mutex_lock(&m->lock);
    while (m->waiting < m->nthreads)
        pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
    return e ? err_set(err, e, "can't start a thread for CPU %zu", m->nthreads) : 0;
}

void vcpu_release_all(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    m->open = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

void vcpu_stop_all(struct machine *m)
{
    for (size_t i = 0; i < m->nthreads; i++) {
        __atomic_store_n(&m->vcpus[i].run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        pthread_kill(m->vcpus[i].thread, KICK_SIGNAL);
    }
    for (size_t i = 0; i < m->nthreads; i++)
        pthread_join(m->vcpus[i].thread, NULL);
    m->nthreads = 0;
}

void vcpu_destroy_all(struct machine *m)
{
    for (size_t i = 0; i < m->nvcpus; i++) {
        if (m->vcpus[i].stats_fd >= 0)
            close(m->vcpus[i].stats_fd);
        munmap(m->vcpus[i].run, m->kvm.run_size);
        close(m->vcpus[i].fd);
    }
    m->nvcpus = 0;
}
