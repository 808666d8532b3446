/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm trust add and fetch: keys from files, URLs and discovery, after a look at them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/discover.h"
#include "fetch/http.h"
#include "host/cmd_trust.h"
#include "host/image/imgref.h"

struct add_options {
    struct network_options network;
    const char *prefix;
    bool root, yes;
    struct opt_list fingerprints;
};

/* One row a line. */
/* clang-format off */
#define ADD_OPTIONS(o) \
    {0, "prefix", OPT_STRING, &(o).prefix, "PREFIX", "trust them for image names of this prefix"}, \
    {0, "root", OPT_FLAG, &(o).root, NULL, "trust them for all image names"}, \
    {'y', "yes", OPT_FLAG, &(o).yes, NULL, "do not ask"}, \
    {0, "fingerprint", OPT_LIST, &(o).fingerprints, "FP", "take only the key with this fingerprint, and do not ask"}, \
    NETWORK_OPTIONS((o).network)
/* clang-format on */

/* Everything on standard error: standard output stays empty for scripts. */
static void show(const struct pgp_key *k)
{
    char created[16], expires[16] = "never";
    cleanup_free char *pretty = pgp_fingerprint_pretty(k->fingerprint);
    cmd_trust_day(k->created, created);
    if (k->expires)
        cmd_trust_day(k->expires, expires);
    fprintf(stderr, "fingerprint  %s\nkey          %s, created %s, expires %s\n", pretty,
            k->algorithm, created, expires);
    for (size_t i = 0; i < k->users.n; i++)
        fprintf(stderr, "user         %s\n", k->users.v[i]);
}

static int ask(const char *scope, bool *ret, struct err *err)
{
    char line[16];
    if (!isatty(STDIN_FILENO))
        return err_set(err, 0,
                       "there is no terminal to ask on; give --fingerprint=FINGERPRINT, or --yes");
    fprintf(stderr, "Trust this key for %s? [y/N] ", scope);
    *ret = fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
    return 0;
}

static bool is_named(const struct add_options *o, const char *fingerprint)
{
    char fpr[PGP_FPR_MAX + 1];
    for (size_t i = 0; i < o->fingerprints.n; i++)
        if (pgp_fingerprint(o->fingerprints.v[i], fpr) && str_eq(fpr, fingerprint))
            return true;
    return false;
}

static int add_key(const struct config_dirs *dirs, const struct add_options *o, const char *prefix,
                   const struct pgp_key *k, struct err *err)
{
    const char *scope = prefix ? prefix : "all image names";
    bool take = true;
    show(k);
    if (k->problem)
        return err_set(err, 0, "the key %s is not added: it %s", k->fingerprint, k->problem);
    if (!o->yes && !o->fingerprints.n && ask(scope, &take, err) < 0)
        return -1;
    if (!take) {
        fprintf(stderr, "not added\n");
        return 0;
    }
    if (trust_add(dirs, k, prefix, err) < 0)
        return -1;
    fprintf(stderr, "trusted for %s\n", scope);
    return 0;
}

static int check_found(const struct add_options *o, const struct pgp_keys *keys, const char *name,
                       struct err *err)
{
    for (size_t i = 0; i < o->fingerprints.n; i++) {
        char fpr[PGP_FPR_MAX + 1];
        bool found = false;
        if (!pgp_fingerprint(o->fingerprints.v[i], fpr))
            return err_set(err, 0, "\"%s\" is not a fingerprint of 40 or 64 hex digits",
                           o->fingerprints.v[i]);
        for (size_t k = 0; k < keys->n; k++)
            found |= str_eq(keys->v[k].fingerprint, fpr);
        if (!found)
            return err_set(err, 0, "%s holds no key with the fingerprint %s", name, fpr);
    }
    return 0;
}

static int add_keys(const struct config_dirs *dirs, const struct add_options *o, const char *prefix,
                    const char *data, size_t len, const char *name, struct err *err)
{
    cleanup_with(pgp_keys_done) struct pgp_keys keys = {0};
    if (pgp_keys_read(data, len, name, &keys, err) < 0 || check_found(o, &keys, name, err) < 0)
        return -1;
    fprintf(stderr, "%s:\n", name);
    for (size_t i = 0; i < keys.n; i++)
        if ((!o->fingerprints.n || is_named(o, keys.v[i].fingerprint)) &&
            add_key(dirs, o, prefix, &keys.v[i], err) < 0)
            return -1;
    return 0;
}

static int add_url(const struct network *net, const struct add_options *o, const char *prefix,
                   const char *text, struct err *err)
{
    cleanup_with(url_done) struct url u = {0};
    cleanup_with(buf_free) struct buf body = {0};
    cleanup_with(http_response_done) struct http_response r = {0};
    if ((o->network.insecure_http || o->network.insecure_tls) && !o->fingerprints.n)
        return err_set(err, 0,
                       "keys that come without verified TLS need --fingerprint=FINGERPRINT");
    if (url_parse(text, &u, err) < 0 ||
        http_get_small(net->net, &u, false, PGP_KEYS_BYTES_MAX, &body, &r, err) < 0)
        return -1;
    return add_keys(&net->dirs, o, prefix, body.data ? body.data : "", body.len, u.text, err);
}

static int add_one(const struct network *net, const struct add_options *o, const char *text,
                   struct err *err)
{
    cleanup_free char *data = NULL;
    size_t len;
    if (strstr(text, "://"))
        return add_url(net, o, o->prefix, text, err);
    if (read_file_at(AT_FDCWD, text, PGP_KEYS_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    return add_keys(&net->dirs, o, o->prefix, data, len, text, err);
}

static int add_all(struct add_options *o, char **operands, int n, struct err *err)
{
    cleanup_with(network_close) struct network net = {0};
    if ((o->prefix != NULL) == o->root)
        return err_set(err, 0, "for which images? give one of --prefix=PREFIX and --root");
    if (network_options_check(&o->network, err) < 0 || network_open(&o->network, &net, err) < 0)
        return -1;
    for (int i = 0; i < n; i++)
        if (add_one(&net, o, operands[i], err) < 0)
            return -1;
    return 0;
}

static void add_options_done(struct add_options *o)
{
    opt_list_done(&o->fingerprints);
    network_options_done(&o->network);
}

int cmd_trust_add(const struct command *self, int argc, char **argv)
{
    cleanup_with(add_options_done) struct add_options o = {0};
    network_options_init(&o.network);
    const struct opt table[] = {ADD_OPTIONS(o), {0}};
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 1, -1, &n);
    if (r >= 0)
        return r;
    return add_all(&o, argv + 1, n, &err) < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}

static int fetch_keys(struct add_options *o, const char *name, struct err *err)
{
    cleanup_with(network_close) struct network net = {0};
    cleanup_with(discover_done) struct discover d = {0};
    struct ac_pairs none = {0};
    const char *prefix = o->root ? NULL : o->prefix ? o->prefix : name;
    if (o->prefix && o->root)
        return err_set(err, 0, "--prefix and --root exclude each other");
    if (network_options_check(&o->network, err) < 0 || network_open(&o->network, &net, err) < 0 ||
        discover(net.net, name, &none, DISCOVER_KEYS, &d, err) < 0)
        return -1;
    for (size_t i = 0; i < d.keys.n; i++)
        if (add_url(&net, o, prefix, d.keys.v[i], err) < 0)
            return -1;
    return 0;
}

int cmd_trust_fetch(const struct command *self, int argc, char **argv)
{
    cleanup_with(add_options_done) struct add_options o = {0};
    network_options_init(&o.network);
    const struct opt table[] = {ADD_OPTIONS(o), {0}};
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 1, 1, &n);
    if (r >= 0)
        return r;
    return fetch_keys(&o, argv[1], &err) < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}
