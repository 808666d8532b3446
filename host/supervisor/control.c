/* SPDX-License-Identifier: Apache-2.0 */
/* The control connection: what the guest says, and what it is told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/supervisor/pod.h"

/* A guest that keeps the frames coming must not grow our memory. */
#define CONTROL_READ 65536

static uint64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void flush(struct control *c)
{
    while (c->out.len) {
        ssize_t n = send(c->watch.fd, c->out.data, c->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* a dead connection is seen by reading */
        buf_consume(&c->out, (size_t)n);
    }
    loop_set(&c->pod->loop, &c->watch, c->out.len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void say(struct control *c, json_t *msg)
{
    struct err err;
    if (wire_frame_add(&c->out, msg, WIRE_HOST_FRAME_MAX, &err) < 0)
        pod_fail(c->pod, "%s", err.msg);
    json_decref(msg);
    flush(c);
}

static void on_hello(struct pod *p, json_t *msg)
{
    json_t *version = json_object_get(msg, "version");
    if (p->phase != POD_STARTING || json_integer_value(version) != WIRE_VERSION) {
        pod_fail(p, "the guest's init speaks another version of the protocol; run \"./dev setup\"");
        return;
    }
    p->phase = POD_RUNNING;
    p->started_ms = clock_ns() / 1000000;
    p->plan.config.clock_ns = clock_ns();
    say(&p->control, wire_config_encode(&p->plan.config));
    if (p->stops)
        control_stop_apps(p);
    state_save(p);
}

static int find_app(const struct pod *p, const char *name)
{
    for (size_t i = 0; i < p->plan.config.napps; i++)
        if (str_eq(p->apps[i].name, name))
            return (int)i;
    return -1;
}

/* Whether all main processes run, and have said that they are ready if they ever say so. */
static bool all_ready(const struct pod *p)
{
    for (size_t i = 0; i < p->plan.config.napps; i++) {
        const struct pod_app *a = &p->apps[i];
        bool begun = a->state >= WIRE_APP_RUNNING && a->state != WIRE_APP_FAILED;
        if (!begun || (p->plan.config.apps[i].notify && !a->ready))
            return false;
    }
    return true;
}

/* Tells who waits for it (run --wait-ready); a pod that ends before just closes the pipe. */
static void announce_ready(struct pod *p)
{
    if (p->plan.ready_fd < 0 || !all_ready(p))
        return;
    (void)!write(p->plan.ready_fd, "R", 1);
    close(p->plan.ready_fd);
    p->plan.ready_fd = -1;
}

static void on_notify(struct pod *p, json_t *msg)
{
    struct wire_notify n;
    struct err err;
    int i;
    if (wire_notify_decode(msg, &n, &err) < 0 || (i = find_app(p, n.app)) < 0) {
        pod_fail(p, "the guest's init sent a malformed notify message");
        return;
    }
    p->apps[i].ready |= n.ready;
    memcpy(p->apps[i].status, n.status, sizeof(n.status));
    state_save(p);
    announce_ready(p);
}

static void on_app(struct pod *p, json_t *msg)
{
    struct wire_app_event e;
    struct err err;
    int i;
    if (wire_app_event_decode(msg, &e, &err) < 0 || (i = find_app(p, e.name)) < 0) {
        pod_fail(p, "the guest's init sent a malformed app message");
        return;
    }
    struct pod_app *a = &p->apps[i];
    a->state = (int)e.state;
    if (e.pid)
        a->pid = e.pid;
    if (e.state == WIRE_APP_EXITED || e.state == WIRE_APP_FAILED || e.state == WIRE_APP_POST_STOP) {
        a->exit_status = e.exit_status;
        a->signal = e.signal;
        memcpy(a->error, e.error, sizeof(a->error));
        bool bad = e.state == WIRE_APP_FAILED || e.exit_status != 0;
        if (bad && p->first_failure < 0)
            p->first_failure = i;
    }
    if (e.state == WIRE_APP_FAILED)
        dprintf(STDERR_FILENO, "appc-vm: app %s: %s\n", a->name, a->error);
    state_save(p);
    announce_ready(p);
}

static void on_report(struct pod *p, json_t *msg)
{
    struct wire_report r;
    struct err err;
    if (wire_report_decode(msg, &r, &err) < 0 || (r.app[0] && find_app(p, r.app) < 0) ||
        p->nreports >= POD_REPORTS_MAX) {
        pod_fail(p, "the guest's init sent a malformed report");
        return;
    }
    array_grow(&p->reports, p->nreports, &p->reports_cap, sizeof(r));
    p->reports[p->nreports++] = r;
}

static void on_log(struct pod *p, json_t *msg)
{
    const char *level = wire_string(msg, "level", 16);
    const char *app = wire_string(msg, "app", WIRE_NAME_MAX);
    const char *text = wire_string(msg, "text", 4096);
    struct err clean; /* takes control characters out */
    if (!level || !text)
        return;
    if (app)
        err_fill(&clean, 0, "%s: app %s: %s", level, app, text);
    else
        err_fill(&clean, 0, "%s: %s", level, text);
    dprintf(p->children_log_fd, "guest: %s\n", clean.msg);
    if (p->plan.debug || !str_eq(level, "info"))
        dprintf(STDERR_FILENO, "appc-vm: %s\n", clean.msg);
}

static void on_end(struct pod *p)
{
    if (p->phase != POD_RUNNING)
        return;
    p->phase = POD_ENDING;
    control_maybe_close(p);
}

static void dispatch(struct pod *p, json_t *msg)
{
    const char *type = wire_type(msg);
    if (str_eq(type, "hello"))
        on_hello(p, msg);
    else if (p->phase == POD_STARTING)
        pod_fail(p, "the guest's init did not say hello first");
    else if (str_eq(type, "app"))
        on_app(p, msg);
    else if (str_eq(type, "report"))
        on_report(p, msg);
    else if (str_eq(type, "notify"))
        on_notify(p, msg);
    else if (str_eq(type, "log"))
        on_log(p, msg);
    else if (str_eq(type, "end"))
        on_end(p);
    else if (str_eq(type, "fatal")) {
        const char *text = wire_string(msg, "text", 512);
        pod_fail(p, "the pod can't run: %s", text ? text : "the guest gave no reason");
    }
}

static void on_control(struct watch *w, uint32_t events)
{
    struct control *c = (struct control *)w;
    struct pod *p = c->pod;
    struct err err;
    json_t *msg;
    int r = 0;
    if (events & EPOLLOUT)
        flush(c);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t n = read(w->fd, buf_reserve(&c->in, CONTROL_READ), CONTROL_READ);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        control_close(p);
        /* The child whose death this is says more; its end comes in a moment. */
        if (p->phase < POD_CLOSED)
            p->phase = POD_LOST;
        return;
    }
    buf_commit(&c->in, (size_t)n);
    while (w->fd >= 0 && (r = wire_frame_take(&c->in, WIRE_GUEST_FRAME_MAX, &msg, &err)) == 1) {
        dispatch(p, msg);
        json_decref(msg);
    }
    if (r < 0)
        pod_fail(p, "the guest's init: %s", err.msg);
}

void control_open(struct pod *p, int fd)
{
    /* The first connection is init's, as no app runs yet; a later one is an app's attempt. */
    if (p->control.pod || set_nonblock(fd, true) < 0) {
        close(fd);
        return;
    }
    p->control.pod = p;
    p->control.watch = (struct watch){.fd = fd, .fn = on_control};
    loop_add(&p->loop, &p->control.watch, EPOLLIN);
}

void control_stop_apps(struct pod *p)
{
    if (p->phase == POD_RUNNING && p->control.watch.fd >= 0)
        say(&p->control, wire_stop(p->plan.config.grace_ms));
}

void control_close(struct pod *p)
{
    struct control *c = &p->control;
    if (c->watch.fd < 0)
        return;
    loop_del(&p->loop, &c->watch);
    close(c->watch.fd);
    c->watch.fd = -1;
    buf_free(&c->in);
    buf_free(&c->out);
}

void control_maybe_close(struct pod *p)
{
    if (p->phase != POD_ENDING || p->streams)
        return;
    p->phase = POD_CLOSED;
    control_close(p);
}
