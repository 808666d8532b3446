/* SPDX-License-Identifier: Apache-2.0 */
/* Reification: from a pod manifest template to a pod that can run. */
#include "host/pod/reify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/pod/docker.h"
#include "schema/reified.h"
#include "schema/types.h"

static void replace(char **p, const char *value)
{
    free(*p);
    *p = xstrdup(value);
}

/* IMG-30, IMG-33: os and arch describe the system call interface; absent means any. */
static int check_platform(const struct ac_pod_app *app, const struct ac_image_manifest *im,
                          struct err *err)
{
    const char *os = ac_pairs_get(&im->labels, "os");
    const char *arch = ac_pairs_get(&im->labels, "arch");
    if (os && !str_eq(os, "linux"))
        return err_set(err, 0, "app %s: image %s is for %s; a pod runs Linux", app->name, im->name,
                       os);
    if (os && arch && !str_eq(arch, "amd64") && !str_eq(arch, "i386"))
        return err_set(err, 0, "app %s: image %s is for %s/%s; this machine runs linux/amd64",
                       app->name, im->name, os, arch);
    return 0;
}

/* POD-14: what the manifest says of the image beside its ID has to be true. */
static int check_agreement(const struct ac_pod_app *app, const struct ac_image_manifest *im,
                           struct err *err)
{
    if (app->image_name && !str_eq(app->image_name, im->name))
        return err_set(err, 0, "app %s: image %.20s… is called %s, not %s", app->name,
                       app->image_id, im->name, app->image_name);
    for (size_t i = 0; i < app->image_labels.n; i++) {
        const struct ac_pair *want = &app->image_labels.v[i];
        const char *has = ac_pairs_get(&im->labels, want->name);
        if (!str_eq(has, want->value))
            return err_set(err, 0, "app %s: label %s of image %s is %s, not \"%s\"", app->name,
                           want->name, im->name, has ? has : "absent", want->value);
    }
    return 0;
}

static int take_image(struct ac_pod_app *app, const struct reify_options *opts,
                      bool *ret_from_docker, struct err *err)
{
    struct reify_image image;
    if (opts->resolve(opts->ctx, app, &image, err) < 0)
        return err_prefix(err, "app %s", app->name);
    replace(&app->image_id, image.id);
    if (check_agreement(app, image.manifest, err) < 0 ||
        check_platform(app, image.manifest, err) < 0)
        return -1;
    if (!app->image_name)
        app->image_name = xstrdup(image.manifest->name);
    if (!app->has_app && image.manifest->has_app) {
        ac_app_copy(&app->app, &image.manifest->app);
        app->has_app = true;
    }
    if (!app->has_app || app->app.exec.n == 0)
        return err_set(err, 0,
                       "app %s: image %s says nothing about what to execute; give an app object "
                       "in the pod manifest, or --exec",
                       app->name, image.manifest->name);
    *ret_from_docker = docker_made(image.manifest);
    return 0;
}

static struct ac_volume *find_volume(struct ac_pod_manifest *pod, const char *name)
{
    for (size_t i = 0; i < pod->nvolumes; i++)
        if (str_eq(pod->volumes[i].name, name))
            return &pod->volumes[i];
    return NULL;
}

static bool is_mounted(const struct ac_pod_app *app, const struct ac_mount_point *mp)
{
    for (size_t i = 0; i < app->nmounts; i++)
        if (str_eq(app->mounts[i].path, mp->path))
            return true;
    return false;
}

static void add_mount(struct ac_pod_app *app, const char *volume, const char *path)
{
    app->mounts = xreallocarray(app->mounts, app->nmounts + 1, sizeof(*app->mounts));
    app->mounts[app->nmounts++] =
        (struct ac_mount){.volume = xstrdup(volume), .path = xstrdup(path)};
}

/* An AC Name that no volume of the pod has yet. */
static char *new_volume_name(struct ac_pod_manifest *pod, const char *app, const char *mount_point)
{
    char *name = xasprintf("%s-%s", app, mount_point);
    for (unsigned i = 2; find_volume(pod, name); i++) {
        free(name);
        name = xasprintf("%s-%s-%u", app, mount_point, i);
    }
    return name;
}

/*
 * Apps of OCI and Docker images count on a volume that begins with what the image has there; the
 * specification knows nothing of that, and for its own images an empty volume is empty.
 */
static void add_empty_volume(struct ac_pod_manifest *pod, struct ac_pod_app *app,
                             const struct ac_mount_point *mp, bool from_image)
{
    char *name = new_volume_name(pod, app->name, mp->name);
    pod->volumes = xreallocarray(pod->volumes, pod->nvolumes + 1, sizeof(*pod->volumes));
    pod->volumes[pod->nvolumes++] = (struct ac_volume){.name = name,
                                                       .kind = AC_VOLUME_EMPTY,
                                                       .recursive = true,
                                                       .mode = 0755,
                                                       .from_image = from_image};
    add_mount(app, name, mp->path);
}

/* POD-07, POD-20: a mount at the path satisfies a mount point; else a volume of the same name does.
 */
static int satisfy_mount_points(struct ac_pod_manifest *pod, struct ac_pod_app *app,
                                const struct reify_options *opts, bool from_docker, struct err *err)
{
    for (size_t i = 0; i < app->app.nmount_points; i++) {
        const struct ac_mount_point *mp = &app->app.mount_points[i];
        if (is_mounted(app, mp))
            continue;
        if (find_volume(pod, mp->name)) {
            add_mount(app, mp->name, mp->path);
            continue;
        }
        if (opts->strict_volumes)
            return err_set(err, 0, "app %s: no volume for mount point %s at %s", app->name,
                           mp->name, mp->path);
        opts->warn("app %s: no volume for mount point %s at %s; it gets %s", app->name, mp->name,
                   mp->path, from_docker ? "one with what the image has there" : "an empty one");
        add_empty_volume(pod, app, mp, from_docker);
    }
    return 0;
}

int reify(struct ac_pod_manifest *pod, const struct reify_options *opts, struct err *err)
{
    replace(&pod->ac_version, AC_VERSION);
    for (size_t i = 0; i < pod->napps; i++) {
        struct ac_pod_app *app = &pod->apps[i];
        bool from_docker = false;
        if (take_image(app, opts, &from_docker, err) < 0 ||
            satisfy_mount_points(pod, app, opts, from_docker, err) < 0)
            return -1;
    }
    struct ac_fault fault;
    if (ac_pod_manifest_check_reified(pod, &fault) < 0) {
        ac_fault_to_err(&fault, "the pod manifest with its images", err);
        return -1;
    }
    return 0;
}

static bool app_name_taken(const struct ac_pod_manifest *pod, const char *name)
{
    for (size_t i = 0; i < pod->napps; i++)
        if (str_eq(pod->apps[i].name, name))
            return true;
    return false;
}

char *reify_app_name(const struct ac_pod_manifest *pod, const char *image_name)
{
    const char *slash = strrchr(image_name, '/');
    cleanup_free char *base = ac_name_sanitise(slash ? slash + 1 : image_name);
    if (!base)
        base = xstrdup("app");
    char *name = xstrdup(base);
    for (unsigned i = 2; app_name_taken(pod, name); i++) {
        free(name);
        name = xasprintf("%s-%u", base, i);
    }
    return name;
}
