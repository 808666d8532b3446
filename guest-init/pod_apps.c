/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of the pod's apps: what the state machine's decisions do. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "guest-init/cgroup.h"
#include "guest-init/pod.h"

static const struct ac_strings *program(const struct app *a, enum proc_kind kind)
{
    switch (kind) {
    case PROC_PRE_START:
        return &a->spec->app.pre_start;
    case PROC_POST_STOP:
        return &a->spec->app.post_stop;
    default:
        return &a->spec->app.exec;
    }
}

/* The program runs, or could not be executed: tells the state machine once. */
static void resolve_start(struct app_process *ap)
{
    struct lifecycle *l = &ap->pod->life;
    struct err err;
    loop_del(&ap->pod->loop, &ap->source);
    bool ok = process_result(&ap->process, &err) == 0;
    pid_t pid = ap->process.pid;
    process_done(&ap->process);
    ap->process.pid = pid;
    ap->resolved = true;
    ap->running = ok;
    if (ok)
        lifecycle_started(l, ap->app, ap->kind, (uint32_t)pid);
    else
        lifecycle_start_failed(l, ap->app, ap->kind, err.msg);
}

static void on_started(void *ctx, uint32_t events)
{
    struct app_process *ap = ctx;
    (void)events;
    resolve_start(ap);
    pod_check_end(ap->pod);
}

static int op_start(void *ctx, size_t i, enum proc_kind kind, struct err *err)
{
    struct pod *p = ctx;
    struct app *a = &p->apps[i];
    struct app_process *ap = &a->processes[kind];
    struct process_spec spec = {
        .argv = program(a, kind)->v,
        .env = a->env,
        .directory = a->spec->app.working_directory,
        .identity = &a->rootfs.identity,
        .groups = a->spec->app.supplementary_gids,
        .ngroups = a->spec->app.nsupplementary_gids,
        .isolation = &a->isolation,
        .mntns = a->rootfs.mntns,
        .cgroup = a->cgroup,
        .in = p->null,
        .out = a->write_ends[STREAM_OUT],
        .err = a->write_ends[STREAM_ERR],
        .sockets = kind == PROC_MAIN ? &a->sockets : NULL,
    };
    if (process_start(&spec, &ap->process, err) < 0)
        return -1;
    if (kind == PROC_MAIN)
        listen_done(&a->sockets);
    ap->alive = true;
    ap->resolved = ap->running = false;
    ap->source = (struct loop_source){.fd = -1, .fn = on_started, .ctx = ap};
    /* Should this fail, the end of the process is still noticed by SIGCHLD. */
    (void)loop_add(&p->loop, &ap->source, ap->process.started, EPOLLIN, NULL);
    return 0;
}

/*
 * A stop signal of the image's is meant for main, which knows what it means for its children: to
 * them it may be a command of another kind.
 */
static void op_terminate(void *ctx, size_t i)
{
    const struct pod *p = ctx;
    const struct app_process *main = &p->apps[i].processes[PROC_MAIN];
    int signo = p->config.apps[i].stop_signal;
    if (signo && main->alive && main->running)
        (void)kill(main->process.pid, signo);
    else
        cgroup_signal(p->apps[i].cgroup, SIGTERM);
}

static void op_kill(void *ctx, size_t i)
{
    cgroup_signal(((struct pod *)ctx)->apps[i].cgroup, SIGKILL);
}

static bool op_populated(void *ctx, size_t i)
{
    return cgroup_populated(((struct pod *)ctx)->apps[i].cgroup_events);
}

static void op_report(void *ctx, const struct wire_app_event *e)
{
    control_send(&((struct pod *)ctx)->control, wire_app_event_encode(e));
}

static void op_warn(void *ctx, size_t i, const char *text)
{
    struct pod *p = ctx;
    pod_log(p, "warning", p->apps[i].name, text);
}

/*
 * No more writers but those that the app has given its pipes to: the streams come to their end.
 * What it said last may still be waiting.
 */
static void op_over(void *ctx, size_t i)
{
    struct app *a = &((struct pod *)ctx)->apps[i];
    pod_hear(a);
    for (int s = 0; s < STREAMS; s++) {
        close(a->write_ends[s]);
        a->write_ends[s] = -1;
    }
}

static uint64_t op_now(void *ctx)
{
    struct timespec t;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const struct lifecycle_ops pod_lifecycle_ops = {
    .start = op_start,
    .terminate = op_terminate,
    .kill = op_kill,
    .populated = op_populated,
    .report = op_report,
    .warn = op_warn,
    .over = op_over,
    .now = op_now,
};

static struct app_process *find_process(struct pod *p, pid_t pid)
{
    for (size_t i = 0; i < p->life.napps; i++) {
        for (int k = 0; k < PROC_KINDS; k++) {
            struct app_process *ap = &p->apps[i].processes[k];
            if (ap->alive && ap->process.pid == pid)
                return ap;
        }
    }
    return NULL;
}

static void exited(struct app_process *ap, int status)
{
    int signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    ap->alive = false;
    if (!ap->resolved) /* both events may be there at once: the start comes first */
        resolve_start(ap);
    if (ap->running)
        lifecycle_exited(&ap->pod->life, ap->app, ap->kind,
                         signo ? 128 + signo : WEXITSTATUS(status), signo);
}

void pod_reap(struct pod *p)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
        struct app_process *ap = find_process(p, pid);
        if (ap)
            exited(ap, status);
    }
    /* An orphan may have been the last process of its app. */
    for (size_t i = 0; i < p->life.napps; i++)
        lifecycle_check(&p->life, i);
}

void pod_signal_main(struct pod *p, const char *app, int signo)
{
    for (size_t i = 0; i < p->life.napps; i++) {
        const struct app_process *ap = &p->apps[i].processes[PROC_MAIN];
        if ((!app || str_eq(app, p->apps[i].name)) && ap->alive && ap->running)
            (void)kill(ap->process.pid, signo);
    }
}
