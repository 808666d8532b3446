/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that are trusted, and for which image names. */
#include "fetch/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/template.h"
#include "schema/types.h"

#define SLASH "%2f"

/* A prefix as the name of a directory, and back; the caller frees. */
static char *escape(const char *prefix)
{
    struct buf b = {0};
    for (; *prefix; prefix++) {
        if (*prefix == '/')
            buf_adds(&b, SLASH);
        else
            buf_addc(&b, *prefix);
    }
    return buf_take(&b);
}

static char *unescape(const char *name)
{
    struct buf b = {0};
    for (; *name; name++) {
        if (str_starts(name, SLASH)) {
            buf_addc(&b, '/');
            name += strlen(SLASH) - 1;
        } else {
            buf_addc(&b, *name);
        }
    }
    return buf_take(&b);
}

/* The folder of a scope, below a configuration directory; the caller frees. */
static char *scope_dir(const char *prefix)
{
    cleanup_free char *name = prefix ? escape(prefix) : NULL;
    return prefix ? xasprintf("trustedkeys/prefix.d/%s", name) : xstrdup("trustedkeys/root.d");
}

void trust_done(struct trust *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->v[i].prefix);
        free(t->v[i].path);
        free(t->v[i].armored);
    }
    free(t->v);
    *t = (struct trust){0};
}

static bool have(const struct trust *t, const char *fingerprint, const char *prefix)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->v[i].fingerprint, fingerprint) == 0 && str_eq(t->v[i].prefix, prefix))
            return true;
    return false;
}

/* Exactly the one key that the name promises: a second one would be trusted unseen. */
static int check_key(const char *text, size_t len, const char *fingerprint, const char *path,
                     struct err *err)
{
    cleanup_with(pgp_keys_done) struct pgp_keys keys = {0};
    if (pgp_keys_read(text, len, path, &keys, err) < 0)
        return -1;
    if (keys.n != 1 || strcmp(keys.v[0].fingerprint, fingerprint) != 0)
        return err_set(err, 0, "%s does not hold exactly the key of its name", path);
    return 0;
}

/* Masked keys are kept too, with `armored` NULL, until all directories were read. */
static int load_key(const char *dir, const char *file, const char *prefix, struct trust *t,
                    struct err *err)
{
    struct trust_key k = {0};
    cleanup_free char *path = xasprintf("%s/%s", dir, file), *text = NULL;
    size_t len;
    if (!pgp_fingerprint(file, k.fingerprint) || strcmp(file, k.fingerprint) != 0)
        return err_set(err, 0, "%s: the name of a trusted key is its fingerprint in lower case",
                       path);
    if (have(t, k.fingerprint, prefix))
        return 0;
    if (config_read(path, PGP_KEYS_BYTES_MAX, false, &text, &len, err) < 0 ||
        (len && check_key(text, len, k.fingerprint, path, err) < 0))
        return -1;
    k.prefix = prefix ? xstrdup(prefix) : NULL;
    k.path = take_ptr(path);
    k.armored = len ? take_ptr(text) : NULL;
    t->v = xreallocarray(t->v, t->n + 1, sizeof(*t->v));
    t->v[t->n++] = k;
    return 0;
}

static int load_scope(const char *dir, const char *prefix, struct trust *t, struct err *err)
{
    cleanup_with(config_names_done) struct config_names names = {0};
    if (config_list(dir, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++)
        if (load_key(dir, names.v[i], prefix, t, err) < 0)
            return -1;
    return 0;
}

static int load_dir(const char *config, struct trust *t, struct err *err)
{
    cleanup_with(config_names_done) struct config_names names = {0};
    cleanup_free char *root = xasprintf("%s/trustedkeys/root.d", config);
    cleanup_free char *prefixes = xasprintf("%s/trustedkeys/prefix.d", config);
    if (load_scope(root, NULL, t, err) < 0 || config_list(prefixes, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        cleanup_free char *prefix = unescape(names.v[i]);
        cleanup_free char *dir = xasprintf("%s/%s", prefixes, names.v[i]);
        if (!ac_identifier_valid(prefix))
            return err_set(err, 0, "%s: the name is no prefix of image names", dir);
        if (load_scope(dir, prefix, t, err) < 0)
            return -1;
    }
    return 0;
}

static void drop_masked(struct trust *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (t->v[i].armored) {
            t->v[n++] = t->v[i];
        } else {
            free(t->v[i].prefix);
            free(t->v[i].path);
        }
    }
    t->n = n;
}

int trust_load(const struct config_dirs *dirs, struct trust *ret, struct err *err)
{
    cleanup_with(trust_done) struct trust t = {0};
    for (size_t i = 0; i < dirs->n; i++)
        if (load_dir(dirs->v[i], &t, err) < 0)
            return -1;
    drop_masked(&t);
    *ret = t;
    t = (struct trust){0};
    return 0;
}

bool trust_allows(const struct trust *t, const char *fingerprint, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->v[i].fingerprint, fingerprint) == 0 &&
            (!t->v[i].prefix || template_prefix_matches(t->v[i].prefix, name)))
            return true;
    return false;
}

char *trust_scopes(const struct trust *t, const char *fingerprint)
{
    struct buf b = {0};
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->v[i].fingerprint, fingerprint) != 0)
            continue;
        if (b.len)
            buf_adds(&b, " and ");
        buf_adds(&b, t->v[i].prefix ? t->v[i].prefix : "all names");
    }
    return buf_take(&b);
}

int trust_add(const struct config_dirs *dirs, const struct pgp_key *key, const char *prefix,
              struct err *err)
{
    if (prefix && !ac_identifier_valid(prefix))
        return err_set(err, 0, "\"%s\" is no prefix of image names", prefix);
    cleanup_free char *scope = scope_dir(prefix);
    cleanup_free char *dir = xasprintf("%s/%s", dirs->v[0], scope);
    cleanup_free char *path = xasprintf("%s/%s", dir, key->fingerprint);
    if (mkdir_parents_at(AT_FDCWD, dir, 0755, err) < 0)
        return -1;
    return write_file_atomic_at(AT_FDCWD, path, key->armored, strlen(key->armored), 0644, true,
                                err);
}

/* Whether a weaker directory than the first gives trust: the first file found there decides. */
static bool below(const struct config_dirs *dirs, const char *scope, const char *fingerprint)
{
    for (size_t i = 1; i < dirs->n; i++) {
        struct stat st;
        cleanup_free char *path = xasprintf("%s/%s/%s", dirs->v[i], scope, fingerprint);
        if (stat(path, &st) == 0)
            return st.st_size > 0;
    }
    return false;
}

int trust_remove(const struct config_dirs *dirs, const char *fingerprint, const char *prefix,
                 struct err *err)
{
    struct stat st;
    cleanup_free char *scope = scope_dir(prefix);
    cleanup_free char *dir = xasprintf("%s/%s", dirs->v[0], scope);
    cleanup_free char *path = xasprintf("%s/%s", dir, fingerprint);
    bool masking = below(dirs, scope, fingerprint);
    bool here = stat(path, &st) == 0;
    if (here ? st.st_size == 0 : !masking) {
        (void)err_set(err, 0, "the key %s is not trusted for %s", fingerprint,
                      prefix ? prefix : "all names");
        if (err) /* for callers; its text would say nothing more */
            err->errnum = ENOENT;
        return -1;
    }
    if (masking)
        return mkdir_parents_at(AT_FDCWD, dir, 0755, err) < 0
                   ? -1
                   : write_file_atomic_at(AT_FDCWD, path, "", 0, 0644, true, err);
    if (unlink(path) < 0)
        return err_set(err, errno, "can't remove %s", path);
    return 0;
}
