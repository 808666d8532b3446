/* SPDX-License-Identifier: Apache-2.0 */
/* The image manifest (spec/aci.md, "Image Manifest Schema"). */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "schema/parse.h"
#include "schema/types.h"
#include "schema/value.h"

static int parse_size(const struct node *item, struct ac_dependency *ret)
{
    struct node n;
    int64_t size;
    if (!node_member(item, "size", &n))
        return 0;
    if (node_int(&n, 0, INT64_MAX, &size) < 0)
        return -1;
    ret->has_size = true;
    ret->size = (uint64_t)size;
    return 0;
}

static int parse_dependency(const struct node *item, void *ctx)
{
    struct ac_image_manifest *m = ctx;
    if (node_is_object(item) < 0)
        return -1;
    struct ac_dependency *d = list_add(&m->dependencies, &m->ndependencies, sizeof(*d));
    if (parse_identifier(item, "imageName", &d->image_name) < 0 ||
        parse_opt_image_id(item, "imageID", &d->image_id) < 0 || parse_labels(item, &d->labels) < 0)
        return -1;
    return parse_size(item, d);
}

/* Entries are said to be absolute; one without its slash is taken as if it had it (IMG-43). */
static int parse_whitelist(const struct node *root, struct ac_strings *ret)
{
    if (parse_strings(root, "pathWhitelist", ret) < 0)
        return -1;
    for (size_t i = 0; i < ret->n; i++) {
        char *clean = ac_path_clean(ret->v[i]);
        free(ret->v[i]);
        ret->v[i] = clean;
    }
    return 0;
}

static int parse_image(const struct node *root, struct ac_image_manifest *m)
{
    struct node app;
    if (parse_header(root, "ImageManifest", &m->ac_version) < 0 ||
        parse_identifier(root, "name", &m->name) < 0 || parse_labels(root, &m->labels) < 0)
        return -1;
    m->has_app = node_member(root, "app", &app);
    if (m->has_app && parse_app(&app, &m->app) < 0)
        return -1;
    if (node_opt_each(root, "dependencies", parse_dependency, m) < 0 ||
        parse_whitelist(root, &m->path_whitelist) < 0)
        return -1;
    return parse_annotations(root, &m->annotations);
}

static void free_imagep(struct ac_image_manifest **m)
{
    ac_image_manifest_free(*m);
}

static void decrefp(json_t **v)
{
    json_decref(*v);
}

int ac_image_manifest_parse(const char *text, size_t len, struct ac_image_manifest **ret,
                            struct ac_fault *fault)
{
    struct reader r = {.text = text, .len = len, .fault = fault};
    cleanup_with(decrefp) json_t *tree = reader_load(&r);
    if (!tree)
        return -1;
    struct node root = {.r = &r, .v = tree};
    cleanup_with(free_imagep) struct ac_image_manifest *m = xcalloc(1, sizeof(*m));
    if (parse_image(&root, m) < 0)
        return -1;
    *ret = take_ptr(m);
    return 0;
}

void ac_image_manifest_free(struct ac_image_manifest *m)
{
    if (!m)
        return;
    free(m->ac_version);
    free(m->name);
    ac_pairs_done(&m->labels);
    ac_app_done(&m->app);
    for (size_t i = 0; i < m->ndependencies; i++) {
        free(m->dependencies[i].image_name);
        free(m->dependencies[i].image_id);
        ac_pairs_done(&m->dependencies[i].labels);
    }
    free(m->dependencies);
    ac_strings_done(&m->path_whitelist);
    ac_pairs_done(&m->annotations);
    free(m);
}
