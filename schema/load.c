/* SPDX-License-Identifier: Apache-2.0 */
/* Text to JSON tree, with limits that hold before memory is spent. */
#include <string.h>

#include "base/cleanup.h"
#include "schema/reader.h"

struct scan {
    struct reader *r;
    size_t depth;
    size_t containers;
    size_t values;
};

/* Counts one byte outside of strings; -1 with the fault when a limit is passed. */
static int scan_mark(struct scan *s, size_t offset)
{
    switch (s->r->text[offset]) {
    case '{':
    case '[':
        s->containers++;
        s->depth++;
        break;
    case '}':
    case ']':
        s->depth -= s->depth > 0;
        return 0;
    case ',':
        s->values++;
        break;
    default:
        return 0;
    }
    if (s->depth > AC_JSON_DEPTH_MAX)
        return reader_fault(s->r, offset, "nested deeper than %d levels", AC_JSON_DEPTH_MAX);
    if (s->containers > AC_JSON_CONTAINERS_MAX || s->values > AC_JSON_VALUES_MAX)
        return reader_fault(s->r, offset, "more values than a manifest may have");
    return 0;
}

/* Offset behind the string that starts at `i`. */
static size_t scan_string(const char *text, size_t len, size_t i)
{
    for (i++; i < len; i++) {
        if (text[i] == '\\')
            i++;
        else if (text[i] == '"')
            return i + 1;
    }
    return len;
}

static int scan_limits(struct reader *r)
{
    struct scan s = {.r = r};
    size_t i = 0;
    while (i < r->len) {
        if (r->text[i] == '"') {
            i = scan_string(r->text, r->len, i);
            continue;
        }
        if (scan_mark(&s, i) < 0)
            return -1;
        i++;
    }
    return 0;
}

static int scan_text(struct reader *r)
{
    if (r->len > AC_MANIFEST_MAX)
        return reader_fault(r, 0, "%zu bytes are more than the limit of %u for a manifest", r->len,
                            AC_MANIFEST_MAX);
    if (r->len >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0)
        return reader_fault(r, 0, "starts with a byte order mark; remove it");
    const char *nul = r->len ? memchr(r->text, '\0', r->len) : NULL;
    if (nul)
        return reader_fault(r, (size_t)(nul - r->text), "contains a NUL byte");
    return scan_limits(r);
}

static void syntax_fault(struct reader *r, const json_error_t *e)
{
    struct ac_fault *f = r->fault;
    if (!f)
        return;
    memset(f, 0, sizeof(*f));
    f->line = e->line > 0 ? (size_t)e->line : 1;
    f->column = e->column > 0 ? (size_t)e->column : 1;
    switch (json_error_code(e)) {
    case json_error_null_character:
    case json_error_null_byte_in_key:
        fault_message(f, "a string contains a NUL character");
        break;
    case json_error_end_of_input_expected:
        fault_message(f, "not valid JSON: something follows the end of the manifest");
        break;
    default:
        fault_message(f, "not valid JSON: %s", e->text);
    }
}

json_t *reader_load(struct reader *r)
{
    json_error_t e;
    if (scan_text(r) < 0)
        return NULL;
    json_t *root = json_loadb(r->text, r->len, 0, &e);
    if (!root)
        syntax_fault(r, &e);
    return root;
}

static bool deeper_than(json_t *v, size_t max)
{
    const char *key;
    json_t *item;
    size_t i;
    if (!json_is_object(v) && !json_is_array(v))
        return false;
    if (max == 0)
        return true;
    json_object_foreach (v, key, item)
        if (deeper_than(item, max - 1))
            return true;
    json_array_foreach (v, i, item)
        if (deeper_than(item, max - 1))
            return true;
    return false;
}

int reader_check_depth(struct reader *r, json_t *root)
{
    struct node n = {.r = r, .v = root};
    if (deeper_than(root, AC_JSON_DEPTH_MAX))
        return node_fault(&n, "nested deeper than %d levels", AC_JSON_DEPTH_MAX);
    return 0;
}
