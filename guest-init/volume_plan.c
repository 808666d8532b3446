/* SPDX-License-Identifier: Apache-2.0 */
/* Which volume goes where in an app: mounts and mount points against the pod's volumes. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-init/inroot.h"
#include "guest-init/volumes.h"
#include "wire/wire.h"

void volume_plan_done(struct volume_plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].path);
        free(p->v[i].store);
        free(p->v[i].share);
    }
    free(p->v);
    *p = (struct volume_plan){0};
}

static const struct ac_volume *pod_volume(const struct ac_pod_manifest *pod, const char *name)
{
    for (size_t i = 0; i < pod->nvolumes; i++) {
        if (str_eq(pod->volumes[i].name, name))
            return &pod->volumes[i];
    }
    return NULL;
}

/* Whether the app's mount point of this path asks for read-only. */
static bool mount_point_read_only(const struct ac_app *app, const char *path)
{
    for (size_t i = 0; i < app->nmount_points; i++) {
        const struct ac_mount_point *mp = &app->mount_points[i];
        cleanup_free char *mp_path = path_clean(mp->path);
        if (mp_path && str_eq(mp_path, path))
            return mp->read_only;
    }
    return false;
}

static bool hides_system(const char *path)
{
    static const char *const system[] = {"/proc", "/sys", "/dev"};
    if (str_eq(path, "/"))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(system); i++) {
        if (str_eq(path, system[i]))
            return true;
    }
    return str_starts(path, "/proc/") || str_starts(path, "/sys/");
}

/* Adds one line to the plan; takes over `store`. `app` is set for a volume of its own. */
static int add(struct volume_plan *p, const struct ac_volume *volume, const char *name,
               const char *path, bool read_only, char *store, const char *app, struct err *err)
{
    struct volume_mount *m = &p->v[p->n];
    bool host = volume && volume->kind == AC_VOLUME_HOST;
    *m = (struct volume_mount){.volume = volume,
                               .name = name,
                               .path = path_clean(path),
                               .store = store,
                               .share = host ? wire_share_name(app, volume->name) : NULL,
                               .read_only = read_only || (volume && volume->read_only)};
    p->n++;
    if (!m->path)
        return err_set(err, 0, "volume \"%s\": the target \"%s\" is not an absolute path", name,
                       path);
    if (hides_system(m->path))
        return err_set(err, 0, "volume \"%s\": a mount at %s would hide what every app has there",
                       name, m->path);
    for (size_t i = 0; i + 1 < p->n; i++) {
        if (paths_overlap(p->v[i].path, m->path))
            return err_set(err, 0, "the targets of volumes \"%s\" (%s) and \"%s\" (%s) overlap",
                           p->v[i].name, p->v[i].path, name, m->path);
    }
    return 0;
}

static char *pod_store(const char *volume)
{
    return xasprintf("pod/%s", volume);
}

static char *app_store(const struct ac_pod_app *app, const char *volume)
{
    return xasprintf("app/%s/%s", app->name, volume);
}

static int add_mount(struct volume_plan *p, const struct ac_pod_manifest *pod,
                     const struct ac_pod_app *app, const struct ac_mount *mount, struct err *err)
{
    cleanup_free char *path = path_clean(mount->path);
    bool ro = path && mount_point_read_only(&app->app, path);
    if (mount->has_app_volume)
        return add(p, &mount->app_volume, mount->app_volume.name, mount->path, ro,
                   app_store(app, mount->app_volume.name), app->name, err);
    const struct ac_volume *v = pod_volume(pod, mount->volume);
    if (!v)
        return err_set(err, 0, "a mount at %s names volume \"%s\", which the pod doesn't have",
                       mount->path, mount->volume);
    return add(p, v, v->name, mount->path, ro, pod_store(v->name), NULL, err);
}

static bool has_target(const struct volume_plan *p, const char *path)
{
    for (size_t i = 0; i < p->n; i++) {
        if (str_eq(p->v[i].path, path))
            return true;
    }
    return false;
}

static int add_mount_point(struct volume_plan *p, const struct ac_pod_manifest *pod,
                           const struct ac_pod_app *app, const struct ac_mount_point *mp,
                           struct err *err)
{
    cleanup_free char *path = path_clean(mp->path);
    if (path && has_target(p, path))
        return 0;
    const struct ac_volume *v = pod_volume(pod, mp->name);
    char *store = v ? pod_store(mp->name) : app_store(app, mp->name);
    return add(p, v, mp->name, mp->path, mp->read_only, store, NULL, err);
}

int volume_plan_make(const struct ac_pod_manifest *pod, const struct ac_pod_app *app,
                     struct volume_plan *ret, struct err *err)
{
    size_t max = app->nmounts + app->app.nmount_points;
    cleanup_with(volume_plan_done) struct volume_plan p = {.v = xcalloc(max + 1, sizeof(*p.v))};
    for (size_t i = 0; i < app->nmounts; i++) {
        if (add_mount(&p, pod, app, &app->mounts[i], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < app->app.nmount_points; i++) {
        if (add_mount_point(&p, pod, app, &app->app.mount_points[i], err) < 0)
            return -1;
    }
    *ret = p;
    p = (struct volume_plan){0};
    return 0;
}
