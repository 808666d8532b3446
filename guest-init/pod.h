/* SPDX-License-Identifier: Apache-2.0 */
/* The pod that this guest runs: from its configuration to its end. */
#ifndef APPC_GUEST_POD_H
#define APPC_GUEST_POD_H

#include <stdbool.h>

#include "guest-init/control.h"
#include "guest-init/isolate.h"
#include "guest-init/lifecycle.h"
#include "guest-init/listen.h"
#include "guest-init/loop.h"
#include "guest-init/notify.h"
#include "guest-init/process.h"
#include "guest-init/proxy.h"
#include "guest-init/pump.h"
#include "guest-init/rootfs.h"
#include "schema/manifest.h"
#include "wire/wire.h"

enum { STREAM_OUT, STREAM_ERR, STREAMS };

struct pod;

/* A process that init has started for an app. */
struct app_process {
    struct pod *pod;
    size_t app;
    enum proc_kind kind;
    bool alive;    /* started and not reaped */
    bool resolved; /* it is known whether it has executed its program ... */
    bool running;  /* ... and it has */
    struct process process;
    struct loop_source source; /* of process.started */
};

struct app {
    struct pod *pod;
    size_t index;
    const char *name;              /* borrowed from the manifest */
    const struct ac_pod_app *spec; /* the same */
    struct volume_plan volumes;
    struct rootfs rootfs;
    struct isolation isolation;
    struct notify_state notified; /* what it said by sd_notify() ... */
    struct loop_source notify;    /* ... here */
    uint64_t notify_again;        /* when it is listened to again; 0: now */
    struct listen_set sockets;    /* for main; closed once it has them */
    char **env;
    int cgroup, cgroup_events;
    struct loop_source events;
    struct app_process processes[PROC_KINDS];
    int write_ends[STREAMS]; /* of the pipes that the app writes to */
    struct pump pumps[STREAMS];
};

enum pod_state {
    POD_WAITING, /* for the configuration */
    POD_RUNNING,
    POD_ENDING, /* said "end" or "fatal"; the host closes when it is ready */
    POD_GONE,   /* nothing is left but the reset */
};

struct pod {
    struct loop loop;
    struct control control;
    struct loop_source signals;
    struct proxy metadata; /* serves when the configuration has a URL */
    struct wire_config config;
    struct ac_pod_manifest *manifest;
    char **devices; /* block device of each root */
    struct app *apps;
    struct lc_app *lc_apps;
    struct lifecycle life;
    struct wire_report ignored; /* the first isolator that could not be put in force */
    size_t streams;             /* pumps that are not done */
    struct isolation isolation; /* what pod-level isolators give every app */
    char **disks;               /* as MAJOR:MINOR */
    int init_ns, null;
    enum pod_state state;
};

/* Takes over the connected control socket and says hello. */
int pod_open(struct pod *p, int control_fd, struct err *err);

/* Handles events until the host has closed the control connection. */
void pod_run(struct pod *p);

/* Tells the host why the pod can't be run, and waits no more for it. */
void pod_fatal(struct pod *p, const struct err *why);

/* A line in the host's log about an app (NULL: the pod). level as in wire_log(). */
void pod_log(struct pod *p, const char *level, const char *app, const char *text);

/* From here on between the parts of pod: pod_setup.c puts the apps together, ... */
int pod_configure(struct pod *p, json_t *msg, struct err *err);

/* Tells the host what an app has newly said by sd_notify(), and gives the app a pause. */
void pod_hear(struct app *a);

/* ... pod_apps.c starts, signals and reaps their processes, ... */
extern const struct lifecycle_ops pod_lifecycle_ops;
void pod_reap(struct pod *p);
void pod_signal_main(struct pod *p, const char *app, int signo);

/* ... and pod.c ends it when all is over. */
void pod_check_end(struct pod *p);

#endif
