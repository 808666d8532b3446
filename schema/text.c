/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text forms of volumes, mount points and ports: they become the JSON object
 * that stands for the same thing, so that there is one set of checks.
 */
#include "schema/text.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "schema/parse.h"
#include "schema/value.h"

enum value_type { TEXT_STRING, TEXT_BOOL, TEXT_NUMBER };

struct text_key {
    const char *name;
    enum value_type type;
};

#define NUMBER_MAX UINT32_MAX

static const struct text_key volume_keys[] = {
    {"kind", TEXT_STRING},    {"source", TEXT_STRING}, {"readOnly", TEXT_BOOL},
    {"recursive", TEXT_BOOL}, {"mode", TEXT_STRING},   {"uid", TEXT_NUMBER},
    {"gid", TEXT_NUMBER},     {NULL, TEXT_STRING},
};
static const struct text_key mount_point_keys[] = {
    {"path", TEXT_STRING},
    {"readOnly", TEXT_BOOL},
    {NULL, TEXT_STRING},
};
static const struct text_key port_keys[] = {
    {"protocol", TEXT_STRING},      {"port", TEXT_NUMBER}, {"count", TEXT_NUMBER},
    {"socketActivated", TEXT_BOOL}, {NULL, TEXT_STRING},
};

/* One part between two commas. */
struct part {
    const char *start;
    size_t key_len; /* up to the "=" */
    const char *value;
    size_t value_len;
};

/* The part that starts at `p`; false when it is no KEY=VALUE. */
static bool split_part(const char *p, struct part *ret)
{
    size_t len = strcspn(p, ",");
    const char *equals = memchr(p, '=', len);
    ret->start = p;
    ret->key_len = equals ? (size_t)(equals - p) : len;
    ret->value = equals ? equals + 1 : p + len;
    ret->value_len = equals ? len - ret->key_len - 1 : 0;
    return equals && equals > p;
}

static const struct text_key *find_key(const struct text_key *keys, const struct part *p)
{
    for (; keys->name; keys++)
        if (strlen(keys->name) == p->key_len && memcmp(keys->name, p->start, p->key_len) == 0)
            return keys;
    return NULL;
}

static json_t *text_bool(const char *s)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
        if (strcmp(s, yes[i]) == 0)
            return json_true();
    for (size_t i = 0; i < ARRAY_SIZE(no); i++)
        if (strcmp(s, no[i]) == 0)
            return json_false();
    return NULL;
}

static json_t *text_value(enum value_type type, const char *s)
{
    uint64_t v;
    switch (type) {
    case TEXT_BOOL:
        return text_bool(s);
    case TEXT_NUMBER:
        return parse_u64(s, NUMBER_MAX, &v) == 0 ? json_integer((json_int_t)v) : NULL;
    default:
        return json_string(s);
    }
}

static int add_part(const char *text, const struct part *p, const struct text_key *keys,
                    json_t *obj, struct ac_fault *fault)
{
    static const char *const wanted[] = {[TEXT_STRING] = "is not UTF-8",
                                         [TEXT_BOOL] = "is neither true nor false",
                                         [TEXT_NUMBER] = "is not a number from 0 to 4294967295"};
    size_t offset = (size_t)(p->start - text);
    const struct text_key *key = find_key(keys, p);
    if (!key)
        return text_fault(fault, "", offset, "unknown key \"%.*s\"",
                          p->key_len < 64 ? (int)p->key_len : 64, p->start);
    if (json_object_get(obj, key->name))
        return text_fault(fault, key->name, offset, "is given twice");
    cleanup_free char *s = xstrndup(p->value, p->value_len);
    json_t *value = text_value(key->type, s);
    if (!value)
        return text_fault(fault, key->name, offset, "\"%.64s\" %s", s, wanted[key->type]);
    json_object_set_new(obj, key->name, value);
    return 0;
}

/* The text as a JSON object, which the caller decrefs; NULL with the fault. */
static json_t *text_object(const char *text, const struct text_key *keys, struct ac_fault *fault)
{
    json_t *obj = json_object();
    const char *p = text + strcspn(text, ",");
    json_t *name = json_stringn(text, (size_t)(p - text));
    int result = name ? json_object_set_new(obj, "name", name)
                      : text_fault(fault, "name", 0, "is not UTF-8");
    while (result == 0 && *p) {
        struct part part;
        if (split_part(++p, &part))
            result = add_part(text, &part, keys, obj, fault);
        else
            result = text_fault(fault, "", (size_t)(p - text), "\"%.*s\" is not KEY=VALUE",
                                part.key_len < 64 ? (int)part.key_len : 64, p);
        p += strcspn(p, ",");
    }
    if (result == 0)
        return obj;
    json_decref(obj);
    return NULL;
}

/* Turns the fault of the object into one of the text: "$.kind" is the part "kind". */
static void translate_fault(const char *text, const struct ac_fault *inner, struct ac_fault *fault)
{
    const char *key = str_starts(inner->path, "$.") ? inner->path + 2 : "";
    size_t offset = 0, len = strlen(key);
    for (const char *p = strchr(text, ','); p; p = strchr(p, ',')) {
        p++;
        if (strncmp(p, key, len) == 0 && p[len] == '=')
            offset = (size_t)(p - text);
    }
    text_fault_place(fault, key, offset);
    fault_message(fault, "%s", inner->msg);
}

typedef int parse_fn(const struct node *obj, void *ret);

static int parse_text(const char *text, const struct text_key *keys, parse_fn *parse, void *ret,
                      struct ac_fault *fault)
{
    struct ac_fault inner;
    struct reader r = {.fault = &inner};
    struct node root = {.r = &r, .v = text_object(text, keys, fault)};
    if (!root.v)
        return -1;
    int result = parse(&root, ret);
    if (result < 0)
        translate_fault(text, &inner, fault);
    json_decref(root.v);
    return result;
}

static int volume_fn(const struct node *obj, void *ret)
{
    return parse_volume(obj, ret);
}

static int mount_point_fn(const struct node *obj, void *ret)
{
    return parse_mount_point(obj, ret);
}

static int port_fn(const struct node *obj, void *ret)
{
    return parse_port(obj, ret);
}

int ac_volume_parse_text(const char *text, struct ac_volume *ret, struct ac_fault *fault)
{
    cleanup_with(ac_volume_done) struct ac_volume v = {0};
    if (parse_text(text, volume_keys, volume_fn, &v, fault) < 0)
        return -1;
    *ret = v;
    v = (struct ac_volume){0};
    return 0;
}

int ac_mount_point_parse_text(const char *text, struct ac_mount_point *ret, struct ac_fault *fault)
{
    cleanup_with(ac_mount_point_done) struct ac_mount_point m = {0};
    if (parse_text(text, mount_point_keys, mount_point_fn, &m, fault) < 0)
        return -1;
    *ret = m;
    m = (struct ac_mount_point){0};
    return 0;
}

int ac_port_parse_text(const char *text, struct ac_port *ret, struct ac_fault *fault)
{
    cleanup_with(ac_port_done) struct ac_port p = {0};
    if (parse_text(text, port_keys, port_fn, &p, fault) < 0)
        return -1;
    *ret = p;
    p = (struct ac_port){0};
    return 0;
}
