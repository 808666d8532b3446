/* SPDX-License-Identifier: Apache-2.0 */
/* The config of an OCI image, and docker save's list of images. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "fetch/oci/digest.h"
#include "fetch/oci/document.h"
#include "fetch/oci/json.h"
#include "schema/value.h"

void oci_config_done(struct oci_config *c)
{
    char *const strings[] = {c->os,     c->arch, c->variant,     c->created,
                             c->author, c->user, c->working_dir, c->stop_signal};
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
        free(strings[i]);
    ac_strings_done(&c->env);
    ac_strings_done(&c->entrypoint);
    ac_strings_done(&c->cmd);
    ac_strings_done(&c->ports);
    ac_strings_done(&c->volumes);
    ac_strings_done(&c->diff_ids);
    ac_pairs_done(&c->labels);
    *c = (struct oci_config){0};
}

/* The part that a container runs with; an image without it is fine. */
static int parse_execution(const json_t *o, const char *name, struct oci_config *c, struct err *err)
{
    if (!o || json_is_null(o))
        return 0;
    if (!json_is_object(o))
        return err_set(err, 0, "%s: \"config\" is not an object", name);
    if (oci_json_string(o, "User", name, &c->user, err) < 0 ||
        oci_json_string(o, "WorkingDir", name, &c->working_dir, err) < 0 ||
        oci_json_string(o, "StopSignal", name, &c->stop_signal, err) < 0 ||
        oci_json_strings(o, "Env", name, &c->env, err) < 0 ||
        oci_json_strings(o, "Entrypoint", name, &c->entrypoint, err) < 0 ||
        oci_json_strings(o, "Cmd", name, &c->cmd, err) < 0 ||
        oci_json_keys(o, "ExposedPorts", name, &c->ports, err) < 0 ||
        oci_json_keys(o, "Volumes", name, &c->volumes, err) < 0)
        return -1;
    return oci_json_pairs(o, "Labels", name, &c->labels, err);
}

static int parse_rootfs(const json_t *o, const char *name, struct oci_config *c, struct err *err)
{
    if (!json_is_object(o))
        return err_set(err, 0, "%s: there is no object \"rootfs\"; it is not an image's config",
                       name);
    if (oci_json_strings(o, "diff_ids", name, &c->diff_ids, err) < 0)
        return -1;
    for (size_t i = 0; i < c->diff_ids.n; i++)
        if (!oci_digest_valid(c->diff_ids.v[i]))
            return err_set(err, 0, "%s: rootfs.diff_ids[%zu] is not a digest", name, i);
    return 0;
}

static int parse_config(const json_t *root, const char *name, struct oci_config *c, struct err *err)
{
    if (!json_is_object(root))
        return err_set(err, 0, "%s is not an object", name);
    if (oci_json_string(root, "os", name, &c->os, err) < 0 ||
        oci_json_string(root, "architecture", name, &c->arch, err) < 0 ||
        oci_json_string(root, "variant", name, &c->variant, err) < 0 ||
        oci_json_string(root, "created", name, &c->created, err) < 0 ||
        oci_json_string(root, "author", name, &c->author, err) < 0 ||
        parse_execution(json_object_get(root, "config"), name, c, err) < 0)
        return -1;
    return parse_rootfs(json_object_get(root, "rootfs"), name, c, err);
}

int oci_config_parse(const char *text, size_t len, const char *name, struct oci_config *ret,
                     struct err *err)
{
    cleanup_with(oci_config_done) struct oci_config c = {0};
    json_t *root;
    if (oci_json_load(text, len, name, &root, err) < 0)
        return -1;
    int r = parse_config(root, name, &c, err);
    json_decref(root);
    if (r < 0)
        return -1;
    *ret = c;
    c = (struct oci_config){0};
    return 0;
}

void oci_saved_done(struct oci_saved_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].config);
        ac_strings_done(&l->v[i].tags);
        ac_strings_done(&l->v[i].layers);
    }
    free(l->v);
    *l = (struct oci_saved_list){0};
}

static int parse_saved(const json_t *o, const char *name, struct oci_saved *s, struct err *err)
{
    if (oci_json_string(o, "Config", name, &s->config, err) < 0 ||
        oci_json_strings(o, "RepoTags", name, &s->tags, err) < 0 ||
        oci_json_strings(o, "Layers", name, &s->layers, err) < 0)
        return -1;
    if (!s->config)
        return err_set(err, 0, "%s: an image without \"Config\"", name);
    if (s->layers.n > OCI_LAYERS_MAX)
        return err_set(err, 0, "%s: %zu layers (%d are allowed)", name, s->layers.n,
                       OCI_LAYERS_MAX);
    return 0;
}

int oci_saved_parse(const char *text, size_t len, const char *name, struct oci_saved_list *ret,
                    struct err *err)
{
    cleanup_with(oci_saved_done) struct oci_saved_list l = {0};
    json_t *root;
    const json_t *item;
    size_t i;
    if (oci_json_load(text, len, name, &root, err) < 0)
        return -1;
    int r = 0;
    if (!json_is_array(root) || json_array_size(root) > OCI_ENTRIES_MAX)
        r = err_set(err, 0, "%s is not a list of at most %d images", name, OCI_ENTRIES_MAX);
    l.v = r == 0 ? xcalloc(json_array_size(root), sizeof(*l.v)) : NULL;
    for (i = 0; r == 0 && (item = json_array_get(root, i)); i++)
        r = parse_saved(item, name, &l.v[l.n++], err);
    json_decref(root);
    if (r < 0)
        return -1;
    *ret = l;
    l = (struct oci_saved_list){0};
    return 0;
}
