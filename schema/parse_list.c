/* SPDX-License-Identifier: Apache-2.0 */
/* Parsers of scalars and of the lists that manifests share. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "schema/label.h"
#include "schema/parse.h"
#include "schema/types.h"

static int parse_kind(const struct node *root, const char *kind)
{
    struct node n;
    const char *s;
    if (node_need(root, "acKind", &n) < 0 || node_string(&n, &s) < 0)
        return -1;
    if (strcmp(s, kind) != 0)
        return node_fault(&n, "must be \"%s\", not \"%.64s\"", kind, s);
    return 0;
}

static int check_version(const struct node *n, const char *version)
{
    if (!ac_semver_valid(version))
        return node_fault(n, "\"%.64s\" is not a semantic version such as %s", version, AC_VERSION);
    if (strcmp(version, "0.0.0") == 0)
        return node_fault(n, "must not be 0.0.0");
    if (ac_semver_series(version, AC_VERSION) != 0)
        return node_fault(n, "\"%.64s\" is of another major version than the supported %s", version,
                          AC_VERSION);
    return 0;
}

int parse_header(const struct node *root, const char *kind, char **ret_version)
{
    struct node n;
    const char *version;
    if (node_is_object(root) < 0 || parse_kind(root, kind) < 0)
        return -1;
    if (root->r->template && !node_member(root, "acVersion", &n)) {
        *ret_version = xstrdup(AC_VERSION);
        return 0;
    }
    if (node_need(root, "acVersion", &n) < 0 || node_string(&n, &version) < 0 ||
        check_version(&n, version) < 0)
        return -1;
    *ret_version = xstrdup(version);
    return 0;
}

static int need_valid(const struct node *obj, const char *name, bool (*valid)(const char *),
                      const char *what, char **ret)
{
    struct node n;
    const char *s;
    if (node_need(obj, name, &n) < 0 || node_string(&n, &s) < 0)
        return -1;
    if (!valid(s))
        return node_fault(&n, "\"%.128s\" is not %s", s, what);
    *ret = xstrdup(s);
    return 0;
}

int parse_identifier(const struct node *obj, const char *name, char **ret)
{
    return need_valid(obj, name, ac_identifier_valid,
                      "an AC Identifier (lower-case letters and digits with single - . _ ~ / "
                      "between them)",
                      ret);
}

int parse_ac_name(const struct node *obj, const char *name, char **ret)
{
    return need_valid(obj, name, ac_name_valid,
                      "an AC Name (lower-case letters and digits with single - between them)", ret);
}

static bool path_is_absolute(const char *s)
{
    return *s == '/';
}

int parse_absolute_path(const struct node *obj, const char *name, char **ret)
{
    return need_valid(obj, name, path_is_absolute, "an absolute path", ret);
}

int parse_opt_image_id(const struct node *obj, const char *name, char **ret)
{
    struct node n;
    const char *s;
    if (!node_member(obj, name, &n))
        return 0;
    if (node_string(&n, &s) < 0)
        return -1;
    *ret = ac_image_id_canonical(s);
    if (!*ret)
        return node_fault(&n, "\"%.150s\" is not an image ID (sha512- and %d hex digits)", s,
                          AC_IMAGE_ID_DIGITS);
    return 0;
}

/* list_add() counts the NULL at the end as an element. */
int parse_string_item(const struct node *item, void *strings)
{
    struct ac_strings *s = strings;
    const char *text;
    if (node_string(item, &text) < 0)
        return -1;
    size_t used = s->n + (s->v != NULL);
    if (used == 0)
        list_add(&s->v, &used, sizeof(*s->v));
    list_add(&s->v, &used, sizeof(*s->v));
    s->v[s->n++] = xstrdup(text);
    return 0;
}

int parse_strings(const struct node *obj, const char *name, struct ac_strings *ret)
{
    return node_opt_each(obj, name, parse_string_item, ret);
}

int parse_pair_member(const struct node *item, void *pairs)
{
    struct ac_pairs *p = pairs;
    const char *value;
    if (node_string(item, &value) < 0)
        return -1;
    struct ac_pair *pair = list_add(&p->v, &p->n, sizeof(*p->v));
    pair->name = xstrdup(item->key);
    pair->value = xstrdup(value);
    return 0;
}

int parse_user_data(const struct node *obj, struct ac_pairs *annotations, struct ac_pairs *labels)
{
    struct node n;
    if (node_member(obj, "userAnnotations", &n) &&
        node_each_member(&n, parse_pair_member, annotations) < 0)
        return -1;
    if (node_member(obj, "userLabels", &n) && node_each_member(&n, parse_pair_member, labels) < 0)
        return -1;
    return 0;
}

/* A new pair whose value is "" when missing; its name is for the caller to fill. */
static struct ac_pair *add_pair(const struct node *item, struct ac_pairs *p)
{
    if (node_is_object(item) < 0)
        return NULL;
    struct ac_pair *pair = list_add(&p->v, &p->n, sizeof(*p->v));
    if (node_opt_string(item, "value", &pair->value) < 0)
        return NULL;
    if (!pair->value)
        pair->value = xstrdup("");
    return pair;
}

int check_unique(const struct node *obj, const char *list_name, const void *list, size_t n,
                 size_t size)
{
    struct place p;
    size_t i = n > 1 ? list_repeated(list, n, size) : SIZE_MAX;
    if (i == SIZE_MAX)
        return 0;
    const char *name = *(char *const *)((const char *)list + i * size);
    return node_fault(place_of(&p, obj, list_name, i, "name"), "\"%.128s\" is given twice", name);
}

static int parse_label(const struct node *item, void *pairs)
{
    struct ac_pairs *p = pairs;
    struct ac_pair *pair = add_pair(item, p);
    struct node name;
    if (!pair || parse_identifier(item, "name", &pair->name) < 0)
        return -1;
    if (p->n > AC_LABELS_MAX)
        return node_fault(item, "more than %d labels", AC_LABELS_MAX);
    if (strcmp(pair->name, "name") != 0)
        return 0;
    node_member(item, "name", &name);
    return node_fault(&name, "a label can't be called \"name\"");
}

/* The fault of the label called `label`, whose value is wrong. */
static int bad_label(const struct node *obj, const struct ac_pairs *labels, const char *label,
                     const char *known)
{
    struct place p;
    size_t i = 0;
    while (strcmp(labels->v[i].name, label) != 0)
        i++;
    return node_fault(place_of(&p, obj, "labels", i, "value"),
                      "\"%.64s\" is not a known %s (known are %s)", labels->v[i].value, label,
                      known);
}

int parse_labels(const struct node *obj, struct ac_pairs *ret)
{
    if (node_opt_each(obj, "labels", parse_label, ret) < 0 ||
        check_unique(obj, "labels", ret->v, ret->n, sizeof(*ret->v)) < 0)
        return -1;
    const char *os = ac_pairs_get(ret, "os");
    switch (ac_os_arch_check(os, ac_pairs_get(ret, "arch"))) {
    case AC_OS_ARCH_BAD_OS:
        return bad_label(obj, ret, "os", ac_os_names());
    case AC_OS_ARCH_BAD_ARCH:
        return bad_label(obj, ret, "arch", ac_arch_names(os));
    default:
        return 0;
    }
}

static int check_annotation(const struct node *item, const struct ac_pair *pair)
{
    struct node value;
    node_member(item, "value", &value);
    if (strcmp(pair->name, "created") == 0 && !ac_date_valid(pair->value))
        return node_fault(&value, "\"%.64s\" is not a date such as 2015-05-18T13:49:28Z (RFC 3339)",
                          pair->value);
    if ((strcmp(pair->name, "homepage") == 0 || strcmp(pair->name, "documentation") == 0) &&
        !ac_url_valid(pair->value))
        return node_fault(&value, "\"%.128s\" is not an http or https URL", pair->value);
    return 0;
}

static int parse_annotation(const struct node *item, void *pairs)
{
    struct ac_pair *pair = add_pair(item, pairs);
    if (!pair || parse_identifier(item, "name", &pair->name) < 0)
        return -1;
    return check_annotation(item, pair);
}

int parse_annotations(const struct node *obj, struct ac_pairs *ret)
{
    if (node_opt_each(obj, "annotations", parse_annotation, ret) < 0)
        return -1;
    return check_unique(obj, "annotations", ret->v, ret->n, sizeof(*ret->v));
}

static int parse_variable(const struct node *item, void *pairs)
{
    struct ac_pair *pair = add_pair(item, pairs);
    if (!pair)
        return -1;
    return need_valid(item, "name", ac_env_name_valid,
                      "a name of an environment variable (letters, digits, _ . -, no digit first)",
                      &pair->name);
}

int parse_environment(const struct node *obj, struct ac_pairs *ret)
{
    if (node_opt_each(obj, "environment", parse_variable, ret) < 0)
        return -1;
    return check_unique(obj, "environment", ret->v, ret->n, sizeof(*ret->v));
}

struct isolator_list {
    struct ac_isolators *ret;
    bool seen[AC_ISOLATOR_KINDS];
};

static int parse_isolator(const struct node *item, void *ctx)
{
    struct isolator_list *list = ctx;
    struct ac_isolator_view view;
    struct node value;
    if (node_is_object(item) < 0)
        return -1;
    struct ac_isolator *iso = list_add(&list->ret->v, &list->ret->n, sizeof(*iso));
    if (parse_identifier(item, "name", &iso->name) < 0)
        return -1;
    enum ac_isolator_kind kind = ac_isolator_kind(iso->name);
    bool usable = node_member(item, "value", &value) || (value.v && kind == AC_ISOLATOR_UNKNOWN);
    if (!usable)
        return node_need(item, "value", &value);
    if (isolator_check_place(item, kind, list->seen) < 0 ||
        isolator_decode_node(&value, kind, &view) < 0)
        return -1;
    ac_isolator_view_done(&view);
    list->seen[kind] = true;
    /* A tree without text belongs to the caller, who may change it. */
    iso->value = item->r->text ? json_incref(value.v) : json_deep_copy(value.v);
    return 0;
}

int parse_isolators(const struct node *obj, struct ac_isolators *ret)
{
    struct isolator_list list = {.ret = ret};
    return node_opt_each(obj, "isolators", parse_isolator, &list);
}
