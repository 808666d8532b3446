/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the probe guest, with a timer beside it. */
#include "vmm/probe.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "vmm/arch.h"
#include "vmm/kvm.h"
#include "vmm/memory.h"
#include "vmm/probe_steps.h"

#define PROBE_MEMORY (2u << 20)

/* What failed when the guest got no further than the step. */
static const char *const step_names[PROBE_STEPS] = {
    [0] = "the first instruction",
    [PROBE_STEP_EMPTY] = "an OUT instruction",
    [PROBE_STEP_LOOP] = "a loop",
    [PROBE_STEP_TIMED] = "an OUT instruction",
    [PROBE_STEP_INT3] = "the instruction INT3",
    [PROBE_STEP_CMPXCHG16B] = "the instruction CMPXCHG16B",
    [PROBE_STEP_POPCNT] = "the instruction POPCNT",
    [PROBE_STEP_XSAVE] = "the instructions XSAVE and XRSTOR",
    [PROBE_STEP_SMAP] = "the instructions STAC and CLAC",
};

struct probe {
    struct kvm kvm;
    struct guest_memory memory;
    int vcpu;
    struct kvm_run *run;
    unsigned step;     /* the last one that was reported */
    uint64_t since_ns; /* when it was */
    uint64_t empty_ns; /* the fastest pair of steps so far */
    uint64_t loop_ns;  /* the fastest loop so far */
};

/* For the signal handler: where it says that KVM_RUN has to return. */
static struct kvm_run *volatile interrupted_run;

static void on_alarm(int signo)
{
    (void)signo;
    if (interrupted_run)
        interrupted_run->immediate_exit = 1;
}

/*
 * Runs only while the guest does: a signal makes KVM_CREATE_VM fail with EINTR, and on a slow host
 * it would never come to its end.
 */
static void set_timer(unsigned ms)
{
    struct sigaction sa = {.sa_handler = on_alarm};
    struct itimerval t = {
        .it_value = {ms / 1000, (ms % 1000) * 1000},
    };

    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int create(struct probe *p, int kvm_fd, struct err *err)
{
    void *run;

    p->memory.nregions = 1;
    p->memory.regions[0].size = PROBE_MEMORY;
    if (kvm_create(&p->kvm, kvm_fd, 1, err) || arch_probe_vm_init(p->kvm.vm, err) ||
        memory_create(&p->memory, err) ||
        kvm_add_memory(&p->kvm, 0, p->memory.regions[0].host, PROBE_MEMORY, false, err))
        return -1;
    p->vcpu = ioctl(p->kvm.vm, KVM_CREATE_VCPU, 0);
    if (p->vcpu < 0)
        return err_set(err, errno, "KVM can't make a CPU");
    run = mmap(NULL, p->kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
    if (run == MAP_FAILED)
        return err_set(err, errno, "can't map the area of the CPU");
    p->run = run;
    return arch_probe_init(&p->memory, p->kvm.sys, p->vcpu, err);
}

static void destroy(struct probe *p)
{
    interrupted_run = NULL;
    if (p->run)
        munmap(p->run, p->kvm.run_size);
    if (p->vcpu >= 0)
        close(p->vcpu);
    kvm_destroy(&p->kvm);
    memory_destroy(&p->memory);
}

static void keep_least(uint64_t *least, uint64_t value)
{
    if (*least == 0 || value < *least)
        *least = value;
}

/* Notes a step and the time since the one before. */
static void note_step(struct probe *p, unsigned step)
{
    uint64_t now = now_ns();

    if (step == PROBE_STEP_LOOP)
        keep_least(&p->empty_ns, now - p->since_ns);
    if (step == PROBE_STEP_TIMED)
        keep_least(&p->loop_ns, now - p->since_ns);
    p->step = step;
    p->since_ns = now_ns();
}

static int fail_step(const struct probe *p, const char *how, struct err *err)
{
    return err_set(err, 0, "KVM of this host %s %s", how, step_names[p->step]);
}

/* Runs until the guest has reported PROBE_STEP_DONE. */
static int run_guest(struct probe *p, struct err *err)
{
    while (p->step != PROBE_STEP_DONE) {
        unsigned step;

        if (ioctl(p->vcpu, KVM_RUN, 0) < 0) {
            if (errno == EINTR && p->run->immediate_exit)
                return fail_step(p, "takes too long for", err);
            if (errno != EINTR && errno != EAGAIN)
                return err_set(err, errno, "KVM can't run a guest");
            continue;
        }
        if (!arch_probe_step(p->run, &step) || step >= PROBE_STEP_FAULT + 2 || step == 0)
            return fail_step(p, "can't run", err);
        if (step == PROBE_STEP_FAULT)
            return fail_step(p, "lacks", err);
        note_step(p, step);
    }
    return 0;
}

static uint64_t ps_per_instruction(const struct probe *p)
{
    uint64_t ns = p->loop_ns > p->empty_ns ? p->loop_ns - p->empty_ns : 1;

    return p->loop_ns ? ns * 1000 / (2 * PROBE_LOOPS) : 0;
}

static int judge(const struct probe *p, struct err *err)
{
    uint64_t ps = ps_per_instruction(p);

    if (ps > PROBE_SLOW_PS)
        return err_set(err, 0,
                       "KVM of this host interprets supervisor code (%llu ns an instruction)",
                       (unsigned long long)(ps / 1000));
    return 0;
}

void probe_kvm(int kvm_fd, struct probe_result *ret)
{
    struct probe p = {.kvm.vm = -1, .vcpu = -1, .memory.fd = -1};
    uint64_t start = now_ns();
    struct err err = {0};
    int r;

    r = create(&p, kvm_fd, &err);
    interrupted_run = p.run;
    if (!r) {
        set_timer(PROBE_MS);
        r = run_guest(&p, &err);
        set_timer(0);
    }
    /* Slowness is the cause of much else, so it is what is told. */
    if (judge(&p, r ? NULL : &err))
        r = -1;
    *ret = (struct probe_result){
        .usable = !r,
        .ps_per_instruction = ps_per_instruction(&p),
        .total_ns = now_ns() - start,
    };
    if (r)
        snprintf(ret->reason, sizeof(ret->reason), "%s", err.msg);
    destroy(&p);
}

/* The messages hold no control characters, but may quote. */
static void print_string(struct buf *out, const char *s)
{
    buf_addc(out, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *s);
    }
    buf_addc(out, '"');
}

void probe_print(const struct probe_result *r, struct buf *out)
{
    buf_printf(out, "{\"usable\": %s, \"reason\": ", r->usable ? "true" : "false");
    if (r->usable)
        buf_adds(out, "null");
    else
        print_string(out, r->reason);
    buf_printf(out, ", \"ns_per_instruction\": %llu.%03llu, \"probe_ns\": %llu}\n",
               (unsigned long long)(r->ps_per_instruction / 1000),
               (unsigned long long)(r->ps_per_instruction % 1000), (unsigned long long)r->total_ns);
}
