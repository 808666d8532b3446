/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm trust: the table of its sub-commands, list and remove. */
#include "host/cmd_trust.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

static int cmd_trust_list(const struct command *self, int argc, char **argv);
static int cmd_trust_remove(const struct command *self, int argc, char **argv);

const struct command trust_commands[] = {
    {"add", "FILE|URL…", "trust the keys in files", cmd_trust_add, NULL},
    {"fetch", "NAME", "trust the keys that discovery finds for an image name", cmd_trust_fetch,
     NULL},
    {"list", "", "list the keys and what they may sign", cmd_trust_list, NULL},
    {"remove", "FINGERPRINT…", "trust keys no longer", cmd_trust_remove, NULL},
    {0},
};

void cmd_trust_day(int64_t t, char out[16])
{
    struct tm tm;
    time_t seconds = (time_t)t;
    if (!gmtime_r(&seconds, &tm) || strftime(out, 16, "%Y-%m-%d", &tm) == 0)
        snprintf(out, 16, "?");
}

static void print_key_text(const struct trust_key *t, const struct pgp_key *k)
{
    char created[16], expires[16] = "never";
    cmd_trust_day(k->created, created);
    if (k->expires)
        cmd_trust_day(k->expires, expires);
    printf("%s\n  for      %s\n  key      %s, created %s, expires %s\n", t->fingerprint,
           t->prefix ? t->prefix : "all names", k->algorithm, created, expires);
    for (size_t i = 0; i < k->users.n; i++)
        printf("  user     %s\n", k->users.v[i]);
    if (k->problem)
        printf("  warning  no signature is accepted: it %s\n", k->problem);
    printf("  file     %s\n", t->path);
}

static json_t *text_or_null(const char *s)
{
    json_t *j = s ? json_string(s) : NULL;
    return j ? j : json_null();
}

static json_t *key_json(const struct trust_key *t, const struct pgp_key *k)
{
    json_t *users = json_array();
    for (size_t i = 0; i < k->users.n; i++)
        json_array_append_new(users, text_or_null(k->users.v[i]));
    return json_pack("{s:s, s:o, s:s, s:I, s:o, s:o, s:o, s:o}", "fingerprint", t->fingerprint,
                     "prefix", text_or_null(t->prefix), "algorithm", k->algorithm, "created",
                     (json_int_t)k->created, "expires",
                     k->expires ? json_integer(k->expires) : json_null(), "users", users, "problem",
                     text_or_null(k->problem), "file", text_or_null(t->path));
}

static int list(const char *config, bool as_json, struct err *err)
{
    cleanup_with(config_dirs_done) struct config_dirs dirs = {0};
    cleanup_with(trust_done) struct trust t = {0};
    json_auto_t *all = json_array();
    config_dirs_find(config, &dirs);
    if (trust_load(&dirs, &t, err) < 0)
        return -1;
    for (size_t i = 0; i < t.n; i++) {
        cleanup_with(pgp_keys_done) struct pgp_keys keys = {0};
        if (pgp_keys_read(t.v[i].armored, strlen(t.v[i].armored), t.v[i].path, &keys, err) < 0)
            return -1;
        if (as_json)
            json_array_append_new(all, key_json(&t.v[i], &keys.v[0]));
        else
            print_key_text(&t.v[i], &keys.v[0]);
    }
    if (as_json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    return 0;
}

static int cmd_trust_list(const struct command *self, int argc, char **argv)
{
    const char *config = NULL, *format = "text";
    const struct opt table[] = {
        {0, "config-dir", OPT_STRING, &config, "DIR", "configuration directory"},
        {0, "format", OPT_CHOICE, &format, "text|json", "of what is printed"},
        {0},
    };
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 0, 0, &n);
    if (r >= 0)
        return r;
    return list(config, str_eq(format, "json"), &err) < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}

/* Everywhere that the key is trusted. */
static int remove_all(const struct config_dirs *dirs, const char *fpr, struct err *err)
{
    cleanup_with(trust_done) struct trust t = {0};
    bool any = false;
    if (trust_load(dirs, &t, err) < 0)
        return -1;
    for (size_t i = 0; i < t.n; i++) {
        if (!str_eq(t.v[i].fingerprint, fpr))
            continue;
        if (trust_remove(dirs, fpr, t.v[i].prefix, err) < 0)
            return -1;
        any = true;
    }
    return any ? 0 : err_set(err, 0, "the key %s is not trusted", fpr);
}

static int remove_one(const char *config, const char *text, const char *prefix, bool root,
                      struct err *err)
{
    cleanup_with(config_dirs_done) struct config_dirs dirs = {0};
    char fpr[PGP_FPR_MAX + 1];
    if (prefix && root)
        return err_set(err, 0, "--prefix and --root exclude each other");
    if (!pgp_fingerprint(text, fpr))
        return err_set(err, 0, "\"%s\" is not a fingerprint of 40 or 64 hex digits", text);
    config_dirs_find(config, &dirs);
    return prefix || root ? trust_remove(&dirs, fpr, prefix, err) : remove_all(&dirs, fpr, err);
}

static int cmd_trust_remove(const struct command *self, int argc, char **argv)
{
    const char *config = NULL, *prefix = NULL;
    bool root = false;
    const struct opt table[] = {
        {0, "config-dir", OPT_STRING, &config, "DIR", "configuration directory"},
        {0, "prefix", OPT_STRING, &prefix, "PREFIX", "only for this prefix of image names"},
        {0, "root", OPT_FLAG, &root, NULL, "only for all names"},
        {0},
    };
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 1, -1, &n);
    if (r >= 0)
        return r;
    for (int i = 1; i <= n; i++)
        if (remove_one(config, argv[i], prefix, root, &err) < 0)
            return cli_fail(&err, CLI_FAILED);
    return CLI_OK;
}
