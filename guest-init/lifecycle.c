/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a pod as a pure state machine: who starts when, and who stops. */
#include "guest-init/lifecycle.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

static void stop_pod(struct lifecycle *l, uint32_t grace_ms);

static void report(struct lifecycle *l, size_t i, enum wire_app_state state)
{
    const struct lc_app *a = &l->apps[i];
    struct wire_app_event e = {
        .state = state, .pid = a->pid, .exit_status = a->exit_status, .signal = a->signal};
    snprintf(e.name, sizeof(e.name), "%s", a->name);
    snprintf(e.error, sizeof(e.error), "%s", a->error);
    l->ops->report(l->ctx, &e);
}

static void fail(struct lc_app *a, const char *why)
{
    if (a->failed)
        return;
    a->failed = true;
    snprintf(a->error, sizeof(a->error), "%s", why);
}

static void set_deadline(struct lifecycle *l, struct lc_app *a, uint32_t grace_ms)
{
    uint64_t t = l->ops->now(l->ctx) + grace_ms;
    if (a->deadline == 0 || t < a->deadline)
        a->deadline = t;
}

/* SIGTERM (or main's stop signal) now and SIGKILL after the grace period. */
static void terminate(struct lifecycle *l, size_t i, uint32_t grace_ms)
{
    struct lc_app *a = &l->apps[i];
    if (grace_ms == 0) {
        l->ops->kill(l->ctx, i);
        a->deadline = 0;
        return;
    }
    l->ops->terminate(l->ctx, i);
    set_deadline(l, a, grace_ms);
}

static void app_over(struct lifecycle *l, size_t i)
{
    struct lc_app *a = &l->apps[i];
    a->phase = LC_OVER;
    a->deadline = 0;
    l->over++;
    l->ops->over(l->ctx, i);
    report(l, i, a->failed ? WIRE_APP_FAILED : WIRE_APP_EXITED);
}

/* The app has had its last process started: the rest of them goes. */
static void last(struct lifecycle *l, size_t i)
{
    struct lc_app *a = &l->apps[i];
    a->phase = LC_LAST;
    a->deadline = 0;
    if (!l->ops->populated(l->ctx, i)) {
        app_over(l, i);
        return;
    }
    l->ops->kill(l->ctx, i);
}

static uint32_t post_stop_limit(const struct lifecycle *l)
{
    return l->grace_ms > LIFECYCLE_POST_STOP_MS ? l->grace_ms : LIFECYCLE_POST_STOP_MS;
}

static void start_post_stop(struct lifecycle *l, size_t i)
{
    struct lc_app *a = &l->apps[i];
    struct err err = {0};
    a->phase = LC_POST_STOP;
    a->deadline = 0;
    report(l, i, WIRE_APP_POST_STOP);
    if (l->ops->start(l->ctx, i, PROC_POST_STOP, &err) < 0)
        lifecycle_start_failed(l, i, PROC_POST_STOP, err.msg);
    else if (l->stopped_by_host)
        set_deadline(l, a, post_stop_limit(l));
}

static bool wants_post_stop(const struct lc_app *a)
{
    if (!a->has_post_stop || (a->has_pre_start && !a->pre_start_done))
        return false;
    return a->has_pre_start || a->pid != 0;
}

/* Main is over, or will never run: waits until the app has no process, then goes on. */
static void settle(struct lifecycle *l, size_t i)
{
    struct lc_app *a = &l->apps[i];
    if (a->phase != LC_SETTLE) {
        a->phase = LC_SETTLE;
        if (l->ops->populated(l->ctx, i) && !l->stopping)
            terminate(l, i, l->grace_ms);
    }
    if (l->ops->populated(l->ctx, i))
        return;
    if (wants_post_stop(a))
        start_post_stop(l, i);
    else
        last(l, i);
}

static void start_main(struct lifecycle *l, size_t i)
{
    struct err err = {0};
    l->apps[i].phase = LC_MAIN;
    if (l->ops->start(l->ctx, i, PROC_MAIN, &err) < 0)
        lifecycle_start_failed(l, i, PROC_MAIN, err.msg);
}

/* Once the last pre-start handler has succeeded. */
static void start_mains(struct lifecycle *l)
{
    for (size_t i = 0; i < l->napps; i++) {
        if (l->apps[i].phase == LC_PRE_START)
            return;
    }
    if (l->mains_started || l->stopping)
        return;
    l->mains_started = true;
    for (size_t i = 0; i < l->napps && !l->stopping; i++)
        start_main(l, i);
}

static void start_pre_start(struct lifecycle *l, size_t i)
{
    struct err err = {0};
    l->apps[i].phase = LC_PRE_START;
    report(l, i, WIRE_APP_PRE_START);
    if (l->ops->start(l->ctx, i, PROC_PRE_START, &err) < 0)
        lifecycle_start_failed(l, i, PROC_PRE_START, err.msg);
}

void lifecycle_begin(struct lifecycle *l)
{
    for (size_t i = 0; i < l->napps && !l->stopping; i++) {
        if (l->apps[i].has_pre_start)
            start_pre_start(l, i);
    }
    start_mains(l);
}

void lifecycle_started(struct lifecycle *l, size_t i, enum proc_kind kind, uint32_t pid)
{
    struct lc_app *a = &l->apps[i];
    if (kind != PROC_MAIN || a->phase != LC_MAIN)
        return;
    a->pid = pid;
    report(l, i, WIRE_APP_RUNNING);
}

void lifecycle_start_failed(struct lifecycle *l, size_t i, enum proc_kind kind, const char *why)
{
    static const char *const prefix[PROC_KINDS] = {
        [PROC_PRE_START] = "pre-start handler: ", [PROC_MAIN] = "", [PROC_POST_STOP] = ""};
    struct lc_app *a = &l->apps[i];
    if (kind == PROC_POST_STOP) {
        char text[600];
        snprintf(text, sizeof(text), "the post-stop handler can't run: %s", why);
        l->ops->warn(l->ctx, i, text);
        last(l, i);
        return;
    }
    char text[sizeof(a->error)];
    snprintf(text, sizeof(text), "%s%s", prefix[kind], why);
    fail(a, text);
    a->exit_status = LIFECYCLE_NOT_STARTED;
    stop_pod(l, l->grace_ms);
    settle(l, i);
}

static void describe_end(char *text, size_t cap, const char *what, int status, int signal)
{
    if (signal)
        snprintf(text, cap, "the %s handler was killed by signal %d (%s)", what, signal,
                 strsignal(signal));
    else
        snprintf(text, cap, "the %s handler failed with status %d", what, status);
}

static void pre_start_exited(struct lifecycle *l, size_t i, int status, int signal)
{
    struct lc_app *a = &l->apps[i];
    if (status == 0 && !l->stopping) {
        a->phase = LC_WAITING;
        a->pre_start_done = true;
        start_mains(l);
        return;
    }
    char text[sizeof(a->error)];
    describe_end(text, sizeof(text), "pre-start", status, signal);
    if (status == 0) {
        a->pre_start_done = true;
        fail(a, "not started, as the pod is stopping");
    } else {
        a->exit_status = status;
        a->signal = signal;
        fail(a, text);
    }
    stop_pod(l, l->grace_ms);
    settle(l, i);
}

static void main_exited(struct lifecycle *l, size_t i, int status, int signal)
{
    struct lc_app *a = &l->apps[i];
    bool alone = a->main_first && l->stopping; /* only main was asked to end */
    a->exit_status = status;
    a->signal = signal;
    if (status != 0 || l->stop_on_exit)
        stop_pod(l, l->grace_ms);
    settle(l, i);
    if (alone && a->phase == LC_SETTLE)
        terminate(l, i, l->grace_ms);
}

static void post_stop_exited(struct lifecycle *l, size_t i, int status, int signal)
{
    char text[600];
    if (status != 0) {
        describe_end(text, sizeof(text), "post-stop", status, signal);
        l->ops->warn(l->ctx, i, text);
    }
    last(l, i);
}

void lifecycle_exited(struct lifecycle *l, size_t i, enum proc_kind kind, int status, int signal)
{
    switch (kind) {
    case PROC_PRE_START:
        pre_start_exited(l, i, status, signal);
        break;
    case PROC_MAIN:
        main_exited(l, i, status, signal);
        break;
    case PROC_POST_STOP:
        post_stop_exited(l, i, status, signal);
        break;
    default:
        break;
    }
}

void lifecycle_check(struct lifecycle *l, size_t i)
{
    struct lc_app *a = &l->apps[i];
    if (a->phase == LC_SETTLE)
        settle(l, i);
    else if (a->phase == LC_LAST && !l->ops->populated(l->ctx, i))
        app_over(l, i);
}

/* What a stopping pod means for one app. */
static void stop_app(struct lifecycle *l, size_t i, uint32_t grace_ms)
{
    struct lc_app *a = &l->apps[i];
    switch (a->phase) {
    case LC_WAITING:
        fail(a, "not started, as the pod is stopping");
        a->phase = LC_MAIN; /* so that its processes, if a handler left some, are ended */
        settle(l, i);
        if (a->phase == LC_SETTLE)
            terminate(l, i, grace_ms);
        break;
    case LC_PRE_START:
    case LC_MAIN:
    case LC_SETTLE:
        terminate(l, i, grace_ms);
        break;
    case LC_POST_STOP:
        if (l->stopped_by_host)
            set_deadline(l, a, post_stop_limit(l));
        break;
    default:
        break;
    }
}

static void stop_pod(struct lifecycle *l, uint32_t grace_ms)
{
    if (l->stopping)
        return;
    l->stopping = true;
    for (size_t i = 0; i < l->napps; i++)
        stop_app(l, i, grace_ms);
}

void lifecycle_stop(struct lifecycle *l, uint32_t grace_ms)
{
    bool first = !l->stopping;
    l->stopped_by_host = true;
    l->grace_ms = grace_ms;
    if (first) {
        stop_pod(l, grace_ms);
        return;
    }
    for (size_t i = 0; i < l->napps; i++)
        stop_app(l, i, grace_ms);
}

void lifecycle_tick(struct lifecycle *l)
{
    uint64_t now = l->ops->now(l->ctx);
    for (size_t i = 0; i < l->napps; i++) {
        struct lc_app *a = &l->apps[i];
        if (a->deadline == 0 || a->deadline > now)
            continue;
        a->deadline = 0;
        l->ops->kill(l->ctx, i);
    }
}

uint64_t lifecycle_deadline(const struct lifecycle *l)
{
    uint64_t first = 0;
    for (size_t i = 0; i < l->napps; i++) {
        uint64_t d = l->apps[i].deadline;
        if (d && (!first || d < first))
            first = d;
    }
    return first;
}
