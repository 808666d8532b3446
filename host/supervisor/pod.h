/* SPDX-License-Identifier: Apache-2.0 */
/* The supervised pod: its children, its guest, its state. */
#ifndef APPC_HOST_SUPERVISOR_POD_H
#define APPC_HOST_SUPERVISOR_POD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "host/supervisor/child.h"
#include "host/supervisor/loop.h"
#include "host/supervisor/plan.h"
#include "host/supervisor/sink.h"
#include "host/supervisor/stream.h"

#define POD_DEVICES_MAX 8
/* A guest that reports more isolators than manifests can hold is not believed. */
#define POD_REPORTS_MAX 65536

/* Exit codes of a pod that did not end by itself. */
#define POD_EXIT_ERROR 125

enum pod_phase {
    POD_STARTING, /* waiting for the guest's hello */
    POD_RUNNING,  /* the guest has its configuration */
    POD_LOST,     /* the control connection broke; whose end it was is about to be seen */
    POD_ENDING,   /* the guest said "end"; streams are drained */
    POD_CLOSED,   /* the control connection is closed; waiting for the VMM's end */
    POD_DEAD,     /* killed; waiting for the children to be gone */
};

struct pod_app {
    const char *name; /* borrowed from the plan */
    int state;        /* enum wire_app_state, -1 before the first event */
    unsigned pid;
    int exit_status;
    int signal;
    bool ready;                       /* it said so by sd_notify() */
    char status[WIRE_STATUS_MAX + 1]; /* the same; "" when it said nothing */
    char error[512];
};

/* The control connection. */
struct control {
    struct watch watch; /* first member; fd -1: not there */
    struct pod *pod;
    struct buf in, out;
};

struct pod {
    struct plan plan;
    struct loop loop;
    struct sink out, errors;
    struct stream *streams;
    unsigned nstreams;
    struct control control;
    struct watch connects; /* appc-dev-vsock hands connections over here */
    struct watch signals;
    struct watch timer;   /* boot deadline, then the deadline for the VMM's end */
    struct watch console; /* serial port, with --debug */
    struct buf console_line;
    struct child vmm;
    struct child devices[POD_DEVICES_MAX];
    struct child mds;   /* never started without metadata */
    int mds_connect_fd; /* connections for appc-mds go in here; -1: none */
    unsigned ndevices;
    int children_log_fd;
    enum pod_phase phase;
    struct pod_app *apps;
    struct wire_report *reports; /* what became of each isolator */
    size_t nreports, reports_cap;
    int first_failure; /* index of the app that failed first, -1 */
    unsigned stops;    /* how often the user asked to stop */
    bool failed;       /* appc-vm itself failed; `error` says why */
    struct err error;
    uint64_t created_ms, started_ms, ended_ms; /* Unix time; 0: not yet */
};

/* Ends the pod because something is broken; the first reason is kept. */
void pod_fail(struct pod *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Kills everything at once. */
void pod_kill(struct pod *p);

/* control.c: a connection to the control port; a message to the guest. */
void control_open(struct pod *p, int fd);
void control_stop_apps(struct pod *p);
void control_close(struct pod *p);

/* The guest said "end": closes the control connection once the streams are over. */
void control_maybe_close(struct pod *p);

/* launch.c: starts the device processes and the VMM. */
int launch(struct pod *p, struct err *err);

/* state.c: the report of the isolators as a JSON list (caller decrefs). */
json_t *state_reports(const struct pod *p);

/* Prints the report on standard output, as text or JSON (--dry-run). */
void state_print_reports(const struct pod *p);

/* Writes state.json of the pod; failures are reported once, not fatal. */
void state_save(struct pod *p);

/* The exit status of the pod as `run` returns it. */
int pod_exit_status(const struct pod *p);

#endif
