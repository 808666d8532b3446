/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a pod manifest is ready to run. */
#include "schema/reified.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "schema/parse.h"
#include "schema/types.h"
#include "schema/value.h"

/* The paths of an app's mounts in their clean form. */
static void mount_paths(const struct ac_pod_app *a, struct ac_strings *ret)
{
    ret->v = xcalloc(a->nmounts + 1, sizeof(*ret->v));
    for (; ret->n < a->nmounts; ret->n++)
        ret->v[ret->n] = ac_path_clean(a->mounts[ret->n].path);
}

/* Every mount point of the app has a mount at its path (POD-07). */
static int check_mount_points(const struct node *app, const struct ac_pod_app *a)
{
    struct place at;
    size_t count;
    cleanup_with(ac_strings_done) struct ac_strings paths = {0};
    mount_paths(a, &paths);
    cleanup_free struct named *sorted = names_sort(paths.v, paths.n, sizeof(*paths.v));
    for (size_t i = 0; i < a->app.nmount_points; i++) {
        const struct ac_mount_point *mp = &a->app.mount_points[i];
        cleanup_free char *path = ac_path_clean(mp->path);
        if (!names_find(sorted, paths.n, path, &count))
            return node_fault(place_of(&at, app, "mountPoints", i, "path"),
                              "no volume is mounted at \"%.128s\" for mount point \"%.64s\"", path,
                              mp->name);
    }
    return 0;
}

static int check_app(const struct node *item, const struct ac_pod_app *a)
{
    struct node n, image, app;
    node_member(item, "image", &image);
    if (!a->image_id)
        return node_need(&image, "id", &n);
    if (node_need(item, "app", &app) < 0)
        return -1;
    if (a->app.exec.n == 0)
        return node_need(&app, "exec", &n);
    return check_mount_points(&app, a);
}

static int check_all(const struct node *root, const struct ac_pod_manifest *m)
{
    struct place at;
    struct node apps;
    if (node_need(root, "apps", &apps) < 0)
        return -1;
    if (m->napps == 0)
        return node_fault(&apps, "must not be empty");
    if (check_pod(root, m) < 0)
        return -1;
    for (size_t i = 0; i < m->napps; i++)
        if (check_app(place_of(&at, root, "apps", i, NULL), &m->apps[i]) < 0)
            return -1;
    return 0;
}

int ac_pod_manifest_check_reified(const struct ac_pod_manifest *m, struct ac_fault *fault)
{
    struct reader r = {.fault = fault};
    json_t *tree = ac_pod_manifest_to_json(m);
    struct node root = {.r = &r, .v = tree};
    int result = check_all(&root, m);
    json_decref(tree);
    return result;
}
