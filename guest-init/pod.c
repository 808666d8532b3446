/* SPDX-License-Identifier: Apache-2.0 */
/* The pod that this guest runs: messages, signals, time, and the end. */
#include "guest-init/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "guest-init/early.h"

#define SIGNAL_MAX 64

void pod_log(struct pod *p, const char *level, const char *app, const char *text)
{
    control_send(&p->control, wire_log(level, app, text));
}

void pod_fatal(struct pod *p, const struct err *why)
{
    if (p->state >= POD_ENDING)
        return;
    p->state = POD_ENDING;
    control_send(&p->control, wire_fatal(why->msg));
}

/* --dry-run: everything is set up and reported; the streams end and no app begins. */
static void skip_apps(struct pod *p)
{
    for (size_t i = 0; i < p->life.napps; i++)
        p->life.ops->over(p->life.ctx, i);
    p->life.napps = 0;
}

static void configure(struct pod *p, json_t *msg)
{
    struct err err = {0};
    if (pod_configure(p, msg, &err) < 0) {
        pod_fatal(p, &err);
        return;
    }
    p->state = POD_RUNNING;
    if (p->config.dry_run)
        skip_apps(p);
    else
        lifecycle_begin(&p->life);
}

static void handle_stop(struct pod *p, json_t *msg)
{
    json_t *grace = json_object_get(msg, "graceMs");
    json_int_t ms = json_is_integer(grace) ? json_integer_value(grace) : p->config.grace_ms;
    if (ms < 0 || ms > UINT32_MAX)
        ms = p->config.grace_ms;
    lifecycle_stop(&p->life, (uint32_t)ms);
}

static void handle_signal(struct pod *p, json_t *msg)
{
    json_t *signo = json_object_get(msg, "signal");
    if (json_is_integer(signo) && json_integer_value(signo) > 0 &&
        json_integer_value(signo) <= SIGNAL_MAX)
        pod_signal_main(p, wire_string(msg, "app", WIRE_NAME_MAX), (int)json_integer_value(signo));
}

static void on_message(void *ctx, json_t *msg)
{
    struct pod *p = ctx;
    const char *type = wire_type(msg);
    if (p->state == POD_WAITING && str_eq(type, "config"))
        configure(p, msg);
    else if (p->state == POD_RUNNING && str_eq(type, "stop"))
        handle_stop(p, msg);
    else if (p->state == POD_RUNNING && str_eq(type, "signal"))
        handle_signal(p, msg);
    pod_check_end(p);
}

/* Whatever state the pod is in: without the host there is nobody to run it for. */
static void on_closed(void *ctx, const char *why)
{
    struct pod *p = ctx;
    (void)why;
    p->state = POD_GONE;
}

static void on_signal(void *ctx, uint32_t events)
{
    struct pod *p = ctx;
    struct signalfd_siginfo info[8];
    (void)events;
    while (read(p->signals.fd, info, sizeof(info)) > 0)
        ;
    pod_reap(p);
    pod_check_end(p);
}

static int watch_children(struct pod *p, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_set(err, errno, "can't block SIGCHLD");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_set(err, errno, "can't make a signalfd");
    p->signals = (struct loop_source){.fd = -1, .fn = on_signal, .ctx = p};
    return loop_add(&p->loop, &p->signals, fd, EPOLLIN, err);
}

int pod_open(struct pod *p, int control_fd, struct err *err)
{
    struct utsname u;
    *p = (struct pod){.init_ns = -1, .null = -1};
    p->control.on_message = on_message;
    p->control.on_closed = on_closed;
    p->control.ctx = p;
    if (loop_init(&p->loop, err) < 0 || watch_children(p, err) < 0 ||
        control_open(&p->control, &p->loop, control_fd, err) < 0)
        return -1;
    uname(&u);
    control_send(&p->control, wire_hello(APPC_VM_VERSION, u.release));
    return 0;
}

/* Everything that an app may have written to the scratch disk goes to the disk. */
static void close_scratch(void)
{
    sync();
    if (umount2(EARLY_SCRATCH, 0) == 0)
        return;
    (void)mount(NULL, EARLY_SCRATCH, NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

void pod_check_end(struct pod *p)
{
    if (p->state != POD_RUNNING || !lifecycle_is_over(&p->life) || p->streams > 0)
        return;
    for (size_t i = 0; i < p->manifest->napps; i++) {
        loop_del(&p->loop, &p->apps[i].notify);
        rootfs_done(&p->apps[i].rootfs);
    }
    close_scratch();
    p->state = POD_ENDING;
    control_send(&p->control, wire_end());
}

/* Apps that have had their pause may say something again; 0, or when the next one may. */
static uint64_t resume_notify(struct pod *p)
{
    uint64_t next = 0;
    for (size_t i = 0; i < p->life.napps; i++) {
        struct app *a = &p->apps[i];
        if (a->notify_again && a->notify_again <= p->life.ops->now(p)) {
            a->notify_again = 0;
            loop_mod(&p->loop, &a->notify, EPOLLIN);
        }
        if (a->notify_again && (next == 0 || a->notify_again < next))
            next = a->notify_again;
    }
    return next;
}

/* Milliseconds until something is due: a process to be killed, an app to be heard; -1 for ever. */
static int wait_time(struct pod *p)
{
    uint64_t deadline = lifecycle_deadline(&p->life), notify = resume_notify(p);
    if (notify && (deadline == 0 || notify < deadline))
        deadline = notify;
    if (p->state != POD_RUNNING || deadline == 0)
        return -1;
    uint64_t now = p->life.ops->now(p->life.ctx);
    if (deadline <= now)
        return 0;
    return deadline - now > INT32_MAX ? INT32_MAX : (int)(deadline - now);
}

void pod_run(struct pod *p)
{
    while (p->state != POD_GONE) {
        struct err err;
        if (loop_run(&p->loop, wait_time(p), &err) < 0) {
            pod_fatal(p, &err);
            return;
        }
        if (p->state == POD_RUNNING) {
            lifecycle_tick(&p->life);
            pod_check_end(p);
        }
    }
}
