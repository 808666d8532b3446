/* SPDX-License-Identifier: Apache-2.0 */
/* The image manifest that stands for the config of an OCI image. */
#include "host/oci/convert.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/oci/accounts.h"
#include "host/oci/convert_list.h"
#include "schema/text.h"
#include "schema/types.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define LABEL        "org.opencontainers.image."
#define SHORT_ID     12 /* digits, as Docker shows them */

static void add_exec(const struct oci_config *c, struct ac_app *app)
{
    for (size_t i = 0; i < c->entrypoint.n; i++)
        ac_strings_add(&app->exec, c->entrypoint.v[i]);
    for (size_t i = 0; i < c->cmd.n; i++)
        ac_strings_add(&app->exec, c->cmd.v[i]);
}

/* The groups that the image's own files give a user for whom the config names none. */
static void look_up_groups(const struct convert_accounts *a, struct ac_app *app)
{
    cleanup_free char *name = NULL;
    uint32_t gid;
    if (!accounts_find_user(a->passwd.text, a->passwd.len, app->user, &name, &gid)) {
        app->group = xstrdup("0");
        return;
    }
    app->group = xasprintf("%u", gid);
    app->supplementary_gids =
        accounts_groups_of(a->group.text, a->group.len, name, &app->nsupplementary_gids);
}

/* USER[:GROUP], names or numbers. A path would be something else for appc (APP-10). */
static int add_user(const struct oci_config *c, const struct convert_accounts *a,
                    struct ac_app *app, struct err *err)
{
    const char *text = c->user ? c->user : "0";
    const char *colon = strchr(text, ':');
    app->user = xstrndup(text, colon ? (size_t)(colon - text) : strlen(text));
    if (!*app->user) {
        free(app->user);
        app->user = xstrdup("0");
    }
    if (colon && colon[1])
        app->group = xstrdup(colon + 1);
    else
        look_up_groups(a, app);
    if (strchr(app->user, '/') || strchr(app->group, '/'))
        return err_set(err, 0, "the config's user \"%.128s\" is none", text);
    return 0;
}

static void add_environment(const struct oci_config *c, struct ac_app *app, struct ac_strings *w)
{
    for (size_t i = 0; i < c->env.n; i++) {
        const char *eq = strchr(c->env.v[i], '=');
        cleanup_free char *name =
            xstrndup(c->env.v[i], eq ? (size_t)(eq - c->env.v[i]) : strlen(c->env.v[i]));
        if (eq && ac_env_name_valid(name))
            ac_pairs_set(&app->environment, name, eq + 1);
        else
            convert_warn(w,
                         "the environment variable \"%.64s\" is left out: appc does not allow "
                         "its name",
                         name);
    }
    if (!ac_pairs_get(&app->environment, "PATH"))
        ac_pairs_add(&app->environment, "PATH", DEFAULT_PATH);
}

static void add_directory(const struct oci_config *c, struct ac_app *app, struct ac_strings *w)
{
    const char *dir = c->working_dir ? c->working_dir : "/";
    app->working_directory = ac_path_clean(dir);
    if (app->working_directory && *dir == '/')
        return;
    convert_warn(w, "the working directory \"%.128s\" is not absolute; it is / instead", dir);
    free(app->working_directory);
    app->working_directory = xstrdup("/");
}

static void annotate(struct ac_image_manifest *m, const char *name, const char *value)
{
    if (value && *value)
        ac_pairs_set(&m->annotations, name, value);
}

/* A list as JSON text, such as ["/bin/sh","-c"]; NULL for an empty one. */
static char *list_text(const struct ac_strings *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(list, json_string(s->v[i]));
    char *text = s->n ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return text;
}

/* Names that have a meaning of their own are not taken from labels. */
static bool reserved(const char *name)
{
    return str_eq(name, "created") || str_eq(name, "authors") || str_eq(name, "homepage") ||
           str_eq(name, "documentation") || str_starts(name, "appc.io/");
}

static void add_annotations(const struct oci_image *image, struct ac_image_manifest *m)
{
    const struct oci_config *c = &image->config;
    const char *homepage = ac_pairs_get(&c->labels, LABEL "url");
    const char *documentation = ac_pairs_get(&c->labels, LABEL "documentation");
    const char *authors = ac_pairs_get(&c->labels, LABEL "authors");
    cleanup_free char *entrypoint = list_text(&c->entrypoint), *cmd = list_text(&c->cmd);
    for (size_t i = 0; i < c->labels.n; i++)
        if (ac_identifier_valid(c->labels.v[i].name) && !reserved(c->labels.v[i].name))
            annotate(m, c->labels.v[i].name, c->labels.v[i].value);
    if (c->created && ac_date_valid(c->created))
        annotate(m, "created", c->created);
    annotate(m, "authors", c->author ? c->author : authors);
    if (homepage && ac_url_valid(homepage))
        annotate(m, "homepage", homepage);
    if (documentation && ac_url_valid(documentation))
        annotate(m, "documentation", documentation);
    annotate(m, "appc.io/docker/imageid", image->digest);
    annotate(m, "appc.io/docker/entrypoint", entrypoint);
    annotate(m, "appc.io/docker/cmd", cmd);
    annotate(m, "appc.io/docker/stop-signal", c->stop_signal);
}

/*
 * Unless the user gave them, name and version say what the image is and not where it was found, so
 * that one image has one ID whatever it is called in whichever registry.
 */
static int add_names(const struct oci_image *image, struct ac_image_manifest *m, struct err *err)
{
    const struct oci_config *c = &image->config;
    struct ac_image_name given = {0};
    struct ac_fault fault;
    if (image->name && ac_image_name_parse(image->name, &given, &fault) < 0)
        return err_set(err, 0, "the name \"%s\": %s", image->name, fault.msg);
    const char *version = ac_pairs_get(&given.labels, "version");
    m->ac_version = xstrdup(AC_VERSION);
    m->name = given.name ? xstrdup(given.name)
                         : xasprintf("oci/%.*s", SHORT_ID, strchr(image->digest, ':') + 1);
    ac_pairs_add(&m->labels, "version", version && *version ? version : image->digest);
    ac_image_name_done(&given);
    ac_pairs_add(&m->labels, "os", c->os);
    ac_pairs_add(&m->labels, "arch", oci_arch(c->arch, c->variant));
    return 0;
}

static int fill(const struct oci_image *image, const struct convert_accounts *accounts,
                struct ac_image_manifest *m, struct ac_strings *w, struct err *err)
{
    const struct oci_config *c = &image->config;
    if (add_names(image, m, err) < 0)
        return -1;
    m->has_app = true;
    add_exec(c, &m->app);
    if (add_user(c, accounts, &m->app, err) < 0)
        return -1;
    add_environment(c, &m->app, w);
    add_directory(c, &m->app, w);
    convert_ports(c, &m->app, w);
    convert_volumes(c, &m->app, w);
    add_annotations(image, m);
    return 0;
}

/* What is written has to be what the parser takes. */
static int print(const struct ac_image_manifest *m, char **ret, size_t *ret_len, struct err *err)
{
    struct ac_image_manifest *parsed;
    struct ac_fault fault;
    json_t *json = ac_image_manifest_to_json(m);
    char *text = json_dumps(json, JSON_INDENT(2));
    json_decref(json);
    if (!text)
        return err_set(err, 0, "can't print the manifest made of the config");
    if (ac_image_manifest_parse(text, strlen(text), &parsed, &fault) < 0) {
        ac_fault_to_err(&fault, "the manifest made of the config", err);
        free(text);
        return -1;
    }
    ac_image_manifest_free(parsed);
    *ret = text;
    *ret_len = strlen(text);
    return 0;
}

int convert_config(const struct oci_image *image, const struct convert_accounts *accounts,
                   char **ret, size_t *ret_len, struct ac_strings *warnings, struct err *err)
{
    struct ac_image_manifest *m = xcalloc(1, sizeof(*m));
    int r = fill(image, accounts, m, warnings, err);
    if (r == 0)
        r = print(m, ret, ret_len, err);
    ac_image_manifest_free(m);
    return r;
}
