/* SPDX-License-Identifier: Apache-2.0 */
/* From the configuration to apps that are ready to start: disks, roots, groups, streams. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-init/apparmor.h"
#include "guest-init/cgroup.h"
#include "guest-init/disk.h"
#include "guest-init/early.h"
#include "guest-init/environ.h"
#include "guest-init/mnt.h"
#include "guest-init/pod.h"
#include "guest-init/vsock.h"

static int connect_metadata(void *ctx)
{
    struct err err;
    (void)ctx;
    return vsock_connect(WIRE_PORT_METADATA, false, &err);
}

/* Before any app runs, so that none can listen there in its place. */
static int serve_metadata(struct pod *p, struct err *err)
{
    if (!p->config.metadata_url)
        return 0;
    int fd = proxy_listen(err);
    if (fd < 0 || proxy_start(&p->metadata, &p->loop, fd, connect_metadata, NULL, err) < 0)
        return -1;
    proxy_warm_up(&p->metadata);
    return 0;
}

static int mount_scratch(struct pod *p, struct err *err)
{
    static const struct mnt_option tmpfs[] = {{"mode", "0755"}, {NULL, NULL}};
    if (!p->config.scratch)
        return mnt_at("tmpfs", tmpfs, 0, EARLY_SCRATCH, err);
    cleanup_free char *name = disk_find(WIRE_DISK_SCRATCH, err);
    if (!name)
        return -1;
    cleanup_free char *device = xasprintf("/dev/%s", name);
    const struct mnt_option ext4[] = {{"source", device}, {NULL, NULL}};
    return mnt_at("ext4", ext4, MOUNT_ATTR_NOATIME, EARLY_SCRATCH, err);
}

/* A block device for each root that an app uses. */
static int slice_images(struct pod *p, struct err *err)
{
    const struct wire_config *c = &p->config;
    if (c->nroots == 0)
        return 0;
    cleanup_free char *disk = disk_find(WIRE_DISK_IMAGES, err);
    if (!disk)
        return -1;
    p->devices = xcalloc(c->nroots, sizeof(*p->devices));
    for (size_t i = 0; i < c->nroots; i++) {
        p->devices[i] =
            disk_slice(disk, (unsigned)i + 1, c->roots[i].offset, c->roots[i].length, err);
        if (!p->devices[i])
            return err_prefix(err, "root %zu", i);
    }
    return 0;
}

static int load_profiles(struct pod *p, struct err *err)
{
    const struct wire_config *c = &p->config;
    if (c->nprofiles == 0)
        return 0;
    cleanup_free char *disk = disk_find(WIRE_DISK_IMAGES, err);
    if (!disk)
        return -1;
    for (size_t i = 0; i < c->nprofiles; i++)
        if (apparmor_load(disk, c->profiles[i].offset, c->profiles[i].length, err) < 0)
            return err_prefix(err, "AppArmor policy %zu", i + 1);
    return 0;
}

static void report_isolator(void *ctx, const char *isolator, enum wire_isolator_result result,
                            const char *detail)
{
    const struct app *a = ctx;
    struct wire_report r = {.result = result};
    snprintf(r.app, sizeof(r.app), "%s", a->name ? a->name : "");
    snprintf(r.isolator, sizeof(r.isolator), "%s", isolator);
    snprintf(r.detail, sizeof(r.detail), "%s", detail);
    if (result == WIRE_ISOLATOR_IGNORED && !a->pod->ignored.isolator[0])
        a->pod->ignored = r;
    control_send(&a->pod->control, wire_report_encode(&r));
}

static int isolate_pod(struct pod *p, struct err *err)
{
    struct app nobody = {.pod = p};
    cleanup_close int group = cgroup_open_pod(EARLY_CGROUP, err);
    if (group < 0)
        return -1;
    p->disks = disk_numbers();
    struct err refusal = {0};
    struct isolate_target target = {.scope = AC_SCOPE_POD,
                                    .cgroup = group,
                                    .isolation = &p->isolation,
                                    .disks = p->disks,
                                    .refusal = &refusal};
    if (isolate_apply(&p->manifest->isolators, &target, report_isolator, &nobody) < 0)
        return err_set(err, 0, "%s", refusal.msg);
    return 0;
}

static void warn_volume(void *ctx, const char *app_name, const char *text)
{
    pod_log(ctx, "warning", app_name, text);
}

static int build_root(struct pod *p, struct app *a, struct err *err)
{
    cleanup_free char *group = xasprintf(EARLY_CGROUP "/" CGROUP_POD "/%s", a->name);
    struct rootfs_spec spec = {
        .app_name = a->name,
        .device = p->devices[p->config.apps[a->index].root],
        .hostname = p->config.hostname,
        .hosts = p->config.hosts,
        .resolv_conf = p->config.resolv_conf,
        .cgroup = group,
        .user = a->spec->app.user,
        .group = a->spec->app.group,
        .volumes = &a->volumes,
        .read_only = a->spec->read_only_rootfs,
        .notify = p->config.apps[a->index].notify,
        .warn = warn_volume,
        .ctx = p,
    };
    return rootfs_build(&spec, p->init_ns, &a->rootfs, err);
}

static void stream_done(void *ctx)
{
    struct app *a = ctx;
    a->pod->streams--;
    pod_check_end(a->pod);
}

/* One pipe of the app and the pump that carries it to the host. */
static int open_stream(struct app *a, int which, struct err *err)
{
    static const char *const names[STREAMS] = {"stdout", "stderr"};
    cleanup_with(buf_free) struct buf header = {0};
    json_t *msg = wire_stdio_header(a->name, names[which]);
    int r = wire_frame_add(&header, msg, WIRE_GUEST_FRAME_MAX, err);
    json_decref(msg);
    int fds[2];
    if (r < 0)
        return -1;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_set(err, errno, "can't make a pipe for %s", names[which]);
    a->write_ends[which] = fds[1];
    cleanup_close int reader = fds[0];
    /* So that the app can open /dev/stdout again under its own identity. */
    if (fchown(fds[1], a->rootfs.identity.uid, a->rootfs.identity.gid) < 0)
        return err_set(err, errno, "can't hand over %s", names[which]);
    int sock = vsock_connect(WIRE_PORT_STDIO, false, err);
    if (sock < 0)
        return -1;
    a->pumps[which].on_done = stream_done;
    a->pumps[which].ctx = a;
    a->pod->streams++;
    return pump_start(&a->pumps[which], &a->pod->loop, take_fd(reader), sock, &header, err);
}

static void on_group_event(void *ctx, uint32_t events)
{
    struct app *a = ctx;
    (void)events;
    (void)cgroup_populated(a->cgroup_events); /* reading is what acknowledges the event */
    lifecycle_check(&a->pod->life, a->index);
    pod_check_end(a->pod);
}

static int make_group(struct pod *p, struct app *a, struct err *err)
{
    a->cgroup = cgroup_make_app(EARLY_CGROUP, a->name, &a->cgroup_events, err);
    if (a->cgroup < 0)
        return -1;
    a->events = (struct loop_source){.fd = -1, .fn = on_group_event, .ctx = a};
    if (loop_add(&p->loop, &a->events, a->cgroup_events, EPOLLPRI, err) < 0)
        return -1;
    struct err refusal = {0};
    struct isolate_target target = {.scope = AC_SCOPE_APP,
                                    .cgroup = a->cgroup,
                                    .isolation = &a->isolation,
                                    .disks = p->disks,
                                    .refusal = &refusal};
    if (isolate_apply(&a->spec->app.isolators, &target, report_isolator, a) < 0)
        return err_set(err, 0, "%s", refusal.msg);
    if (!a->isolation.apparmor && p->isolation.apparmor) /* the app's own one wins (ISO-34) */
        a->isolation.apparmor = xstrdup(p->isolation.apparmor);
    return 0;
}

static void init_app(struct pod *p, size_t i)
{
    struct app *a = &p->apps[i];
    *a = (struct app){.pod = p,
                      .index = i,
                      .name = p->manifest->apps[i].name,
                      .spec = &p->manifest->apps[i],
                      .rootfs = {.mntns = -1, .notify = -1},
                      .notify = {.fd = -1},
                      .cgroup = -1,
                      .cgroup_events = -1,
                      .write_ends = {-1, -1}};
    isolation_init(&a->isolation);
    for (int k = 0; k < PROC_KINDS; k++)
        a->processes[k] = (struct app_process){
            .pod = p, .app = i, .kind = (enum proc_kind)k, .process = {.started = -1}};
    p->lc_apps[i] = (struct lc_app){.name = a->name,
                                    .has_pre_start = a->spec->app.pre_start.n > 0,
                                    .has_post_stop = a->spec->app.post_stop.n > 0,
                                    .main_first = p->config.apps[i].stop_signal != 0};
}

void pod_hear(struct app *a)
{
    struct wire_notify n = {.ready = false};
    if (a->rootfs.notify < 0 || !notify_receive(a->rootfs.notify, &a->notified))
        return;
    snprintf(n.app, sizeof(n.app), "%s", a->name);
    n.ready = a->notified.ready;
    memcpy(n.status, a->notified.status, sizeof(n.status));
    control_send(&a->pod->control, wire_notify_encode(&n));
    a->notify_again = a->pod->life.ops->now(a->pod) + NOTIFY_INTERVAL_MS;
    loop_mod(&a->pod->loop, &a->notify, 0);
}

static void on_notify(void *ctx, uint32_t events)
{
    (void)events;
    pod_hear(ctx);
}

static int open_notify(struct app *a, struct err *err)
{
    if (a->rootfs.notify < 0)
        return 0;
    a->notify = (struct loop_source){.fd = -1, .fn = on_notify, .ctx = a};
    return loop_add(&a->pod->loop, &a->notify, a->rootfs.notify, EPOLLIN, err);
}

static int set_up_app(struct pod *p, struct app *a, struct err *err)
{
    if (!a->spec->has_app || a->spec->app.exec.n == 0)
        return err_set(err, 0, "app \"%s\" has nothing to execute", a->name);
    if (volume_plan_make(p->manifest, a->spec, &a->volumes, err) < 0 || make_group(p, a, err) < 0 ||
        build_root(p, a, err) < 0 || listen_open(p->manifest, &a->spec->app, &a->sockets, err) < 0)
        return err_prefix(err, "app \"%s\"", a->name);
    a->env = env_build(&a->spec->app, a->name, p->config.metadata_url, &a->rootfs.identity);
    if (a->rootfs.notify >= 0)
        a->env = env_set(a->env, "NOTIFY_SOCKET", NOTIFY_PATH);
    if (open_notify(a, err) < 0)
        return -1;
    for (int s = 0; s < STREAMS; s++) {
        if (open_stream(a, s, err) < 0)
            return err_prefix(err, "app \"%s\"", a->name);
    }
    return 0;
}

/* The manifest and the host's list of apps have to agree. */
static int check_apps(struct pod *p, struct err *err)
{
    if (p->manifest->napps != p->config.napps || p->config.napps == 0)
        return err_set(err, 0, "the configuration lists %zu apps, the manifest %zu",
                       p->config.napps, p->manifest->napps);
    for (size_t i = 0; i < p->config.napps; i++) {
        if (!str_eq(p->manifest->apps[i].name, p->config.apps[i].name))
            return err_set(err, 0,
                           "app %zu is \"%s\" in the configuration and \"%s\" in the manifest", i,
                           p->config.apps[i].name, p->manifest->apps[i].name);
    }
    return 0;
}

static int mark_from_image(struct pod *p, struct err *err)
{
    for (size_t i = 0; i < p->config.nfrom_image; i++) {
        unsigned n = p->config.from_image[i];
        if (n >= p->manifest->nvolumes || p->manifest->volumes[n].kind != AC_VOLUME_EMPTY)
            return err_set(err, 0, "the configuration knows an empty volume %u, the manifest not",
                           n);
        p->manifest->volumes[n].from_image = true;
    }
    return 0;
}

static int decode(struct pod *p, json_t *msg, struct err *err)
{
    struct ac_fault fault;
    if (wire_config_decode(msg, &p->config, err) < 0)
        return -1;
    if (ac_pod_manifest_from_json(p->config.manifest, false, &p->manifest, &fault) < 0) {
        ac_fault_to_err(&fault, "pod manifest", err);
        return -1;
    }
    return check_apps(p, err) < 0 || mark_from_image(p, err) < 0 ? -1 : 0;
}

int pod_configure(struct pod *p, json_t *msg, struct err *err)
{
    if (decode(p, msg, err) < 0)
        return -1;
    const char *host = p->config.hostname;
    if (sethostname(host, strlen(host)) < 0)
        return err_set(err, errno, "can't set the host name to \"%s\"", host);
    if (early_clock(p->config.clock_ns, err) < 0 || serve_metadata(p, err) < 0 ||
        mount_scratch(p, err) < 0 || slice_images(p, err) < 0 || load_profiles(p, err) < 0 ||
        isolate_pod(p, err) < 0)
        return -1;
    size_t n = p->manifest->napps;
    p->apps = xcalloc(n, sizeof(*p->apps));
    p->lc_apps = xcalloc(n, sizeof(*p->lc_apps));
    for (size_t i = 0; i < n; i++)
        init_app(p, i);
    for (size_t i = 0; i < n; i++) {
        if (set_up_app(p, &p->apps[i], err) < 0)
            return -1;
    }
    const struct wire_report *bad = &p->ignored;
    if (p->config.strict && bad->isolator[0])
        return err_set(err, 0, "%s%s: %s would be ignored (%s), which --strict refuses",
                       bad->app[0] ? "app " : "pod", bad->app, bad->isolator, bad->detail);
    p->life = (struct lifecycle){.ops = &pod_lifecycle_ops,
                                 .ctx = p,
                                 .apps = p->lc_apps,
                                 .napps = n,
                                 .stop_on_exit = p->config.stop_on_exit,
                                 .grace_ms = p->config.grace_ms};
    return 0;
}
