/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials for hosts, from the files of auth.d. */
#include "fetch/auth.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

static void wipe(char **s)
{
    if (*s)
        explicit_bzero(*s, strlen(*s));
    free(*s);
    *s = NULL;
}

static void entry_done(struct auth_entry *e)
{
    free(e->host);
    free(e->user);
    free(e->file);
    wipe(&e->password);
    wipe(&e->token);
}

void auth_done(struct auth *a)
{
    for (size_t i = 0; i < a->n; i++)
        entry_done(&a->v[i]);
    free(a->v);
    *a = (struct auth){0};
}

/* The key of "hosts" as a host and a port; it is read as what stands between https:// and /. */
static int parse_host(const char *key, const char *file, struct url *ret, struct err *err)
{
    cleanup_free char *text = xasprintf("https://%s", key);
    struct url u = {0};
    if (strpbrk(key, "/?#@") || url_parse(text, &u, NULL) < 0)
        return err_set(err, 0, "%s: \"%s\" is not HOST or HOST:PORT", file, key);
    *ret = u;
    return 0;
}

/* A member that goes into a header line: a string without control characters. */
static char *value_of(const json_t *o, const char *name)
{
    const json_t *j = json_object_get(o, name);
    const char *s = json_string_value(j);
    size_t n = json_string_length(j);
    if (!s || n > AUTH_VALUE_MAX || strlen(s) != n)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
            return NULL;
    return xstrdup(s);
}

static int parse_entry(const char *host, const json_t *o, const char *file, struct auth_entry *e,
                       struct err *err)
{
    const json_t *basic = json_object_get(o, "basic"), *bearer = json_object_get(o, "bearer");
    if (!json_is_object(o) || json_object_size(o) != 1 || (!basic && !bearer))
        return err_set(err, 0, "%s: %s needs one of \"basic\" and \"bearer\"", file, host);
    if (basic) {
        e->user = value_of(basic, "user");
        e->password = value_of(basic, "password");
        if (!e->user || !e->password || strchr(e->user, ':'))
            return err_set(err, 0,
                           "%s: %s: \"basic\" needs a user (without a colon) and a password", file,
                           host);
        return 0;
    }
    e->token = value_of(bearer, "token");
    if (!e->token || !*e->token)
        return err_set(err, 0, "%s: %s: \"bearer\" needs a token", file, host);
    return 0;
}

static struct auth_entry *find(const struct auth *a, const char *host, unsigned port)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].port == port && strcmp(a->v[i].host, host) == 0)
            return &a->v[i];
    return NULL;
}

static int add_entry(const char *key, const json_t *o, const char *file, struct auth *a,
                     struct err *err)
{
    cleanup_with(url_done) struct url u = {0};
    struct auth_entry e = {0};
    if (parse_host(key, file, &u, err) < 0)
        return -1;
    const struct auth_entry *other = find(a, u.host, u.port);
    if (other)
        return err_set(err, 0, "%s: %s stands in %s too", file, key, other->file);
    if (parse_entry(key, o, file, &e, err) < 0) {
        entry_done(&e);
        return -1;
    }
    e.host = xstrdup(u.host);
    e.port = u.port;
    e.file = xstrdup(file);
    a->v = xreallocarray(a->v, a->n + 1, sizeof(*a->v));
    a->v[a->n++] = e;
    return 0;
}

int auth_parse(const char *text, size_t len, const char *file, struct auth *a, struct err *err)
{
    json_error_t where;
    json_auto_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (!root) /* the parser's text could quote a secret */
        return err_set(err, 0, "%s:%d:%d: invalid JSON", file, where.line, where.column);
    json_t *hosts = json_object_get(root, "hosts");
    if (!json_is_object(hosts))
        return err_set(err, 0, "%s: there is no object \"hosts\"", file);
    const char *key;
    json_t *value;
    json_object_foreach (hosts, key, value)
        if (add_entry(key, value, file, a, err) < 0)
            return -1;
    return 0;
}

static int load_file(const char *path, bool system, struct auth *a, struct err *err)
{
    char *text;
    size_t len;
    struct err e;
    if (config_read(path, AUTH_FILE_MAX, true, &text, &len, &e) < 0) {
        if (system && e.errnum == EACCES)
            return 0;
        if (err)
            *err = e;
        return -1;
    }
    int r = auth_parse(text, len, path, a, err);
    explicit_bzero(text, len);
    free(text);
    return r;
}

static int load_dir(const char *dir, bool system, struct auth *a, struct err *err)
{
    cleanup_with(config_names_done) struct config_names names = {0};
    struct err e;
    if (config_list(dir, &names, &e) < 0) {
        if (system && e.errnum == EACCES)
            return 0;
        if (err)
            *err = e;
        return -1;
    }
    for (size_t i = 0; i < names.n; i++) {
        cleanup_free char *path = xasprintf("%s/%s", dir, names.v[i]);
        if (str_ends(path, ".json") && load_file(path, system, a, err) < 0)
            return -1;
    }
    return 0;
}

/* Moves what a stronger directory does not have. */
static void merge(struct auth *into, struct auth *from)
{
    for (size_t i = 0; i < from->n; i++) {
        if (find(into, from->v[i].host, from->v[i].port)) {
            entry_done(&from->v[i]);
            continue;
        }
        into->v = xreallocarray(into->v, into->n + 1, sizeof(*into->v));
        into->v[into->n++] = from->v[i];
    }
    free(from->v);
    *from = (struct auth){0};
}

int auth_load(const struct config_dirs *dirs, struct auth *ret, struct err *err)
{
    cleanup_with(auth_done) struct auth all = {0};
    for (size_t i = 0; i < dirs->n; i++) {
        cleanup_with(auth_done) struct auth here = {0};
        cleanup_free char *dir = xasprintf("%s/auth.d", dirs->v[i]);
        if (load_dir(dir, i > 0, &here, err) < 0)
            return -1;
        merge(&all, &here);
    }
    *ret = all;
    all = (struct auth){0};
    return 0;
}

const struct auth_entry *auth_find(const struct auth *a, const struct url *u)
{
    return a && u->https ? find(a, u->host, u->port) : NULL;
}
