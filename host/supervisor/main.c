/* SPDX-License-Identifier: Apache-2.0 */
/*
 * appc-supervisor: runs one prepared pod from its launch plan to its end.
 *
 * A program of its own, small and static: it stays as long as the pod does,
 * and it is the one that listens to what the guest says, so it has neither the
 * image store nor a network library in its address space.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/supervisor/pod.h"

#define PLAN_MAX (64u << 20)
/* A pod's directory has no deeper folders. */
#define DRY_RUN_DEPTH 8

/* A guest that has not said hello by then hangs; TCG on a loaded machine is slow. */
#define BOOT_SECONDS_KVM 30
#define BOOT_SECONDS_TCG 120
/* From the loss of the control connection to the end of the process that it was lost with. */
#define LOST_SECONDS 5
/* From the end of the last stream to the VMM's exit. */
#define RESET_SECONDS 10

static uint64_t unix_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void set_timer(struct pod *p, unsigned seconds)
{
    struct itimerspec its = {.it_value.tv_sec = seconds};
    timerfd_settime(p->timer.fd, 0, &its, NULL);
}

void pod_kill(struct pod *p)
{
    p->phase = POD_DEAD;
    child_kill(&p->vmm);
    child_kill(&p->mds);
    for (unsigned i = 0; i < p->ndevices; i++)
        child_kill(&p->devices[i]);
}

void pod_fail(struct pod *p, const char *fmt, ...)
{
    if (!p->failed) {
        char msg[ERR_MSG_MAX];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(msg, sizeof(msg), fmt, ap);
        va_end(ap);
        err_fill(&p->error, 0, "%s", msg);
        p->failed = true;
    }
    pod_kill(p);
}

static void on_signal(struct watch *w, uint32_t events)
{
    (void)events;
    struct pod *p = (struct pod *)((char *)w - offsetof(struct pod, signals));
    struct signalfd_siginfo si;
    if (read(w->fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
        return;
    p->stops++;
    if (p->stops > 1)
        pod_kill(p);
    else
        control_stop_apps(p);
}

static void on_timer(struct watch *w, uint32_t events)
{
    (void)events;
    struct pod *p = (struct pod *)((char *)w - offsetof(struct pod, timer));
    uint64_t n;
    (void)!read(w->fd, &n, sizeof(n));
    if (p->phase == POD_STARTING)
        pod_fail(p, "the guest did not come up in time; --debug shows its console");
    else if (p->phase == POD_LOST)
        pod_fail(p, "the guest closed its control connection");
    else if (p->phase == POD_CLOSED)
        pod_kill(p); /* everything is on disk: the machine is not needed any more */
}

static int watch_signals(struct pod *p, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    p->signals =
        (struct watch){.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .fn = on_signal};
    p->timer = (struct watch){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                              .fn = on_timer};
    if (p->signals.fd < 0 || p->timer.fd < 0)
        return err_set(err, errno, "can't make a signal or timer descriptor");
    loop_add(&p->loop, &p->signals, EPOLLIN);
    loop_add(&p->loop, &p->timer, EPOLLIN);
    return 0;
}

static void on_drained(void *ctx)
{
    stream_resume_all(ctx);
}

static void close_on_exec(int fd)
{
    if (fd >= 0)
        set_cloexec(fd, true);
}

static int read_plan(const char *arg, struct plan *plan, struct err *err)
{
    uint64_t fd;
    cleanup_free char *text = NULL;
    size_t len;
    json_error_t jerr;
    if (parse_u64(arg, 1 << 20, &fd) < 0)
        return err_set(err, 0, "\"%s\" is no descriptor", arg);
    if (read_to_end((int)fd, "the launch plan", PLAN_MAX, &text, &len, err) < 0)
        return -1;
    close((int)fd);
    json_t *doc = json_loadb(text, len, 0, &jerr);
    if (!doc)
        return err_set(err, 0, "the launch plan: %s", jerr.text);
    int r = plan_decode(doc, plan, err);
    json_decref(doc);
    if (r < 0)
        return -1;
    /* Children get exactly what they are given. */
    int own[] = {plan->metadata_fd, plan->pod_dir_fd, plan->lock_fd,  plan->kvm_fd,
                 plan->scratch_fd,  plan->output_fd,  plan->error_fd, plan->ready_fd};
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        if (own[i] > 2)
            close_on_exec(own[i]);
    for (size_t i = 0; i < plan->nimages; i++)
        close_on_exec(plan->images[i].fd);
    for (size_t i = 0; i < plan->nshares; i++)
        close_on_exec(plan->shares[i].fd);
    return 0;
}

static int pod_init(struct pod *p, struct err *err)
{
    p->created_ms = unix_ms();
    p->first_failure = -1;
    p->control.watch.fd = -1;
    p->apps = xcalloc(p->plan.config.napps, sizeof(*p->apps));
    for (size_t i = 0; i < p->plan.config.napps; i++) {
        p->apps[i].name = p->plan.config.apps[i].name;
        p->apps[i].state = -1;
    }
    if (mkdirat(p->plan.pod_dir_fd, "logs", 0700) < 0 && errno != EEXIST)
        return err_set(err, errno, "can't make the folder of the logs");
    p->children_log_fd = openat(p->plan.pod_dir_fd, "logs/appc-vm.log",
                                O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->children_log_fd < 0)
        return err_set(err, errno, "can't open logs/appc-vm.log of the pod");
    if (loop_init(&p->loop, err) < 0 || watch_signals(p, err) < 0)
        return -1;
    sink_init(&p->out, &p->loop, p->plan.output_fd, on_drained, p);
    sink_init(&p->errors, &p->loop, p->plan.error_fd, on_drained, p);
    return 0;
}

static bool children_left(const struct pod *p)
{
    if (p->vmm.running)
        return true;
    /* After the VMM's end the devices have nothing left to do. */
    return false;
}

/* Runs until the VMM is gone and all that arrived is written out. */
static void pod_loop(struct pod *p)
{
    enum pod_phase seen = POD_STARTING;
    set_timer(p, p->plan.kvm_fd >= 0 ? BOOT_SECONDS_KVM : BOOT_SECONDS_TCG);
    while (children_left(p)) {
        loop_once(&p->loop);
        if (p->phase == seen)
            continue;
        seen = p->phase;
        set_timer(p, seen == POD_CLOSED ? RESET_SECONDS : seen == POD_LOST ? LOST_SECONDS : 0);
    }
    child_kill(&p->mds);
    for (unsigned i = 0; i < p->ndevices; i++)
        child_kill(&p->devices[i]);
    p->phase = POD_DEAD;
    stream_close_all(p);
    while (p->stops < 2 && (!sink_empty(&p->out) || !sink_empty(&p->errors)))
        loop_once(&p->loop);
}

static void pod_finish(struct pod *p)
{
    child_done(&p->vmm);
    child_done(&p->mds);
    for (unsigned i = 0; i < p->ndevices; i++)
        child_done(&p->devices[i]);
    control_close(p);
    p->ended_ms = unix_ms();
    state_save(p);
}

/* A dry run leaves no pod behind. */
static void remove_pod(struct pod *p)
{
    struct err err;
    cleanup_close int pods = openat(p->plan.pod_dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (pods < 0 || remove_tree_at(pods, p->plan.config.uuid, DRY_RUN_DEPTH, &err) < 0)
        fprintf(stderr, "appc-vm: pod %s of the dry run stays; \"appc-vm rm\" it\n",
                p->plan.config.uuid);
}

int main(int argc, char **argv)
{
    static struct pod pod;
    struct err err;
    prctl(PR_SET_NAME, "appc-supervisor");
    if (argc != 2 || read_plan(argv[1], &pod.plan, &err) < 0) {
        fprintf(stderr, "appc-vm: supervisor: %s\n",
                argc == 2 ? err.msg : "it is started by \"appc-vm run\" only");
        return POD_EXIT_ERROR;
    }
    if (pod_init(&pod, &err) < 0) {
        fprintf(stderr, "appc-vm: %s\n", err.msg);
        return POD_EXIT_ERROR;
    }
    state_save(&pod);
    if (launch(&pod, &err) < 0)
        pod_fail(&pod, "%s", err.msg);
    pod_loop(&pod);
    pod_finish(&pod);
    if (pod.plan.config.dry_run && !pod.failed)
        state_print_reports(&pod);
    if (pod.failed)
        fprintf(stderr, "appc-vm: %s\n", pod.error.msg);
    if (pod.plan.config.dry_run)
        remove_pod(&pod);
    return pod_exit_status(&pod);
}
