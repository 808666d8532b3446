/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a pod as a pure state machine: who starts when, and who stops.
 *
 * All pre-start handlers run first, beside each other; when all have succeeded,
 * all main processes start. When a main process ends, what is left in the app's
 * cgroup gets SIGTERM, a grace period and SIGKILL; then the post-stop
 * handler runs. It runs only when the pre-start handler (if there is one) succeeded; an app
 * whose main process never ran has one only if there was a pre-start handler whose work may need
 * undoing.
 *
 * The pod stops (SIGTERM to every app, or the stop signal of its image to its main process and
 * SIGTERM to what that leaves, grace, SIGKILL, post-stop) when the host
 * says so, when anything can't be started, when a main process ends with another status
 * than 0, and with stop_on_exit when any main process ends. It is over when all apps are.
 *
 * A post-stop handler has as long as it likes until the host asks the pod to stop; from then on
 * it has the grace period, and LIFECYCLE_POST_STOP_MS at least.
 */
#ifndef APPC_GUEST_LIFECYCLE_H
#define APPC_GUEST_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire.h"

#define LIFECYCLE_POST_STOP_MS 5000

/* Exit status of an app whose program could not be executed, as a shell has it. */
#define LIFECYCLE_NOT_STARTED 127

enum proc_kind { PROC_PRE_START, PROC_MAIN, PROC_POST_STOP, PROC_KINDS };

enum lc_phase {
    LC_WAITING,   /* main has not been started; no pre-start handler is running */
    LC_PRE_START, /* the pre-start handler runs */
    LC_MAIN,      /* the main process is being started or runs */
    LC_SETTLE,    /* main is over; others of the app's processes are not yet */
    LC_POST_STOP, /* the post-stop handler runs */
    LC_LAST,      /* waits for the last processes of the app */
    LC_OVER,
};

struct lc_app {
    const char *name; /* borrowed */
    bool has_pre_start, has_post_stop;
    bool main_first; /* terminate() asks main alone, as long as it runs, and then the rest */

    enum lc_phase phase;
    bool pre_start_done; /* its handler ran and succeeded */
    bool failed;         /* could not be started; error says why */
    uint32_t pid;        /* of main, once it runs */
    int exit_status, signal;
    uint64_t deadline; /* when SIGKILL comes; 0 never */
    char error[512];
};

/* What the machine asks of the world. None of these may call back into the machine. */
struct lifecycle_ops {
    /* Starts a process; lifecycle_started() or lifecycle_start_failed() follows. -1: failed now. */
    int (*start)(void *ctx, size_t app, enum proc_kind kind, struct err *err);
    /* SIGTERM to all processes of the app, or to main the signal that it wants to be asked by. */
    void (*terminate)(void *ctx, size_t app);
    void (*kill)(void *ctx, size_t app);      /* SIGKILL to them */
    bool (*populated)(void *ctx, size_t app); /* whether the app has any process */
    void (*report)(void *ctx, const struct wire_app_event *e);
    void (*warn)(void *ctx, size_t app, const char *text);
    void (*over)(void *ctx, size_t app); /* no process of the app will ever run again */
    uint64_t (*now)(void *ctx);          /* milliseconds of a monotonic clock */
};

struct lifecycle {
    const struct lifecycle_ops *ops;
    void *ctx;
    struct lc_app *apps; /* the caller's array */
    size_t napps;
    bool stop_on_exit;
    uint32_t grace_ms;

    bool mains_started;
    bool stopping;
    bool stopped_by_host;
    size_t over; /* apps */
};

/* Runs the pre-start handlers, or the main processes when there are none. */
void lifecycle_begin(struct lifecycle *l);

/* The process has executed its program. */
void lifecycle_started(struct lifecycle *l, size_t app, enum proc_kind kind, uint32_t pid);

/* It could not; `why` is one sentence. */
void lifecycle_start_failed(struct lifecycle *l, size_t app, enum proc_kind kind, const char *why);

/* A process that had started has ended. signal is 0 or the one that killed it. */
void lifecycle_exited(struct lifecycle *l, size_t app, enum proc_kind kind, int exit_status,
                      int signal);

/* The app's cgroup may have become empty. */
void lifecycle_check(struct lifecycle *l, size_t app);

/* The host asks the pod to stop. A second request can only shorten the wait. */
void lifecycle_stop(struct lifecycle *l, uint32_t grace_ms);

/* Kills what is past its deadline. */
void lifecycle_tick(struct lifecycle *l);

/* The next time that lifecycle_tick() has something to do, on the clock of ops->now; 0 for never.
 */
uint64_t lifecycle_deadline(const struct lifecycle *l);

/* Whether all apps are over. */
static inline bool lifecycle_is_over(const struct lifecycle *l)
{
    return l->over == l->napps;
}

#endif
