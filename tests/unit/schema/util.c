/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the tests of schema/. */
#include "tests/unit/schema/util.h"

#include <stdio.h>

#include "base/mem.h"

char *quoted(const char *json)
{
    char *s = xstrdup(json);
    for (char *p = s; *p; p++)
        if (*p == '\'')
            *p = '"';
    return s;
}

/* A copy without a NUL behind it, so that reading too far is noticed. */
static char *unterminated(const char *s, size_t n)
{
    char *copy = xmalloc(n);
    memcpy(copy, s, n);
    return copy;
}

typedef int parse_fn(const char *text, size_t len, void **ret, struct ac_fault *fault);

static int parse_image(const char *text, size_t len, void **ret, struct ac_fault *fault)
{
    return ac_image_manifest_parse(text, len, (struct ac_image_manifest **)ret, fault);
}

static int parse_pod(const char *text, size_t len, void **ret, struct ac_fault *fault)
{
    return ac_pod_manifest_parse(text, len, false, (struct ac_pod_manifest **)ret, fault);
}

static int parse_template(const char *text, size_t len, void **ret, struct ac_fault *fault)
{
    return ac_pod_manifest_parse(text, len, true, (struct ac_pod_manifest **)ret, fault);
}

static void *parse_valid(const char *json, parse_fn *parse)
{
    cleanup_free char *text = quoted(json);
    cleanup_free char *copy = unterminated(text, strlen(text));
    struct ac_fault fault = {0};
    void *m = NULL;
    if (parse(copy, strlen(text), &m, &fault) < 0)
        fail_msg("%s\nrefused: %s: %zu:%zu: %s", text, fault.path, fault.line, fault.column,
                 fault.msg);
    return m;
}

/* Prints, parses and prints again: both trees have to be equal. */
static void *round_trip(void *m, json_t *printed, parse_fn *parse, json_t *(*print)(const void *),
                        void (*release)(void *))
{
    cleanup_free char *text = json_dumps(printed, 0);
    void *again = parse_valid(text, parse);
    json_t *second = print(again);
    if (!json_equal(printed, second))
        fail_msg("not the same after printing: %s", text);
    json_decref(printed);
    json_decref(second);
    release(again);
    return m;
}

static json_t *print_image(const void *m)
{
    return ac_image_manifest_to_json(m);
}

static json_t *print_pod(const void *m)
{
    return ac_pod_manifest_to_json(m);
}

static void free_image(void *m)
{
    ac_image_manifest_free(m);
}

static void free_pod(void *m)
{
    ac_pod_manifest_free(m);
}

struct ac_image_manifest *image_of(const char *json)
{
    void *m = parse_valid(json, parse_image);
    return round_trip(m, print_image(m), parse_image, print_image, free_image);
}

struct ac_pod_manifest *pod_of(const char *json)
{
    void *m = parse_valid(json, parse_pod);
    return round_trip(m, print_pod(m), parse_pod, print_pod, free_pod);
}

struct ac_pod_manifest *pod_template_of(const char *json)
{
    void *m = parse_valid(json, parse_template);
    return round_trip(m, print_pod(m), parse_template, print_pod, free_pod);
}

/* A fault has a path, a position, and says why in one line. */
static void check_fault(const struct row *row, parse_fn *parse)
{
    cleanup_free char *text = quoted(row->json);
    cleanup_free char *copy = unterminated(text, strlen(text));
    static char untouched;
    struct ac_fault fault = {0};
    void *m = &untouched;
    if (parse(copy, strlen(text), &m, &fault) == 0)
        fail_msg("%s\naccepted, should fail at %s (%s)", text, row->path, row->msg);
    assert_ptr_equal(m, &untouched);
    if (strcmp(fault.path, row->path) != 0 || !strstr(fault.msg, row->msg))
        fail_msg("%s\nfails at %s (%s), should at %s (%s)", text, fault.path, fault.msg, row->path,
                 row->msg);
    assert_true(fault.line >= 1 && fault.column >= 1);
    assert_null(strchr(fault.msg, '\n'));
    assert_int_not_equal(fault.msg[strlen(fault.msg) - 1], '.');
}

void check_image_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].path)
            check_fault(&rows[i], parse_image);
        else
            ac_image_manifest_free(image_of(rows[i].json));
}

void check_pod_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].path)
            check_fault(&rows[i], parse_pod);
        else
            ac_pod_manifest_free(pod_of(rows[i].json));
}
