/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host-guest protocol: ports, limits and messages. docs/architecture.md,
 * "The host-guest protocol", tells the story; this header is the reference.
 *
 * The guest (CID 3) only ever connects out, to the host (CID 2):
 *
 *   WIRE_PORT_CONTROL   one connection: length-prefixed JSON frames both ways
 *   WIRE_PORT_STDIO     one per app and stream: a header frame, then raw bytes
 *   WIRE_PORT_METADATA  one per HTTP connection: raw bytes
 *
 * A frame is a little-endian u32 length and that many bytes of JSON (one
 * object with a string member "type").
 *
 * Control, in order: guest "hello"; host "config"; then guest "app", "report", "notify", "log"
 * and host "stop", "signal" at any time; at last guest "end". The host
 * closes the control connection when it has everything on disk; only then
 * does the guest reset the machine. "fatal" from the guest means the pod can't be run.
 *
 * Stdio: the guest shuts its sending side down when the stream has ended, and
 * waits for the host to close, which the host does after it has kept all of it.
 */
#ifndef APPC_WIRE_WIRE_H
#define APPC_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct err;
struct buf;

#define WIRE_VERSION 1

#define WIRE_GUEST_CID 3
#define WIRE_HOST_CID  2

#define WIRE_PORT_CONTROL  1024
#define WIRE_PORT_STDIO    1025
#define WIRE_PORT_METADATA 1026

/*
 * Where apps reach the metadata service: init listens there and proxies to WIRE_PORT_METADATA. Not
 * port 80, as no app could then listen on that port of all addresses.
 */
#define WIRE_METADATA_ADDRESS  "169.254.169.255"
#define WIRE_METADATA_TCP_PORT 18112

/* Largest frame the host sends (a configuration with its manifest), and the guest. */
#define WIRE_HOST_FRAME_MAX  (16u << 20)
#define WIRE_GUEST_FRAME_MAX (1u << 20)

#define WIRE_APPS_MAX 1024 /* apps of one pod, and roots */
#define WIRE_NAME_MAX 255  /* bytes of an app, disk or volume name */

/* virtio-blk serials by which the guest finds its disks. */
#define WIRE_DISK_IMAGES  "images"
#define WIRE_DISK_SCRATCH "scratch"

/* Tag of the virtio-fs device of a pod with host volumes; its root has an entry for each. */
#define WIRE_FS_TAG "volumes"

/* A byte range of the images disk, in multiples of 512: one EROFS file system. */
struct wire_root {
    uint64_t offset;
    uint64_t length;
};

#define WIRE_VOLUMES_MAX      (64u << 10) /* of one pod that begin as the image has them */
#define WIRE_SIGNAL_MAX       64          /* the last real-time signal of Linux */
#define WIRE_PROFILES_MAX     256         /* compiled AppArmor policies of one pod */
#define WIRE_PROFILE_SIZE_MAX (16u << 20) /* bytes of one */
#define WIRE_FILE_MAX         (64u << 10) /* bytes of /etc/hosts and of /etc/resolv.conf */

/* A compiled AppArmor policy: `length` bytes at `offset`, a multiple of 512, of the images disk. */
struct wire_profile {
    uint64_t offset;
    uint64_t length;
};

/* What the host tells the guest about one app beside the manifest. */
struct wire_app {
    char *name;      /* as in the manifest, same order */
    unsigned root;   /* index into roots */
    bool notify;     /* says when it is ready: it gets $NOTIFY_SOCKET */
    int stop_signal; /* that ends its main process; 0: SIGTERM, to all processes of the app */
};

/* The "config" message. Everything is owned by the structure. */
struct wire_config {
    char *uuid; /* canonical text form */
    char *hostname;
    char *metadata_url; /* NULL: no metadata service */
    json_t *manifest;   /* reified pod manifest: every app has its `app` object */
    struct wire_root *roots;
    size_t nroots;
    struct wire_app *apps;
    size_t napps;
    struct wire_profile *profiles; /* loaded before the isolators are put in force */
    size_t nprofiles;
    unsigned *from_image; /* numbers of the pod's volumes that begin as the image's directory */
    size_t nfrom_image;
    char *hosts;       /* replaces /etc/hosts of every app; NULL: made up where there is none */
    char *resolv_conf; /* replaces /etc/resolv.conf of every app; NULL: what the image has */
    bool scratch;      /* a scratch disk is there; else upper layers go on tmpfs */
    bool debug;
    bool strict;       /* an isolator that would be ignored is fatal, before any app starts */
    bool dry_run;      /* set everything up, report, and end without starting an app */
    bool stop_on_exit; /* the first app that ends takes the pod down */
    uint32_t grace_ms; /* between SIGTERM and SIGKILL */
    uint64_t clock_ns; /* host's CLOCK_REALTIME when the message was made */
};

/* Releases the members; the structure can be used again. */
void wire_config_done(struct wire_config *c);

/* Makes the message (caller decrefs). Never fails. */
json_t *wire_config_encode(const struct wire_config *c);

/* Reads the message; bounds as above. *ret is untouched on failure. */
int wire_config_decode(json_t *msg, struct wire_config *ret, struct err *err);

enum wire_app_state {
    WIRE_APP_PRE_START, /* the pre-start handler runs */
    WIRE_APP_RUNNING,   /* the main process runs; pid is set */
    WIRE_APP_POST_STOP, /* main has ended; the post-stop handler runs */
    WIRE_APP_EXITED,    /* all is over; status is set */
    WIRE_APP_FAILED,    /* could not be started; error is set */
    WIRE_APP_STATES
};

/* The "app" message: a change of one app's state. */
struct wire_app_event {
    char name[WIRE_NAME_MAX + 1];
    enum wire_app_state state;
    uint32_t pid;    /* guest PID of the main process, 0 when none */
    int exit_status; /* 0..255, or 128 + signal; of main, or of the handler that failed */
    int signal;      /* 0, or the signal that ended it */
    char error[512]; /* for WIRE_APP_FAILED: one sentence */
};

/* Names of the states as they stand in messages and in `status`. */
const char *wire_app_state_name(enum wire_app_state s);

json_t *wire_app_event_encode(const struct wire_app_event *e);
int wire_app_event_decode(json_t *msg, struct wire_app_event *ret, struct err *err);

/* What became of an isolator (spec/ace.md, "Isolators"); a later one is worse. */
enum wire_isolator_result {
    WIRE_ISOLATOR_ENFORCED,
    WIRE_ISOLATOR_MODIFIED, /* in force, but not to the letter; detail says how */
    WIRE_ISOLATOR_IGNORED,
    WIRE_ISOLATOR_RESULTS
};

#define WIRE_DETAIL_MAX 1023 /* bytes of the detail of a report */

/* The "report" message: one for each isolator of the pod and its apps, before any app starts. */
struct wire_report {
    char app[WIRE_NAME_MAX + 1]; /* "" for an isolator of the pod */
    char isolator[WIRE_NAME_MAX + 1];
    enum wire_isolator_result result;
    char detail[WIRE_DETAIL_MAX + 1]; /* "" when enforced as written */
};

const char *wire_isolator_result_name(enum wire_isolator_result r);

json_t *wire_report_encode(const struct wire_report *r);
int wire_report_decode(json_t *msg, struct wire_report *ret, struct err *err);

#define WIRE_STATUS_MAX 255 /* bytes of a status text */

/* The "notify" message: what an app has said by sd_notify(), whenever that changes. */
struct wire_notify {
    char app[WIRE_NAME_MAX + 1];
    bool ready;
    char status[WIRE_STATUS_MAX + 1]; /* "" when none was given */
};

json_t *wire_notify_encode(const struct wire_notify *n);
int wire_notify_decode(json_t *msg, struct wire_notify *ret, struct err *err);

/* A JSON string of a text that may not be UTF-8 (such bytes become '?'). */
json_t *wire_text(const char *s);

/* The other messages. Each returns a new object. */
json_t *wire_hello(const char *init_version, const char *kernel_release);
json_t *wire_stop(uint32_t grace_ms);            /* SIGTERM, grace, SIGKILL, post-stop */
json_t *wire_signal(const char *app, int signo); /* app NULL: all */
json_t *wire_log(const char *level, const char *app,
                 const char *text); /* level: info, warning, error */
json_t *wire_fatal(const char *text);
json_t *wire_end(void);
json_t *wire_stdio_header(const char *app, const char *stream); /* stdin, stdout, stderr */

/*
 * Name of a host volume on the virtio-fs device; `app` is set for a volume that only this app has.
 * Neither name has a dot (they are AC Names), so no two volumes have the same. Caller frees.
 */
char *wire_share_name(const char *app, const char *volume);

/* The "type" of a message, NULL when it has none. */
const char *wire_type(json_t *msg);

/* A string member of at most max bytes, NULL when absent, too long or of another type. */
const char *wire_string(json_t *msg, const char *key, size_t max);

/* Frames a message at the end of *out; -1 when it is larger than max. Does not consume msg. */
int wire_frame_add(struct buf *out, json_t *msg, size_t max, struct err *err);

/*
 * Takes the first whole frame off *in. Returns 1 with *ret_msg (caller
 * decrefs), 0 when more bytes are needed, -1 when the peer sent a frame
 * larger than max or one that is no JSON object (nesting is bounded by jansson).
 */
int wire_frame_take(struct buf *in, size_t max, json_t **ret_msg, struct err *err);

#endif
