/* SPDX-License-Identifier: Apache-2.0 */
/* Reading members of the JSON of OCI images. */
#include "fetch/oci/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "fetch/oci/document.h"
#include "schema/value.h"

int oci_json_load(const char *text, size_t len, const char *name, json_t **ret, struct err *err)
{
    json_error_t where;
    if (len > OCI_DOCUMENT_MAX)
        return err_set(err, 0, "%s has %zu bytes (%u are allowed)", name, len, OCI_DOCUMENT_MAX);
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return err_set(err, 0, "%s:%d:%d: invalid JSON: %s", name, where.line, where.column,
                       where.text);
    *ret = root;
    return 0;
}

int oci_json_string(const json_t *o, const char *member, const char *name, char **ret,
                    struct err *err)
{
    const json_t *j = json_object_get(o, member);
    if (!j || json_is_null(j))
        return 0;
    if (!json_is_string(j))
        return err_set(err, 0, "%s: \"%s\" is not a string", name, member);
    if (json_string_length(j))
        *ret = xstrdup(json_string_value(j));
    return 0;
}

int oci_json_strings(const json_t *o, const char *member, const char *name, struct ac_strings *ret,
                     struct err *err)
{
    const json_t *list = json_object_get(o, member), *item;
    size_t i;
    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list) || json_array_size(list) > OCI_LIST_MAX)
        return err_set(err, 0, "%s: \"%s\" is not a list of at most %d strings", name, member,
                       OCI_LIST_MAX);
    if (json_array_size(list) == 0)
        return 0;
    ret->v = xcalloc(json_array_size(list) + 1, sizeof(*ret->v));
    json_array_foreach (list, i, item) {
        if (!json_is_string(item))
            return err_set(err, 0, "%s: \"%s\"[%zu] is not a string", name, member, i);
        ret->v[ret->n++] = xstrdup(json_string_value(item));
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ac_pair *)a)->name, ((const struct ac_pair *)b)->name);
}

/* The object, NULL for none; -1 when it is something else or too large. */
static int object_of(const json_t *o, const char *member, const char *name, json_t **ret,
                     struct err *err)
{
    json_t *j = json_object_get(o, member);
    *ret = NULL;
    if (!j || json_is_null(j))
        return 0;
    if (!json_is_object(j) || json_object_size(j) > OCI_LIST_MAX)
        return err_set(err, 0, "%s: \"%s\" is not an object of at most %d members", name, member,
                       OCI_LIST_MAX);
    *ret = j;
    return 0;
}

int oci_json_keys(const json_t *o, const char *member, const char *name, struct ac_strings *ret,
                  struct err *err)
{
    json_t *object, *value;
    const char *key;
    if (object_of(o, member, name, &object, err) < 0)
        return -1;
    if (!object || json_object_size(object) == 0)
        return 0;
    ret->v = xcalloc(json_object_size(object) + 1, sizeof(*ret->v));
    json_object_foreach (object, key, value)
        ret->v[ret->n++] = xstrdup(key);
    qsort(ret->v, ret->n, sizeof(*ret->v), by_text);
    return 0;
}

int oci_json_pairs(const json_t *o, const char *member, const char *name, struct ac_pairs *ret,
                   struct err *err)
{
    json_t *object, *value;
    const char *key;
    if (object_of(o, member, name, &object, err) < 0)
        return -1;
    if (!object || json_object_size(object) == 0)
        return 0;
    ret->v = xcalloc(json_object_size(object), sizeof(*ret->v));
    json_object_foreach (object, key, value) {
        if (!json_is_string(value))
            return err_set(err, 0, "%s: \"%s\".\"%.64s\" is not a string", name, member, key);
        ret->v[ret->n++] =
            (struct ac_pair){.name = xstrdup(key), .value = xstrdup(json_string_value(value))};
    }
    qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
    return 0;
}
