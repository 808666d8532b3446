/* SPDX-License-Identifier: Apache-2.0 */
/* The pod manifest (spec/pods.md, "Pod Manifest Schema"). */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "schema/parse.h"
#include "schema/value.h"

#define PORT_MAX    65535
#define MODE_MAX    07777
#define MODE_DIGITS 6 /* longest text of a mode */
#define ID_MAX      (UINT32_MAX - 1)
#define EMPTY_MODE  0755

static int parse_volume_kind(const struct node *obj, enum ac_volume_kind *ret)
{
    struct node n;
    const char *s;
    if (node_need(obj, "kind", &n) < 0 || node_string(&n, &s) < 0)
        return -1;
    if (strcmp(s, "empty") == 0)
        *ret = AC_VOLUME_EMPTY;
    else if (strcmp(s, "host") == 0)
        *ret = AC_VOLUME_HOST;
    else
        return node_fault(&n, "must be \"empty\" or \"host\", not \"%.64s\"", s);
    return 0;
}

static int parse_mode(const struct node *obj, uint32_t *ret)
{
    struct node n;
    const char *s;
    *ret = EMPTY_MODE;
    if (!node_member(obj, "mode", &n))
        return 0;
    if (node_string(&n, &s) < 0)
        return -1;
    size_t len = strspn(s, "01234567");
    unsigned long mode = strtoul(s, NULL, 8);
    if (len == 0 || len > MODE_DIGITS || s[len] || mode > MODE_MAX)
        return node_fault(&n, "\"%.64s\" is not an octal mode from 0 to 7777", s);
    *ret = (uint32_t)mode;
    return 0;
}

static int parse_empty_volume(const struct node *obj, struct ac_volume *ret)
{
    struct node n;
    int64_t uid = 0, gid = 0;
    cleanup_free char *source = NULL;
    if (node_opt_string(obj, "source", &source) < 0)
        return -1;
    if (source && *source) {
        node_member(obj, "source", &n);
        return node_fault(&n, "must be left out for a volume of kind \"empty\"");
    }
    if (parse_mode(obj, &ret->mode) < 0 || node_opt_int(obj, "uid", 0, ID_MAX, &uid) < 0 ||
        node_opt_int(obj, "gid", 0, ID_MAX, &gid) < 0)
        return -1;
    ret->uid = (uint32_t)uid;
    ret->gid = (uint32_t)gid;
    ret->recursive = true;
    return 0;
}

static int parse_host_volume(const struct node *obj, struct ac_volume *ret)
{
    static const char *const foreign[] = {"mode", "uid", "gid"};
    struct node n;
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
        if (node_member(obj, foreign[i], &n))
            return node_fault(&n, "must be left out for a volume of kind \"host\"");
    return parse_absolute_path(obj, "source", &ret->source);
}

int parse_volume(const struct node *obj, struct ac_volume *ret)
{
    ret->recursive = true;
    if (node_is_object(obj) < 0 || parse_ac_name(obj, "name", &ret->name) < 0 ||
        parse_volume_kind(obj, &ret->kind) < 0 ||
        node_opt_bool(obj, "readOnly", &ret->read_only) < 0 ||
        node_opt_bool(obj, "recursive", &ret->recursive) < 0)
        return -1;
    return ret->kind == AC_VOLUME_HOST ? parse_host_volume(obj, ret) : parse_empty_volume(obj, ret);
}

static int parse_mount(const struct node *item, void *ctx)
{
    struct ac_pod_app *app = ctx;
    struct node volume;
    if (node_is_object(item) < 0)
        return -1;
    struct ac_mount *m = list_add(&app->mounts, &app->nmounts, sizeof(*m));
    if (parse_ac_name(item, "volume", &m->volume) < 0 ||
        parse_absolute_path(item, "path", &m->path) < 0)
        return -1;
    m->has_app_volume = node_member(item, "appVolume", &volume);
    return m->has_app_volume ? parse_volume(&volume, &m->app_volume) : 0;
}

/* A template may name an image without its ID. */
static int parse_pod_image(const struct node *obj, struct ac_pod_app *app)
{
    struct node image, n;
    if (node_need(obj, "image", &image) < 0 || node_is_object(&image) < 0 ||
        parse_opt_image_id(&image, "id", &app->image_id) < 0)
        return -1;
    if (node_member(&image, "name", &n) && parse_identifier(&image, "name", &app->image_name) < 0)
        return -1;
    if (!app->image_id && !(obj->r->template && app->image_name))
        return node_need(&image, "id", &n);
    return parse_labels(&image, &app->image_labels);
}

static int parse_pod_app(const struct node *item, void *ctx)
{
    struct ac_pod_manifest *m = ctx;
    struct node app;
    if (node_is_object(item) < 0)
        return -1;
    struct ac_pod_app *a = list_add(&m->apps, &m->napps, sizeof(*a));
    if (parse_ac_name(item, "name", &a->name) < 0 || parse_pod_image(item, a) < 0)
        return -1;
    a->has_app = node_member(item, "app", &app);
    if (a->has_app && parse_app(&app, &a->app) < 0)
        return -1;
    if (node_opt_bool(item, "readOnlyRootFS", &a->read_only_rootfs) < 0 ||
        node_opt_each(item, "mounts", parse_mount, a) < 0)
        return -1;
    return parse_annotations(item, &a->annotations);
}

static int parse_volume_item(const struct node *item, void *ctx)
{
    struct ac_pod_manifest *m = ctx;
    return parse_volume(item, list_add(&m->volumes, &m->nvolumes, sizeof(*m->volumes)));
}

static int parse_host_ip(const struct node *item, char **ret)
{
    struct node n;
    struct in_addr addr;
    const char *s;
    if (!node_member(item, "hostIP", &n))
        return 0;
    if (node_string(&n, &s) < 0)
        return -1;
    if (inet_pton(AF_INET, s, &addr) != 1)
        return node_fault(&n, "\"%.64s\" is not an IPv4 address such as 127.0.0.1", s);
    *ret = xstrdup(s);
    return 0;
}

static int parse_pod_port(const struct node *item, void *ctx)
{
    struct ac_pod_manifest *m = ctx;
    struct node n, pod_port;
    int64_t host_port;
    if (node_is_object(item) < 0)
        return -1;
    struct ac_pod_port *p = list_add(&m->ports, &m->nports, sizeof(*p));
    if (parse_ac_name(item, "name", &p->name) < 0 || node_need(item, "hostPort", &n) < 0 ||
        node_int(&n, 1, PORT_MAX, &host_port) < 0 || parse_host_ip(item, &p->host_ip) < 0)
        return -1;
    p->host_port = (uint32_t)host_port;
    p->has_pod_port = node_member(item, "podPort", &pod_port);
    return p->has_pod_port ? parse_port(&pod_port, &p->pod_port) : 0;
}

/* A template may have no apps yet: the command line can add them. */
static int parse_apps(const struct node *root, struct ac_pod_manifest *m)
{
    struct node apps;
    if (node_need(root, "apps", &apps) < 0 || node_each(&apps, parse_pod_app, m) < 0)
        return -1;
    return m->napps || root->r->template ? 0 : node_fault(&apps, "must not be empty");
}

static int parse_pod(const struct node *root, struct ac_pod_manifest *m)
{
    if (parse_header(root, "PodManifest", &m->ac_version) < 0 || parse_apps(root, m) < 0 ||
        node_opt_each(root, "volumes", parse_volume_item, m) < 0 ||
        parse_isolators(root, &m->isolators) < 0 || parse_annotations(root, &m->annotations) < 0 ||
        node_opt_each(root, "ports", parse_pod_port, m) < 0 ||
        parse_user_data(root, &m->user_annotations, &m->user_labels) < 0)
        return -1;
    return check_pod(root, m);
}

static void free_podp(struct ac_pod_manifest **m)
{
    ac_pod_manifest_free(*m);
}

static int pod_from_tree(struct reader *r, json_t *tree, struct ac_pod_manifest **ret)
{
    struct node root = {.r = r, .v = tree};
    cleanup_with(free_podp) struct ac_pod_manifest *m = xcalloc(1, sizeof(*m));
    if (parse_pod(&root, m) < 0)
        return -1;
    *ret = take_ptr(m);
    return 0;
}

int ac_pod_manifest_parse(const char *text, size_t len, bool template, struct ac_pod_manifest **ret,
                          struct ac_fault *fault)
{
    struct reader r = {.text = text, .len = len, .template = template, .fault = fault};
    json_t *tree = reader_load(&r);
    if (!tree)
        return -1;
    int result = pod_from_tree(&r, tree, ret);
    json_decref(tree);
    return result;
}

int ac_pod_manifest_from_json(json_t *tree, bool template, struct ac_pod_manifest **ret,
                              struct ac_fault *fault)
{
    struct reader r = {.template = template, .fault = fault};
    if (reader_check_depth(&r, tree) < 0)
        return -1;
    return pod_from_tree(&r, tree, ret);
}

static void pod_app_done(struct ac_pod_app *a)
{
    free(a->name);
    free(a->image_id);
    free(a->image_name);
    ac_pairs_done(&a->image_labels);
    ac_app_done(&a->app);
    for (size_t i = 0; i < a->nmounts; i++) {
        free(a->mounts[i].volume);
        free(a->mounts[i].path);
        ac_volume_done(&a->mounts[i].app_volume);
    }
    free(a->mounts);
    ac_pairs_done(&a->annotations);
}

void ac_pod_manifest_free(struct ac_pod_manifest *m)
{
    if (!m)
        return;
    free(m->ac_version);
    for (size_t i = 0; i < m->napps; i++)
        pod_app_done(&m->apps[i]);
    free(m->apps);
    for (size_t i = 0; i < m->nvolumes; i++)
        ac_volume_done(&m->volumes[i]);
    free(m->volumes);
    ac_isolators_done(&m->isolators);
    ac_pairs_done(&m->annotations);
    for (size_t i = 0; i < m->nports; i++) {
        free(m->ports[i].name);
        free(m->ports[i].host_ip);
        ac_port_done(&m->ports[i].pod_port);
    }
    free(m->ports);
    ac_pairs_done(&m->user_annotations);
    ac_pairs_done(&m->user_labels);
    free(m);
}
