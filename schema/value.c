/* SPDX-License-Identifier: Apache-2.0 */
/* The small structures that manifests are made of: add, copy, release. */
#include "schema/value.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static char *copy_or_null(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

void ac_strings_add(struct ac_strings *s, const char *text)
{
    s->v = xreallocarray(s->v, s->n + 2, sizeof(*s->v));
    s->v[s->n++] = xstrdup(text);
    s->v[s->n] = NULL;
}

void ac_strings_copy(struct ac_strings *dst, const struct ac_strings *src)
{
    *dst = (struct ac_strings){0};
    if (src->n == 0)
        return;
    dst->v = xcalloc(src->n + 1, sizeof(*dst->v));
    for (; dst->n < src->n; dst->n++)
        dst->v[dst->n] = xstrdup(src->v[dst->n]);
}

void ac_strings_done(struct ac_strings *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (struct ac_strings){0};
}

static struct ac_pair *find_pair(const struct ac_pairs *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].name, name) == 0)
            return &p->v[i];
    return NULL;
}

const char *ac_pairs_get(const struct ac_pairs *p, const char *name)
{
    const struct ac_pair *pair = find_pair(p, name);
    return pair ? pair->value : NULL;
}

void ac_pairs_add(struct ac_pairs *p, const char *name, const char *value)
{
    p->v = xreallocarray(p->v, p->n + 1, sizeof(*p->v));
    p->v[p->n++] = (struct ac_pair){xstrdup(name), xstrdup(value)};
}

void ac_pairs_set(struct ac_pairs *p, const char *name, const char *value)
{
    struct ac_pair *pair = find_pair(p, name);
    if (!pair) {
        ac_pairs_add(p, name, value);
        return;
    }
    char *copy = xstrdup(value);
    free(pair->value);
    pair->value = copy;
}

void ac_pairs_copy(struct ac_pairs *dst, const struct ac_pairs *src)
{
    *dst = (struct ac_pairs){0};
    if (src->n == 0)
        return;
    dst->v = xcalloc(src->n, sizeof(*dst->v));
    for (; dst->n < src->n; dst->n++)
        dst->v[dst->n] =
            (struct ac_pair){xstrdup(src->v[dst->n].name), xstrdup(src->v[dst->n].value)};
}

void ac_pairs_done(struct ac_pairs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].name);
        free(p->v[i].value);
    }
    free(p->v);
    *p = (struct ac_pairs){0};
}

void ac_isolators_copy(struct ac_isolators *dst, const struct ac_isolators *src)
{
    *dst = (struct ac_isolators){0};
    if (src->n == 0)
        return;
    dst->v = xcalloc(src->n, sizeof(*dst->v));
    for (; dst->n < src->n; dst->n++) {
        json_t *value = json_deep_copy(src->v[dst->n].value);
        if (!value)
            die_oom();
        dst->v[dst->n] = (struct ac_isolator){xstrdup(src->v[dst->n].name), value};
    }
}

void ac_isolators_done(struct ac_isolators *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].name);
        json_decref(l->v[i].value);
    }
    free(l->v);
    *l = (struct ac_isolators){0};
}

void ac_mount_point_copy(struct ac_mount_point *dst, const struct ac_mount_point *src)
{
    *dst = *src;
    dst->name = copy_or_null(src->name);
    dst->path = copy_or_null(src->path);
}

void ac_mount_point_done(struct ac_mount_point *m)
{
    free(m->name);
    free(m->path);
    *m = (struct ac_mount_point){0};
}

void ac_port_copy(struct ac_port *dst, const struct ac_port *src)
{
    *dst = *src;
    dst->name = copy_or_null(src->name);
    dst->protocol = copy_or_null(src->protocol);
}

void ac_port_done(struct ac_port *p)
{
    free(p->name);
    free(p->protocol);
    *p = (struct ac_port){0};
}

void ac_volume_copy(struct ac_volume *dst, const struct ac_volume *src)
{
    *dst = *src;
    dst->name = copy_or_null(src->name);
    dst->source = copy_or_null(src->source);
}

void ac_volume_done(struct ac_volume *v)
{
    free(v->name);
    free(v->source);
    *v = (struct ac_volume){0};
}
