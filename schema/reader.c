/* SPDX-License-Identifier: Apache-2.0 */
/* Typed access to a JSON tree by values that know where they stand. */
#include "schema/reader.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"

/* A member whose name differs in case only. The tree keeps the order of first appearance. */
static void find_folded(json_t *obj, const char *name, struct node *ret)
{
    size_t len = strlen(name);
    for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it)) {
        const char *key = json_object_iter_key(it);
        if (json_object_iter_key_len(it) == len && strcasecmp(key, name) == 0) {
            ret->key = key;
            ret->v = json_object_iter_value(it);
        }
    }
}

bool node_member(const struct node *obj, const char *name, struct node *ret)
{
    *ret = (struct node){.r = obj->r, .up = obj, .key = name, .v = json_object_get(obj->v, name)};
    if (!ret->v)
        find_folded(obj->v, name, ret);
    return ret->v && !json_is_null(ret->v);
}

int node_need(const struct node *obj, const char *name, struct node *ret)
{
    if (!node_member(obj, name, ret))
        return node_fault(ret, "is required, but %s", ret->v ? "null" : "missing");
    return 0;
}

const struct node *place_of(struct place *p, const struct node *obj, const char *list, size_t index,
                            const char *member)
{
    node_member(obj, list, &p->list);
    p->item = (struct node){
        .r = obj->r, .up = &p->list, .index = index, .v = json_array_get(p->list.v, index)};
    if (!member)
        return &p->item;
    node_member(&p->item, member, &p->member);
    return &p->member;
}

static const char *type_name(const json_t *v)
{
    if (!v)
        return "nothing";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a fraction or exponent";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

static int wrong_type(const struct node *n, const char *wanted)
{
    return node_fault(n, "must be %s, not %s", wanted, type_name(n->v));
}

int node_is_object(const struct node *n)
{
    return json_is_object(n->v) ? 0 : wrong_type(n, "an object");
}

int node_string(const struct node *n, const char **ret)
{
    if (!json_is_string(n->v))
        return wrong_type(n, "a string");
    const char *s = json_string_value(n->v);
    if (strlen(s) != json_string_length(n->v))
        return node_fault(n, "contains a NUL character");
    *ret = s;
    return 0;
}

int node_bool(const struct node *n, bool *ret)
{
    if (!json_is_boolean(n->v))
        return wrong_type(n, "true or false");
    *ret = json_is_true(n->v);
    return 0;
}

int node_int(const struct node *n, int64_t min, int64_t max, int64_t *ret)
{
    if (!json_is_integer(n->v))
        return wrong_type(n, "an integer");
    int64_t v = json_integer_value(n->v);
    if (v < min || v > max)
        return node_fault(n, "must be from %lld to %lld, not %lld", (long long)min, (long long)max,
                          (long long)v);
    *ret = v;
    return 0;
}

static int copy_string(const struct node *n, char **ret)
{
    const char *s;
    if (node_string(n, &s) < 0)
        return -1;
    *ret = xstrdup(s);
    return 0;
}

int node_need_string(const struct node *obj, const char *name, char **ret)
{
    struct node n;
    if (node_need(obj, name, &n) < 0)
        return -1;
    return copy_string(&n, ret);
}

int node_opt_string(const struct node *obj, const char *name, char **ret)
{
    struct node n;
    return node_member(obj, name, &n) ? copy_string(&n, ret) : 0;
}

int node_opt_bool(const struct node *obj, const char *name, bool *ret)
{
    struct node n;
    return node_member(obj, name, &n) ? node_bool(&n, ret) : 0;
}

int node_opt_int(const struct node *obj, const char *name, int64_t min, int64_t max, int64_t *ret)
{
    struct node n;
    return node_member(obj, name, &n) ? node_int(&n, min, max, ret) : 0;
}

int node_each(const struct node *list, node_each_fn *each, void *ctx)
{
    if (!json_is_array(list->v))
        return wrong_type(list, "a list");
    size_t n = json_array_size(list->v);
    for (size_t i = 0; i < n; i++) {
        struct node item = {.r = list->r, .up = list, .index = i, .v = json_array_get(list->v, i)};
        if (each(&item, ctx) < 0)
            return -1;
    }
    return 0;
}

int node_each_member(const struct node *obj, node_each_fn *each, void *ctx)
{
    if (node_is_object(obj) < 0)
        return -1;
    for (void *it = json_object_iter(obj->v); it; it = json_object_iter_next(obj->v, it)) {
        struct node item = {.r = obj->r,
                            .up = obj,
                            .key = json_object_iter_key(it),
                            .v = json_object_iter_value(it)};
        if (each(&item, ctx) < 0)
            return -1;
    }
    return 0;
}

int node_opt_each(const struct node *obj, const char *name, node_each_fn *each, void *ctx)
{
    struct node list;
    return node_member(obj, name, &list) ? node_each(&list, each, ctx) : 0;
}

void *list_add(void *list, size_t *n, size_t size)
{
    void **v = list;
    if ((*n & (*n - 1)) == 0)
        *v = xreallocarray(*v, *n ? *n * 2 : 1, size);
    void *e = (char *)*v + *n * size;
    memset(e, 0, size);
    (*n)++;
    return e;
}

static int by_name_then_index(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : (x->index > y->index) - (x->index < y->index);
}

void names_order(struct named *names, size_t n)
{
    qsort(names, n, sizeof(*names), by_name_then_index);
}

struct named *names_sort(const void *list, size_t n, size_t size)
{
    struct named *sorted = xcalloc(n, sizeof(*sorted));
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct named){*(char *const *)((const char *)list + i * size), i};
    names_order(sorted, n);
    return sorted;
}

const struct named *names_find(const struct named *sorted, size_t n, const char *name,
                               size_t *ret_count)
{
    size_t low = 0, high = n, count = 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(sorted[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    while (low + count < n && strcmp(sorted[low + count].name, name) == 0)
        count++;
    *ret_count = count;
    return count ? &sorted[low] : NULL;
}

size_t list_repeated(const void *list, size_t n, size_t size)
{
    cleanup_free struct named *sorted = names_sort(list, n, size);
    size_t first = SIZE_MAX;
    for (size_t i = 1; i < n; i++)
        if (strcmp(sorted[i - 1].name, sorted[i].name) == 0 && sorted[i].index < first)
            first = sorted[i].index;
    return first;
}
