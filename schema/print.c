/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests back to JSON: what differs from the defaults, in the order of the specification. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "schema/manifest.h"
#include "schema/utf8.h"

static void put(json_t *obj, const char *name, json_t *value)
{
    if (!value || json_object_set_new_nocheck(obj, name, value) < 0)
        die_oom();
}

static void append(json_t *list, json_t *value)
{
    if (!value || json_array_append_new(list, value) < 0)
        die_oom();
}

/*
 * Bytes that are not UTF-8 can come from a command line only. They have no
 * place in JSON and become U+FFFD, so that no member goes missing.
 */
static json_t *lossy_string(const char *s)
{
    cleanup_with(buf_free) struct buf b = {0};
    while (*s) {
        size_t n = utf8_char(s);
        if (n)
            buf_add(&b, s, n);
        else
            buf_adds(&b, "\xef\xbf\xbd");
        s += n ? n : 1;
    }
    return json_stringn_nocheck(b.data, b.len);
}

static json_t *string(const char *s)
{
    json_t *v = json_string(s);
    return v ? v : lossy_string(s);
}

static void put_string(json_t *obj, const char *name, const char *s)
{
    if (s)
        put(obj, name, string(s));
}

static void put_true(json_t *obj, const char *name, bool value)
{
    if (value)
        put(obj, name, json_true());
}

static void put_strings(json_t *obj, const char *name, const struct ac_strings *s)
{
    if (s->n == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++)
        append(list, string(s->v[i]));
    put(obj, name, list);
}

static void put_pair_list(json_t *obj, const char *name, const struct ac_pairs *p, bool always)
{
    if (p->n == 0 && !always)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < p->n; i++) {
        json_t *pair = json_object();
        put_string(pair, "name", p->v[i].name);
        put_string(pair, "value", p->v[i].value);
        append(list, pair);
    }
    put(obj, name, list);
}

/* Keys are free strings here. */
static void put_pair_object(json_t *obj, const char *name, const struct ac_pairs *p)
{
    if (p->n == 0)
        return;
    json_t *map = json_object();
    for (size_t i = 0; i < p->n; i++) {
        json_t *key = string(p->v[i].name);
        put(map, json_string_value(key), string(p->v[i].value));
        json_decref(key);
    }
    put(obj, name, map);
}

static void put_isolators(json_t *obj, const struct ac_isolators *l)
{
    if (l->n == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < l->n; i++) {
        json_t *iso = json_object();
        put_string(iso, "name", l->v[i].name);
        put(iso, "value", json_incref(l->v[i].value));
        append(list, iso);
    }
    put(obj, "isolators", list);
}

static void put_gids(json_t *obj, const struct ac_app *a)
{
    if (a->nsupplementary_gids == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < a->nsupplementary_gids; i++)
        append(list, json_integer(a->supplementary_gids[i]));
    put(obj, "supplementaryGIDs", list);
}

static void append_handler(json_t *list, const char *name, const struct ac_strings *exec)
{
    if (exec->n == 0)
        return;
    json_t *handler = json_object();
    put_string(handler, "name", name);
    put_strings(handler, "exec", exec);
    append(list, handler);
}

static void put_handlers(json_t *obj, const struct ac_app *a)
{
    if (a->pre_start.n == 0 && a->post_stop.n == 0)
        return;
    json_t *list = json_array();
    append_handler(list, "pre-start", &a->pre_start);
    append_handler(list, "post-stop", &a->post_stop);
    put(obj, "eventHandlers", list);
}

static void put_mount_points(json_t *obj, const struct ac_app *a)
{
    if (a->nmount_points == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < a->nmount_points; i++) {
        json_t *point = json_object();
        put_string(point, "name", a->mount_points[i].name);
        put_string(point, "path", a->mount_points[i].path);
        put_true(point, "readOnly", a->mount_points[i].read_only);
        append(list, point);
    }
    put(obj, "mountPoints", list);
}

static json_t *port_json(const struct ac_port *p)
{
    json_t *port = json_object();
    put_string(port, "name", p->name);
    put_string(port, "protocol", p->protocol);
    put(port, "port", json_integer(p->port));
    if (p->count != 1)
        put(port, "count", json_integer(p->count));
    put_true(port, "socketActivated", p->socket_activated);
    return port;
}

static void put_ports(json_t *obj, const struct ac_app *a)
{
    if (a->nports == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < a->nports; i++)
        append(list, port_json(&a->ports[i]));
    put(obj, "ports", list);
}

static json_t *app_json(const struct ac_app *a)
{
    json_t *app = json_object();
    put_strings(app, "exec", &a->exec);
    put_string(app, "user", a->user);
    put_string(app, "group", a->group);
    put_gids(app, a);
    put_handlers(app, a);
    if (a->working_directory && strcmp(a->working_directory, "/") != 0)
        put_string(app, "workingDirectory", a->working_directory);
    put_pair_list(app, "environment", &a->environment, false);
    put_isolators(app, &a->isolators);
    put_mount_points(app, a);
    put_ports(app, a);
    put_pair_object(app, "userAnnotations", &a->user_annotations);
    put_pair_object(app, "userLabels", &a->user_labels);
    return app;
}

static void put_dependencies(json_t *obj, const struct ac_image_manifest *m)
{
    if (m->ndependencies == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < m->ndependencies; i++) {
        const struct ac_dependency *d = &m->dependencies[i];
        json_t *dep = json_object();
        put_string(dep, "imageName", d->image_name);
        put_string(dep, "imageID", d->image_id);
        put_pair_list(dep, "labels", &d->labels, false);
        if (d->has_size)
            put(dep, "size", json_integer((json_int_t)d->size));
        append(list, dep);
    }
    put(obj, "dependencies", list);
}

json_t *ac_image_manifest_to_json(const struct ac_image_manifest *m)
{
    json_t *root = json_object();
    put_string(root, "acKind", "ImageManifest");
    put_string(root, "acVersion", m->ac_version);
    put_string(root, "name", m->name);
    put_pair_list(root, "labels", &m->labels, false);
    if (m->has_app)
        put(root, "app", app_json(&m->app));
    put_dependencies(root, m);
    put_strings(root, "pathWhitelist", &m->path_whitelist);
    put_pair_list(root, "annotations", &m->annotations, false);
    return root;
}

static void put_empty_volume(json_t *obj, const struct ac_volume *v)
{
    char mode[16];
    snprintf(mode, sizeof(mode), "%04o", v->mode);
    put_string(obj, "mode", mode);
    put(obj, "uid", json_integer(v->uid));
    put(obj, "gid", json_integer(v->gid));
}

static json_t *volume_json(const struct ac_volume *v)
{
    json_t *obj = json_object();
    put_string(obj, "name", v->name);
    put_string(obj, "kind", v->kind == AC_VOLUME_HOST ? "host" : "empty");
    put_true(obj, "readOnly", v->read_only);
    if (v->kind == AC_VOLUME_EMPTY) {
        put_empty_volume(obj, v);
        return obj;
    }
    put_string(obj, "source", v->source);
    if (!v->recursive)
        put(obj, "recursive", json_false());
    return obj;
}

static json_t *pod_image_json(const struct ac_pod_app *a)
{
    json_t *image = json_object();
    put_string(image, "id", a->image_id);
    put_string(image, "name", a->image_name);
    put_pair_list(image, "labels", &a->image_labels, false);
    return image;
}

static void put_mounts(json_t *obj, const struct ac_pod_app *a)
{
    if (a->nmounts == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < a->nmounts; i++) {
        json_t *mount = json_object();
        put_string(mount, "volume", a->mounts[i].volume);
        put_string(mount, "path", a->mounts[i].path);
        if (a->mounts[i].has_app_volume)
            put(mount, "appVolume", volume_json(&a->mounts[i].app_volume));
        append(list, mount);
    }
    put(obj, "mounts", list);
}

static json_t *pod_app_json(const struct ac_pod_app *a)
{
    json_t *obj = json_object();
    put_string(obj, "name", a->name);
    put(obj, "image", pod_image_json(a));
    if (a->has_app)
        put(obj, "app", app_json(&a->app));
    put_true(obj, "readOnlyRootFS", a->read_only_rootfs);
    put_mounts(obj, a);
    put_pair_list(obj, "annotations", &a->annotations, false);
    return obj;
}

static void put_pod_ports(json_t *obj, const struct ac_pod_manifest *m)
{
    if (m->nports == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < m->nports; i++) {
        json_t *port = json_object();
        put_string(port, "name", m->ports[i].name);
        put(port, "hostPort", json_integer(m->ports[i].host_port));
        put_string(port, "hostIP", m->ports[i].host_ip);
        if (m->ports[i].has_pod_port)
            put(port, "podPort", port_json(&m->ports[i].pod_port));
        append(list, port);
    }
    put(obj, "ports", list);
}

json_t *ac_pod_manifest_to_json(const struct ac_pod_manifest *m)
{
    json_t *root = json_object(), *apps = json_array(), *volumes = json_array();
    for (size_t i = 0; i < m->napps; i++)
        append(apps, pod_app_json(&m->apps[i]));
    for (size_t i = 0; i < m->nvolumes; i++)
        append(volumes, volume_json(&m->volumes[i]));
    put_string(root, "acVersion", m->ac_version);
    put_string(root, "acKind", "PodManifest");
    put(root, "apps", apps);
    if (m->nvolumes)
        put(root, "volumes", json_incref(volumes));
    json_decref(volumes);
    put_isolators(root, &m->isolators);
    put_pair_list(root, "annotations", &m->annotations, true);
    put_pod_ports(root, m);
    put_pair_object(root, "userAnnotations", &m->user_annotations);
    put_pair_object(root, "userLabels", &m->user_labels);
    return root;
}
