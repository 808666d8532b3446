/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of manifests: their path, position and message. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "schema/locate.h"
#include "schema/reader.h"
#include "schema/utf8.h"

/* No schema goes deeper than this; the levels of an isolator's value count too. */
#define STEPS_MAX 24
/* Longest member name that a path shows in full. */
#define KEY_SHOWN 64

/* Length of the character at s if it may be shown: well-formed and no control; else 0. */
static size_t shown_char(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    if (p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0))
        return 0;
    return utf8_char(s);
}

static void neutralise(char *s)
{
    while (*s) {
        size_t n = shown_char(s);
        if (n == 0)
            *s = '?';
        s += n ? n : 1;
    }
}

void fault_message(struct ac_fault *f, const char *fmt, ...)
{
    va_list ap;
    if (!f)
        return;
    va_start(ap, fmt);
    if (vsnprintf(f->msg, sizeof(f->msg), fmt, ap) < 0)
        f->msg[0] = '\0';
    va_end(ap);
    neutralise(f->msg);
}

static bool plain_key(const char *key)
{
    size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return n > 0 && n <= KEY_SHOWN && key[n] == '\0';
}

static void add_step(struct buf *b, const struct node *n)
{
    if (!n->key)
        buf_printf(b, "[%zu]", n->index);
    else if (plain_key(n->key))
        buf_printf(b, ".%s", n->key);
    else
        buf_printf(b, "[\"%.*s%s\"]", KEY_SHOWN, n->key,
                   strnlen(n->key, KEY_SHOWN + 1) > KEY_SHOWN ? "..." : "");
}

/* The nodes from the first below the root to n; returns how many. */
static size_t collect_steps(const struct node *n, const struct node **steps)
{
    size_t depth = 0, i;
    for (const struct node *p = n; p->up; p = p->up)
        depth++;
    for (; depth > STEPS_MAX; depth--)
        n = n->up;
    for (i = depth; i > 0; i--, n = n->up)
        steps[i - 1] = n;
    return depth;
}

static void set_place(struct ac_fault *f, const struct reader *r, const struct node **nodes,
                      size_t n)
{
    struct locate_step steps[STEPS_MAX];
    cleanup_with(buf_free) struct buf path = {0};
    buf_addc(&path, '$');
    for (size_t i = 0; i < n; i++) {
        steps[i] = (struct locate_step){nodes[i]->key, nodes[i]->index};
        add_step(&path, nodes[i]);
    }
    snprintf(f->path, sizeof(f->path), "%s", path.data);
    neutralise(f->path);
    if (r->text)
        locate(r->text, r->len, steps, n, &f->line, &f->column);
}

void node_fault_place(const struct node *n)
{
    struct ac_fault *f = n->r->fault;
    if (!f)
        return;
    const struct node *nodes[STEPS_MAX];
    size_t depth = collect_steps(n, nodes);
    memset(f, 0, sizeof(*f));
    set_place(f, n->r, nodes, depth);
}

void reader_fault_place(struct reader *r, size_t offset)
{
    struct ac_fault *f = r->fault;
    if (!f)
        return;
    memset(f, 0, sizeof(*f));
    locate_offset(r->text, offset, &f->line, &f->column);
}

void text_fault_place(struct ac_fault *f, const char *key, size_t offset)
{
    if (!f)
        return;
    memset(f, 0, sizeof(*f));
    snprintf(f->path, sizeof(f->path), "%s", key);
    neutralise(f->path);
    f->column = offset + 1;
}

void ac_fault_to_err(const struct ac_fault *f, const char *file, struct err *err)
{
    char place[64] = "";
    if (f->line > 0)
        snprintf(place, sizeof(place), "%zu:%zu: ", f->line, f->column);
    err_set(err, 0, "%s: %s%s%s%s", file, f->path, f->path[0] ? ": " : "", place, f->msg);
}
