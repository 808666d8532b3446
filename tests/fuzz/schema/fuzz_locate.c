/* SPDX-License-Identifier: Apache-2.0 */
/* Positions: the text at the place that was found has to hold the value of the parsed tree. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "schema/locate.h"

#define DEPTH_MAX  8
#define CHECKS_MAX 200 /* an input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
    const char *text;
    size_t len;
    struct locate_step steps[DEPTH_MAX];
    unsigned checks;
};

/* The byte at a line and column. */
static size_t offset_of(const char *text, size_t len, size_t line, size_t column)
{
    size_t l, c;
    for (size_t i = 0; i <= len; i++) {
        locate_offset(text, i, &l, &c);
        if (l == line && c == column)
            return i;
    }
    abort();
}

static void check_value(struct walk *w, size_t depth, json_t *value)
{
    size_t line, column;
    locate(w->text, w->len, w->steps, depth, &line, &column);
    size_t at = offset_of(w->text, w->len, line, column);
    json_t *found =
        json_loadb(w->text + at, w->len - at, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
    if (!found || !json_equal(found, value))
        abort();
    json_decref(found);
}

static void walk(struct walk *w, size_t depth, json_t *value)
{
    const char *key;
    json_t *item;
    size_t i;
    if (w->checks++ >= CHECKS_MAX)
        return;
    check_value(w, depth, value);
    if (depth == DEPTH_MAX)
        return;
    json_object_foreach (value, key, item) {
        w->steps[depth] = (struct locate_step){key, 0};
        walk(w, depth + 1, item);
    }
    json_array_foreach (value, i, item) {
        w->steps[depth] = (struct locate_step){NULL, i};
        walk(w, depth + 1, item);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct locate_step any[] = {{"a", 0}, {NULL, 1}, {"name", 0}};
    struct walk w = {.text = (const char *)data, .len = size};
    size_t line, column;
    locate(w.text, w.len, any, 3, &line, &column);
    json_t *tree = size <= 2048 ? json_loadb(w.text, w.len, 0, NULL) : NULL;
    if (tree)
        walk(&w, 0, tree);
    json_decref(tree);
    return 0;
}
