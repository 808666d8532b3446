/* SPDX-License-Identifier: Apache-2.0 */
/* The app object and the objects in it (spec/aci.md, "Image Manifest Schema"). */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "schema/parse.h"
#include "schema/value.h"

#define PORT_MAX 65535
/* What setgroups(2) takes. */
#define SUPPLEMENTARY_GIDS_MAX 65536

int parse_mount_point(const struct node *obj, struct ac_mount_point *ret)
{
    if (node_is_object(obj) < 0 || parse_ac_name(obj, "name", &ret->name) < 0 ||
        parse_absolute_path(obj, "path", &ret->path) < 0)
        return -1;
    return node_opt_bool(obj, "readOnly", &ret->read_only);
}

/* A count of 0 is read as 1, as the reference code does (APP-29). */
static int parse_port_range(const struct node *obj, struct ac_port *ret)
{
    struct node n;
    int64_t port, count = 1;
    if (node_need(obj, "port", &n) < 0 || node_int(&n, 1, PORT_MAX, &port) < 0 ||
        node_opt_int(obj, "count", 0, PORT_MAX, &count) < 0)
        return -1;
    if (count == 0)
        count = 1;
    if (port + count - 1 > PORT_MAX) {
        node_member(obj, "count", &n);
        return node_fault(&n, "%lld ports from %lld on go beyond %d", (long long)count,
                          (long long)port, PORT_MAX);
    }
    ret->port = (uint32_t)port;
    ret->count = (uint32_t)count;
    return 0;
}

int parse_port(const struct node *obj, struct ac_port *ret)
{
    struct node n;
    if (node_is_object(obj) < 0 || parse_ac_name(obj, "name", &ret->name) < 0 ||
        node_need_string(obj, "protocol", &ret->protocol) < 0)
        return -1;
    if (!*ret->protocol) {
        node_member(obj, "protocol", &n);
        return node_fault(&n, "must not be empty");
    }
    if (parse_port_range(obj, ret) < 0)
        return -1;
    return node_opt_bool(obj, "socketActivated", &ret->socket_activated);
}

static int parse_mount_point_item(const struct node *item, void *ctx)
{
    struct ac_app *app = ctx;
    return parse_mount_point(
        item, list_add(&app->mount_points, &app->nmount_points, sizeof(*app->mount_points)));
}

static int parse_port_item(const struct node *item, void *ctx)
{
    struct ac_app *app = ctx;
    return parse_port(item, list_add(&app->ports, &app->nports, sizeof(*app->ports)));
}

static int parse_gid(const struct node *item, void *ctx)
{
    struct ac_app *app = ctx;
    int64_t gid;
    if (node_int(item, 0, UINT32_MAX - 1, &gid) < 0)
        return -1;
    if (app->nsupplementary_gids == SUPPLEMENTARY_GIDS_MAX)
        return node_fault(item, "more than %d groups", SUPPLEMENTARY_GIDS_MAX);
    uint32_t *e = list_add(&app->supplementary_gids, &app->nsupplementary_gids, sizeof(uint32_t));
    *e = (uint32_t)gid;
    return 0;
}

static int parse_handler(const struct node *item, void *ctx)
{
    struct ac_app *app = ctx;
    struct node name, exec;
    const char *s;
    if (node_is_object(item) < 0 || node_need(item, "name", &name) < 0 ||
        node_string(&name, &s) < 0)
        return -1;
    struct ac_strings *ret = strcmp(s, "pre-start") == 0   ? &app->pre_start
                             : strcmp(s, "post-stop") == 0 ? &app->post_stop
                                                           : NULL;
    if (!ret)
        return node_fault(&name, "must be \"pre-start\" or \"post-stop\", not \"%.64s\"", s);
    if (ret->n)
        return node_fault(&name, "\"%s\" is given twice", s);
    if (node_need(item, "exec", &exec) < 0 || node_each(&exec, parse_string_item, ret) < 0)
        return -1;
    return ret->n ? 0 : node_fault(&exec, "must not be empty");
}

static int parse_principal(const struct node *obj, const char *name, char **ret)
{
    struct node n;
    const char *s;
    if (node_need(obj, name, &n) < 0 || node_string(&n, &s) < 0)
        return -1;
    if (!*s)
        return node_fault(&n, "must not be empty");
    *ret = xstrdup(s);
    return 0;
}

/* An empty string means the default, as in the reference code. */
static int parse_working_directory(const struct node *obj, char **ret)
{
    struct node n;
    const char *s = "/";
    if (node_member(obj, "workingDirectory", &n) && node_string(&n, &s) < 0)
        return -1;
    if (*s && *s != '/')
        return node_fault(&n, "\"%.128s\" is not an absolute path", s);
    *ret = xstrdup(*s ? s : "/");
    return 0;
}

int parse_app(const struct node *obj, struct ac_app *ret)
{
    if (node_is_object(obj) < 0 || parse_strings(obj, "exec", &ret->exec) < 0 ||
        parse_principal(obj, "user", &ret->user) < 0 ||
        parse_principal(obj, "group", &ret->group) < 0 ||
        node_opt_each(obj, "supplementaryGIDs", parse_gid, ret) < 0 ||
        node_opt_each(obj, "eventHandlers", parse_handler, ret) < 0 ||
        parse_working_directory(obj, &ret->working_directory) < 0 ||
        parse_environment(obj, &ret->environment) < 0 ||
        parse_isolators(obj, &ret->isolators) < 0 ||
        node_opt_each(obj, "mountPoints", parse_mount_point_item, ret) < 0 ||
        node_opt_each(obj, "ports", parse_port_item, ret) < 0 ||
        parse_user_data(obj, &ret->user_annotations, &ret->user_labels) < 0)
        return -1;
    return check_unique(obj, "mountPoints", ret->mount_points, ret->nmount_points,
                        sizeof(*ret->mount_points));
}

void ac_app_done(struct ac_app *a)
{
    ac_strings_done(&a->exec);
    free(a->user);
    free(a->group);
    free(a->supplementary_gids);
    ac_strings_done(&a->pre_start);
    ac_strings_done(&a->post_stop);
    free(a->working_directory);
    ac_pairs_done(&a->environment);
    ac_isolators_done(&a->isolators);
    for (size_t i = 0; i < a->nmount_points; i++)
        ac_mount_point_done(&a->mount_points[i]);
    free(a->mount_points);
    for (size_t i = 0; i < a->nports; i++)
        ac_port_done(&a->ports[i]);
    free(a->ports);
    ac_pairs_done(&a->user_annotations);
    ac_pairs_done(&a->user_labels);
    memset(a, 0, sizeof(*a));
}

static void copy_arrays(struct ac_app *dst, const struct ac_app *src)
{
    size_t n = src->nsupplementary_gids;
    dst->supplementary_gids = n ? xcalloc(n, sizeof(uint32_t)) : NULL;
    if (n)
        memcpy(dst->supplementary_gids, src->supplementary_gids, n * sizeof(uint32_t));
    n = src->nmount_points;
    dst->mount_points = n ? xcalloc(n, sizeof(*dst->mount_points)) : NULL;
    for (size_t i = 0; i < n; i++)
        ac_mount_point_copy(&dst->mount_points[i], &src->mount_points[i]);
    n = src->nports;
    dst->ports = n ? xcalloc(n, sizeof(*dst->ports)) : NULL;
    for (size_t i = 0; i < n; i++)
        ac_port_copy(&dst->ports[i], &src->ports[i]);
}

void ac_app_copy(struct ac_app *dst, const struct ac_app *src)
{
    *dst = *src;
    dst->user = src->user ? xstrdup(src->user) : NULL;
    dst->group = src->group ? xstrdup(src->group) : NULL;
    dst->working_directory = src->working_directory ? xstrdup(src->working_directory) : NULL;
    ac_strings_copy(&dst->exec, &src->exec);
    ac_strings_copy(&dst->pre_start, &src->pre_start);
    ac_strings_copy(&dst->post_stop, &src->post_stop);
    ac_pairs_copy(&dst->environment, &src->environment);
    ac_isolators_copy(&dst->isolators, &src->isolators);
    ac_pairs_copy(&dst->user_annotations, &src->user_annotations);
    ac_pairs_copy(&dst->user_labels, &src->user_labels);
    copy_arrays(dst, src);
}
