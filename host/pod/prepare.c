/* SPDX-License-Identifier: Apache-2.0 */
/* Preparing a pod: reify its manifest, render its images, write its directory and launch plan. */
#include "host/pod/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/cli.h"
#include "host/paths.h"
#include "host/pod/accel.h"
#include "host/pod/apparmor.h"
#include "host/pod/docker.h"
#include "host/pod/hostvolume.h"
#include "host/pod/mdkey.h"
#include "host/pod/poddir.h"
#include "host/pod/podimage.h"
#include "host/pod/reify.h"
#include "host/pod/scratch.h"
#include "host/pod/size.h"

/* Ranges on the images disk begin at multiples of this. */
#define ROOT_ALIGN 4096
#define SECTOR     512

static void add_extent(struct plan *p, size_t *cap, struct plan_extent e)
{
    array_grow(&p->images, p->nimages, cap, sizeof(*p->images));
    p->images[p->nimages++] = e;
}

static void add_padding(struct plan *p, size_t *cap, uint64_t *offset)
{
    uint64_t pad = -*offset % ROOT_ALIGN;
    if (pad)
        add_extent(p, cap, (struct plan_extent){.fd = -1, .length = pad});
    *offset += pad;
}

/* Appends the flattened EROFS device of one image to the images disk. */
static int add_root(struct store *store, const char *id, struct plan *p, size_t *cap,
                    uint64_t *offset, struct err *err)
{
    cleanup_with(store_root_done) struct store_root root = {.index_fd = -1};
    struct aci_id aid;
    snprintf(aid.text, sizeof(aid.text), "%s", id);
    if (store_render(store, &aid, &root, err) < 0)
        return err_prefix(err, "image %.20s…", id);
    uint64_t start = *offset;
    add_extent(p, cap,
               (struct plan_extent){.fd = take_fd(root.index_fd), .length = root.index_length});
    for (size_t i = 0; i < root.nparts; i++)
        add_extent(
            p, cap,
            (struct plan_extent){.fd = take_fd(root.parts[i].fd), .length = root.parts[i].length});
    *offset += root.total;
    struct wire_config *c = &p->config;
    c->roots[c->nroots++] = (struct wire_root){.offset = start, .length = *offset - start};
    add_padding(p, cap, offset);
    return 0;
}

/* The policies lie behind the roots; bytes behind the end of a file read as zeros. */
static int add_profiles(const struct prepare_options *o, struct plan *p, size_t *cap,
                        uint64_t *offset, struct err *err)
{
    struct wire_config *c = &p->config;
    if (o->napparmor > WIRE_PROFILES_MAX)
        return err_set(err, 0, "a pod has at most %d files of AppArmor profiles",
                       WIRE_PROFILES_MAX);
    c->profiles = xcalloc(o->napparmor, sizeof(*c->profiles));
    for (size_t i = 0; i < o->napparmor; i++) {
        int fd;
        uint64_t len;
        if (apparmor_open(o->apparmor[i], &fd, &len, err) < 0)
            return -1;
        uint64_t sectors = (len + SECTOR - 1) / SECTOR * SECTOR;
        add_extent(p, cap, (struct plan_extent){.fd = fd, .length = sectors});
        c->profiles[c->nprofiles++] = (struct wire_profile){.offset = *offset, .length = len};
        *offset += sectors;
        add_padding(p, cap, offset);
    }
    return 0;
}

/* What rkt's users write on an image or an app that calls sd_notify(). */
#define NOTIFY_ANNOTATION "appc.io/executor/supports-systemd-notify"

/* What the app's annotations say counts before what the image's say, as everywhere (POD-21). */
static bool app_notifies(const struct ac_pod_app *app, const struct ac_image_manifest *image)
{
    const char *value = ac_pairs_get(&app->annotations, NOTIFY_ANNOTATION);
    if (!value)
        value = ac_pairs_get(&image->annotations, NOTIFY_ANNOTATION);
    return str_eq(value, "true");
}

static int app_stop_signal(const struct ac_pod_app *app, const struct ac_image_manifest *image)
{
    const char *text = docker_stop_signal(app, image);
    int number = text ? docker_signal(text) : 0;
    if (text && !number)
        cli_warn("app %s: the stop signal \"%.64s\" is none; it is stopped with SIGTERM", app->name,
                 text);
    return number;
}

/* What the guest has to know of an app beside the manifest. */
static int add_app(struct podimages *images, const struct ac_pod_app *app, unsigned root,
                   struct wire_config *c, struct err *err)
{
    struct reify_image image;
    if (podimages_resolve(images, app, &image, err) < 0)
        return -1;
    c->apps[c->napps++] = (struct wire_app){.name = xstrdup(app->name),
                                            .root = root,
                                            .notify = app_notifies(app, image.manifest),
                                            .stop_signal = app_stop_signal(app, image.manifest)};
    return 0;
}

/* One root for each different image, however many apps use it. */
static int add_roots(struct podimages *images, const struct ac_pod_manifest *pod,
                     const struct prepare_options *o, struct plan *p, struct err *err)
{
    struct wire_config *c = &p->config;
    uint64_t offset = 0;
    size_t cap = 0;
    c->roots = xcalloc(pod->napps, sizeof(*c->roots));
    c->apps = xcalloc(pod->napps, sizeof(*c->apps));
    for (size_t i = 0; i < pod->napps; i++) {
        const struct ac_pod_app *app = &pod->apps[i];
        unsigned root = (unsigned)c->nroots;
        for (size_t j = 0; j < i; j++)
            if (str_eq(pod->apps[j].image_id, app->image_id))
                root = c->apps[j].root;
        if (root == c->nroots && add_root(images->store, app->image_id, p, &cap, &offset, err) < 0)
            return -1;
        if (add_app(images, app, root, c, err) < 0)
            return -1;
    }
    return add_profiles(o, p, &cap, &offset, err);
}

static void list_from_image(const struct ac_pod_manifest *pod, struct wire_config *c)
{
    c->from_image = xcalloc(pod->nvolumes, sizeof(*c->from_image));
    for (size_t i = 0; i < pod->nvolumes; i++)
        if (pod->volumes[i].from_image)
            c->from_image[c->nfrom_image++] = (unsigned)i;
}

/* A file that all apps get a copy of. */
static int add_file(const char *option, const char *path, char **ret, struct err *err)
{
    cleanup_free char *text = NULL;
    size_t len;
    if (!path)
        return 0;
    if (read_file_at(AT_FDCWD, path, WIRE_FILE_MAX, &text, &len, err) < 0)
        return err_prefix(err, "%s", option);
    json_t *string = memchr(text, '\0', len) ? NULL : json_stringn(text, len);
    if (!string)
        return err_set(err, 0, "%s: %s is no text in UTF-8", option, path);
    json_decref(string);
    *ret = take_ptr(text);
    return 0;
}

static int write_manifest(int dir_fd, json_t *manifest, struct err *err)
{
    cleanup_free char *text = json_dumps(manifest, JSON_INDENT(2));
    if (!text)
        return err_set(err, 0, "the pod manifest can't be printed");
    return write_file_atomic_at(dir_fd, "pod", text, strlen(text), 0600, false, err);
}

/* ENV-03, C5: every pod has a metadata service, whose URL holds the pod's token (MDS-03). */
static int add_metadata(struct podimages *images, const struct ac_pod_manifest *pod,
                        const struct prepare_options *o, const char *uuid, struct plan *p,
                        struct err *err)
{
    uint8_t master[IDENTITY_MASTER_SIZE];
    char token[MDKEY_TOKEN_TEXT];
    cleanup_free struct bundle_image *texts = xcalloc(pod->napps, sizeof(*texts));
    for (size_t i = 0; i < pod->napps; i++) {
        struct reify_image image;
        if (podimages_resolve(images, &pod->apps[i], &image, err) < 0)
            return -1;
        texts[i] = (struct bundle_image){.manifest = image.text, .len = image.text_len};
    }
    if (mdkey_token(token, err) < 0 || mdkey_load(o->data_dir, o->key_file, true, master, err) < 0)
        return -1;
    int r = mdkey_bundle(uuid, token, master, pod, texts, &p->metadata_fd, err);
    explicit_bzero(master, sizeof(master));
    p->config.metadata_url =
        xasprintf("http://%s:%d/%s", WIRE_METADATA_ADDRESS, WIRE_METADATA_TCP_PORT, token);
    return r;
}

static int fill_plan(struct podimages *images, const struct ac_pod_manifest *pod,
                     const struct prepare_options *o, const char *uuid, struct plan *p,
                     struct err *err)
{
    struct wire_config *c = &p->config;
    struct accel accel;
    cleanup_free char *vmm = NULL;
    if (paths_companion("appc-supervisor", &vmm, err) < 0 ||
        size_cpus(pod, o->cpus, &p->cpus, err) < 0 ||
        size_memory(pod, o->memory, &p->memory, err) < 0 || add_roots(images, pod, o, p, err) < 0 ||
        add_file("--hosts-file", o->hosts_file, &c->hosts, err) < 0 ||
        add_file("--resolv-conf", o->resolv_conf, &c->resolv_conf, err) < 0 ||
        hostvolumes_open(pod, o->allow_symlinks, p, err) < 0 ||
        add_metadata(images, pod, o, uuid, p, err) < 0)
        return -1;
    if (o->scratch && scratch_open(o->data_dir, o->scratch, &p->scratch_fd, err) < 0)
        return -1;
    if (accel_choose(o->data_dir, o->accel, &accel, err) < 0)
        return -1;
    p->kvm_fd = accel.kvm_fd;
    p->qemu = accel.qemu;
    *strrchr(vmm, '/') = '\0';
    p->libexec = take_ptr(vmm);
    p->ownership = xstrdup(o->ownership);
    size_block(pod, &p->block_bytes, &p->block_requests);
    p->debug = o->debug;
    p->report_json = o->report_json;
    p->prefix_always = str_eq(o->prefix, "always");
    p->prefix_never = str_eq(o->prefix, "never");
    p->output_fd = o->detach ? -1 : STDOUT_FILENO;
    p->error_fd = o->detach ? -1 : STDERR_FILENO;
    c->uuid = xstrdup(uuid);
    c->hostname = o->hostname ? xstrdup(o->hostname) : xasprintf("appc-%.8s", uuid);
    c->manifest = ac_pod_manifest_to_json(pod);
    list_from_image(pod, c);
    c->scratch = o->scratch != 0;
    c->debug = o->debug;
    c->strict = o->strict;
    c->dry_run = o->dry_run;
    c->stop_on_exit = o->stop_on_exit;
    c->grace_ms = (uint32_t)o->grace_ms;
    return write_manifest(p->pod_dir_fd, c->manifest, err);
}

int prepare_pod(struct podimages *images, struct ac_pod_manifest *pod,
                const struct prepare_options *opts, char ret_uuid[AC_UUID_TEXT], struct plan *ret,
                struct err *err)
{
    struct reify_options ro = {.resolve = podimages_resolve,
                               .ctx = images,
                               .warn = cli_warn,
                               .strict_volumes = opts->strict_volumes};
    if (reify(pod, &ro, err) < 0)
        return -1;
    for (size_t i = 0; i < pod->nports; i++)
        cli_warn("port %s is not reachable from the host: pods have the loopback interface only",
                 pod->ports[i].name);
    *ret = (struct plan){.kvm_fd = -1, .scratch_fd = -1, .metadata_fd = -1, .ready_fd = -1};
    if (poddir_create(opts->data_dir, ret_uuid, &ret->pod_dir_fd, &ret->lock_fd, err) < 0)
        return -1;
    if (fill_plan(images, pod, opts, ret_uuid, ret, err) < 0) {
        close(ret->lock_fd);
        plan_done(ret);
        poddir_remove(opts->data_dir, ret_uuid, NULL);
        return -1;
    }
    return 0;
}

static void inherit(int fd)
{
    if (fd >= 0)
        set_cloexec(fd, false);
}

int prepare_exec(const struct plan *plan, struct err *err)
{
    json_t *doc = plan_encode(plan);
    cleanup_free char *text = json_dumps(doc, JSON_COMPACT);
    json_decref(doc);
    cleanup_close int fd = memfd_create("appc-plan", 0);
    if (!text || fd < 0 || write_all(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) != 0)
        return err_set(err, errno, "can't write the launch plan");
    inherit(plan->pod_dir_fd);
    inherit(plan->lock_fd);
    inherit(plan->kvm_fd);
    inherit(plan->scratch_fd);
    inherit(plan->metadata_fd);
    inherit(plan->ready_fd);
    for (size_t i = 0; i < plan->nimages; i++)
        inherit(plan->images[i].fd);
    for (size_t i = 0; i < plan->nshares; i++)
        inherit(plan->shares[i].fd);
    cleanup_free char *path = xasprintf("%s/appc-supervisor", plan->libexec);
    cleanup_free char *arg = xasprintf("%d", fd);
    execl(path, "appc-supervisor", arg, (char *)NULL);
    return err_set(err, errno, "can't start %s", path);
}
