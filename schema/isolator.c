/* SPDX-License-Identifier: Apache-2.0 */
/* Isolators: the table of known ones and the decoders of their values. */
#include "schema/isolator.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "schema/parse.h"
#include "schema/quantity.h"
#include "schema/value.h"

typedef int decode_fn(const struct node *value, struct ac_isolator_view *view);
typedef void done_fn(struct ac_isolator_view *view);

static int decode_set(const struct node *value, struct ac_strings *ret)
{
    struct node set;
    if (node_is_object(value) < 0 || node_need(value, "set", &set) < 0 ||
        node_each(&set, parse_string_item, ret) < 0)
        return -1;
    return ret->n ? 0 : node_fault(&set, "must not be empty");
}

/* E and any number of capitals and digits (ISO-17). */
static bool errno_name_valid(const char *s)
{
    return *s == 'E' && s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")] == '\0';
}

static int decode_seccomp(const struct node *value, struct ac_isolator_view *view)
{
    struct node n;
    const char *name = "";
    if (decode_set(value, &view->seccomp.set) < 0)
        return -1;
    if (node_member(value, "errno", &n) && node_string(&n, &name) < 0)
        return -1;
    if (!*name)
        return 0;
    if (!errno_name_valid(name))
        return node_fault(&n, "must be the name of an error such as ENOTSUP, not \"%.64s\"", name);
    view->seccomp.errno_name = xstrdup(name);
    return 0;
}

static void done_seccomp(struct ac_isolator_view *view)
{
    ac_strings_done(&view->seccomp.set);
    free(view->seccomp.errno_name);
}

static int decode_capabilities(const struct node *value, struct ac_isolator_view *view)
{
    return decode_set(value, &view->capabilities);
}

static void done_capabilities(struct ac_isolator_view *view)
{
    ac_strings_done(&view->capabilities);
}

static int need_nonempty(const struct node *value, const char *name, bool colon_ok, char **ret)
{
    struct node n;
    const char *s;
    if (node_need(value, name, &n) < 0 || node_string(&n, &s) < 0)
        return -1;
    if (!*s)
        return node_fault(&n, "must not be empty");
    if (!colon_ok && strchr(s, ':'))
        return node_fault(&n, "must not contain \":\", but is \"%.64s\"", s);
    *ret = xstrdup(s);
    return 0;
}

static int decode_selinux(const struct node *value, struct ac_isolator_view *view)
{
    struct ac_selinux *s = &view->selinux;
    if (node_is_object(value) < 0 || need_nonempty(value, "user", false, &s->user) < 0 ||
        need_nonempty(value, "role", false, &s->role) < 0 ||
        need_nonempty(value, "type", false, &s->type) < 0)
        return -1;
    return need_nonempty(value, "level", true, &s->level);
}

static void done_selinux(struct ac_isolator_view *view)
{
    free(view->selinux.user);
    free(view->selinux.role);
    free(view->selinux.type);
    free(view->selinux.level);
}

static int decode_apparmor(const struct node *value, struct ac_isolator_view *view)
{
    if (node_is_object(value) < 0)
        return -1;
    return need_nonempty(value, "profile", true, &view->apparmor_profile);
}

static void done_apparmor(struct ac_isolator_view *view)
{
    free(view->apparmor_profile);
}

static int decode_no_new_privileges(const struct node *value, struct ac_isolator_view *view)
{
    return node_bool(value, &view->no_new_privileges);
}

static int decode_cpu_shares(const struct node *value, struct ac_isolator_view *view)
{
    return node_int(value, AC_CPU_SHARES_MIN, AC_CPU_SHARES_MAX, &view->cpu_shares);
}

static int decode_oom_score_adj(const struct node *value, struct ac_isolator_view *view)
{
    return node_int(value, AC_OOM_SCORE_MIN, AC_OOM_SCORE_MAX, &view->oom_score_adj);
}

/* The shortest decimal text that stands for a JSON number; its digits as they were written. */
static void number_text(json_t *number, char *buf, size_t size)
{
    for (size_t digits = 15; digits <= 17; digits++) {
        size_t n = json_dumpb(number, buf, size - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        buf[n < size ? n : 0] = '\0';
        json_t *back = json_loads(buf, JSON_DECODE_ANY, NULL);
        bool same = back && json_equal(back, number);
        json_decref(back);
        if (same)
            return;
    }
}

/* A string or an unquoted number. */
static int parse_quantity(const struct node *n, enum ac_scale scale, int64_t *ret)
{
    char number[AC_QUANTITY_MAX + 1];
    const char *text = number, *why;
    if (json_is_number(n->v))
        number_text(n->v, number, sizeof(number));
    else if (!json_is_string(n->v))
        return node_fault(n, "must be a quantity: a string or a number");
    else if (node_string(n, &text) < 0)
        return -1;
    if (ac_quantity_parse(text, scale, ret, &why) < 0)
        return node_fault(n, "\"%.80s\" %s", text, why);
    return 0;
}

static int opt_quantity(const struct node *obj, const char *name, enum ac_scale scale,
                        struct node *n, bool *ret_has, int64_t *ret)
{
    *ret_has = node_member(obj, name, n);
    return *ret_has ? parse_quantity(n, scale, ret) : 0;
}

static int decode_amounts(const struct node *value, enum ac_scale scale, struct ac_resource *r)
{
    struct node limit, request;
    if (opt_quantity(value, "limit", scale, &limit, &r->has_limit, &r->limit) < 0 ||
        opt_quantity(value, "request", scale, &request, &r->has_request, &r->request) < 0)
        return -1;
    if (r->has_limit && r->has_request && r->limit < r->request)
        return node_fault(&limit, "is below the request");
    if (r->has_limit && !r->has_request) {
        r->has_request = true;
        r->request = r->limit;
    }
    return 0;
}

/* cpu, memory: "default" has to be false or absent (ISO-54). */
static int decode_own(const struct node *value, enum ac_scale scale, struct ac_resource *r)
{
    struct node n;
    bool is_default = false;
    if (node_is_object(value) < 0)
        return -1;
    if (node_member(value, "default", &n) && node_bool(&n, &is_default) < 0)
        return -1;
    if (is_default)
        return node_fault(&n, "must be false or left out for this resource");
    return decode_amounts(value, scale, r);
}

static int decode_cpu(const struct node *value, struct ac_isolator_view *view)
{
    return decode_own(value, AC_SCALE_MILLI, &view->resource);
}

static int decode_memory(const struct node *value, struct ac_isolator_view *view)
{
    return decode_own(value, AC_SCALE_UNIT, &view->resource);
}

/* block-*, network-*: "default" has to be true and there is no request (ISO-55). */
static int decode_default_limit(const struct node *value, struct ac_isolator_view *view)
{
    struct node n;
    bool is_default;
    if (node_is_object(value) < 0 || node_need(value, "default", &n) < 0 ||
        node_bool(&n, &is_default) < 0)
        return -1;
    if (!is_default)
        return node_fault(&n, "must be true for this resource");
    if (node_member(value, "request", &n))
        return node_fault(&n, "must be left out for this resource");
    return decode_amounts(value, AC_SCALE_UNIT, &view->resource);
}

/* A dotted name that stays below /proc/sys when its dots become slashes (ISO-74). */
static bool sysctl_key_valid(const char *key)
{
    bool word = false;
    for (; *key; key++) {
        if (*key == '.' && !word)
            return false;
        if (*key == '/' || (unsigned char)*key <= ' ' || *key == 0x7f)
            return false;
        word = *key != '.';
    }
    return word;
}

static int decode_sysctl_entry(const struct node *item, void *ctx)
{
    if (!sysctl_key_valid(item->key))
        return node_fault(item, "\"%.64s\" is not a dotted sysctl name such as net.core.somaxconn",
                          item->key);
    return parse_pair_member(item, ctx);
}

static int decode_sysctl(const struct node *value, struct ac_isolator_view *view)
{
    return node_each_member(value, decode_sysctl_entry, &view->sysctl);
}

static void done_sysctl(struct ac_isolator_view *view)
{
    ac_pairs_done(&view->sysctl);
}

static const struct isolator_type {
    const char *name;
    enum ac_isolator_scope scope;
    bool single;                    /* at most one in an app or a pod's list (ISO-05, ISO-07) */
    enum ac_isolator_kind conflict; /* excludes the other kind (ISO-21, ISO-43) */
    decode_fn *decode;
    done_fn *done;
} types[AC_ISOLATOR_KINDS] = {
    [AC_ISOLATOR_SECCOMP_REMOVE_SET] = {"os/linux/seccomp-remove-set", AC_SCOPE_APP, true,
                                        AC_ISOLATOR_SECCOMP_RETAIN_SET, decode_seccomp,
                                        done_seccomp},
    [AC_ISOLATOR_SECCOMP_RETAIN_SET] = {"os/linux/seccomp-retain-set", AC_SCOPE_APP, true,
                                        AC_ISOLATOR_SECCOMP_REMOVE_SET, decode_seccomp,
                                        done_seccomp},
    [AC_ISOLATOR_SELINUX_CONTEXT] = {"os/linux/selinux-context", AC_SCOPE_BOTH, true, 0,
                                     decode_selinux, done_selinux},
    [AC_ISOLATOR_APPARMOR_PROFILE] = {"os/linux/apparmor-profile", AC_SCOPE_BOTH, true, 0,
                                      decode_apparmor, done_apparmor},
    [AC_ISOLATOR_CAPABILITIES_REMOVE_SET] = {"os/linux/capabilities-remove-set", AC_SCOPE_APP,
                                             false, AC_ISOLATOR_CAPABILITIES_RETAIN_SET,
                                             decode_capabilities, done_capabilities},
    [AC_ISOLATOR_CAPABILITIES_RETAIN_SET] = {"os/linux/capabilities-retain-set", AC_SCOPE_APP,
                                             false, AC_ISOLATOR_CAPABILITIES_REMOVE_SET,
                                             decode_capabilities, done_capabilities},
    [AC_ISOLATOR_NO_NEW_PRIVILEGES] = {"os/linux/no-new-privileges", AC_SCOPE_APP, false, 0,
                                       decode_no_new_privileges, NULL},
    [AC_ISOLATOR_CPU_SHARES] = {"os/linux/cpu-shares", AC_SCOPE_APP, true, 0, decode_cpu_shares,
                                NULL},
    [AC_ISOLATOR_OOM_SCORE_ADJ] = {"os/linux/oom-score-adj", AC_SCOPE_APP, true, 0,
                                   decode_oom_score_adj, NULL},
    [AC_ISOLATOR_BLOCK_BANDWIDTH] = {"resource/block-bandwidth", AC_SCOPE_BOTH, false, 0,
                                     decode_default_limit, NULL},
    [AC_ISOLATOR_BLOCK_IOPS] = {"resource/block-iops", AC_SCOPE_BOTH, false, 0,
                                decode_default_limit, NULL},
    [AC_ISOLATOR_CPU] = {"resource/cpu", AC_SCOPE_BOTH, false, 0, decode_cpu, NULL},
    [AC_ISOLATOR_MEMORY] = {"resource/memory", AC_SCOPE_BOTH, false, 0, decode_memory, NULL},
    [AC_ISOLATOR_NETWORK_BANDWIDTH] = {"resource/network-bandwidth", AC_SCOPE_BOTH, false, 0,
                                       decode_default_limit, NULL},
    [AC_ISOLATOR_SYSCTL] = {"os/unix/sysctl", AC_SCOPE_POD, true, 0, decode_sysctl, done_sysctl},
};

enum ac_isolator_kind ac_isolator_kind(const char *name)
{
    for (size_t i = AC_ISOLATOR_UNKNOWN + 1; i < AC_ISOLATOR_KINDS; i++)
        if (strcmp(types[i].name, name) == 0)
            return (enum ac_isolator_kind)i;
    return AC_ISOLATOR_UNKNOWN;
}

const char *ac_isolator_name(enum ac_isolator_kind kind)
{
    return types[kind].name;
}

enum ac_isolator_scope ac_isolator_scope(enum ac_isolator_kind kind)
{
    return types[kind].scope;
}

int isolator_check_place(const struct node *item, enum ac_isolator_kind kind,
                         const bool seen[AC_ISOLATOR_KINDS])
{
    const struct isolator_type *t = &types[kind];
    struct node name;
    if (kind == AC_ISOLATOR_UNKNOWN)
        return 0;
    node_member(item, "name", &name);
    if (t->single && seen[kind])
        return node_fault(&name, "%s is given twice, but only one is allowed", t->name);
    if (t->conflict && seen[t->conflict])
        return node_fault(&name, "%s can't be combined with %s", t->name, types[t->conflict].name);
    return 0;
}

int isolator_decode_node(const struct node *value, enum ac_isolator_kind kind,
                         struct ac_isolator_view *ret)
{
    struct ac_isolator_view view = {.kind = kind, .scope = AC_SCOPE_BOTH};
    if (kind != AC_ISOLATOR_UNKNOWN) {
        view.scope = types[kind].scope;
        if (types[kind].decode(value, &view) < 0) {
            ac_isolator_view_done(&view);
            return -1;
        }
    }
    *ret = view;
    return 0;
}

int ac_isolator_decode(const struct ac_isolator *isolator, struct ac_isolator_view *ret,
                       struct ac_fault *fault)
{
    struct reader r = {.fault = fault};
    struct node value = {.r = &r, .v = isolator->value};
    return isolator_decode_node(&value, ac_isolator_kind(isolator->name), ret);
}

void ac_isolator_view_done(struct ac_isolator_view *view)
{
    if (view->kind != AC_ISOLATOR_UNKNOWN && types[view->kind].done)
        types[view->kind].done(view);
    memset(view, 0, sizeof(*view));
}

const struct ac_isolator *ac_isolators_find(const struct ac_isolators *list,
                                            enum ac_isolator_kind kind)
{
    for (size_t i = list->n; i > 0; i--)
        if (ac_isolator_kind(list->v[i - 1].name) == kind)
            return &list->v[i - 1];
    return NULL;
}
