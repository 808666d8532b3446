/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for: telling requests apart, and judging what came. */
#include "fetch/want.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "schema/value.h"

static char *copy_or_null(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

void fetch_want_dependency(const struct ac_dependency *dep, struct fetch_want *ret)
{
    *ret = (struct fetch_want){
        .name = xstrdup(dep->image_name),
        .image_id = copy_or_null(dep->image_id),
        .has_size = dep->has_size,
        .size = dep->size,
        .dependency = true,
    };
    ac_pairs_copy(&ret->labels, &dep->labels);
}

void fetch_want_copy(struct fetch_want *dst, const struct fetch_want *src)
{
    *dst = *src;
    dst->name = copy_or_null(src->name);
    dst->url = copy_or_null(src->url);
    dst->file = copy_or_null(src->file);
    dst->oci = copy_or_null(src->oci);
    dst->oci_name = copy_or_null(src->oci_name);
    dst->signature = copy_or_null(src->signature);
    dst->image_id = copy_or_null(src->image_id);
    ac_pairs_copy(&dst->labels, &src->labels);
}

void fetch_want_done(struct fetch_want *w)
{
    free(w->name);
    free(w->url);
    free(w->file);
    free(w->oci);
    free(w->oci_name);
    free(w->signature);
    free(w->image_id);
    ac_pairs_done(&w->labels);
    *w = (struct fetch_want){0};
}

void fetch_image_done(struct fetch_image *i)
{
    free(i->id);
    ac_image_manifest_free(i->manifest);
    *i = (struct fetch_image){0};
}

char *fetch_want_text(const struct fetch_want *w)
{
    struct buf b = {0};
    const char *own[] = {w->name, w->url, w->file, w->oci, w->image_id, ""};
    size_t first = 0;
    while (!own[first])
        first++;
    buf_adds(&b, own[first]);
    for (size_t i = 0; i < w->labels.n; i++)
        buf_printf(&b, ",%s=%s", w->labels.v[i].name, w->labels.v[i].value);
    return buf_take(&b);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ac_pair *)a)->name, ((const struct ac_pair *)b)->name);
}

/* Lengths before the texts, so that no choice of values makes two different requests look alike. */
static void add_part(struct buf *b, const char *text)
{
    buf_printf(b, "%zd:%s", text ? (ssize_t)strlen(text) : (ssize_t)-1, text ? text : "");
}

char *want_key(const struct fetch_want *w)
{
    struct buf b = {0};
    struct ac_pairs sorted = {0};
    ac_pairs_copy(&sorted, &w->labels);
    if (sorted.n)
        qsort(sorted.v, sorted.n, sizeof(*sorted.v), by_name);
    add_part(&b, w->name);
    add_part(&b, w->url);
    add_part(&b, w->file);
    add_part(&b, w->oci);
    add_part(&b, w->oci_name);
    add_part(&b, w->signature);
    add_part(&b, w->image_id);
    buf_printf(&b, "%d:%d:%llu", w->dependency, w->has_size, (unsigned long long)w->size);
    for (size_t i = 0; i < sorted.n; i++) {
        add_part(&b, sorted.v[i].name);
        add_part(&b, sorted.v[i].value);
    }
    ac_pairs_done(&sorted);
    return buf_take(&b);
}

void want_template_labels(const struct fetch_want *w, const char *os, const char *arch,
                          struct ac_pairs *ret)
{
    ac_pairs_copy(ret, &w->labels);
    if (!ac_pairs_get(ret, "os"))
        ac_pairs_add(ret, "os", os);
    if (!ac_pairs_get(ret, "arch"))
        ac_pairs_add(ret, "arch", arch);
}

static int check_label(const struct ac_pair *want, const struct ac_image_manifest *m,
                       struct err *err)
{
    const char *have = ac_pairs_get(&m->labels, want->name);
    /* An empty version asks for the latest, as in "name:" (DISC-10). */
    if (strcmp(want->name, "version") == 0 && !*want->value)
        return 0;
    if (str_eq(have, want->value))
        return 0;
    if (!have)
        return err_set(err, 0, "the image that came has no label %s; %s was asked for", want->name,
                       want->value);
    return err_set(err, 0, "the image that came has the label %s=%s, but %s was asked for",
                   want->name, have, want->value);
}

static int check_default(const struct fetch_want *w, const char *name, const char *host,
                         const struct ac_image_manifest *m, struct err *err)
{
    const char *have = ac_pairs_get(&m->labels, name);
    if (w->dependency || ac_pairs_get(&w->labels, name) || !have || strcmp(have, host) == 0)
        return 0;
    return err_set(err, 0, "the image that came is for %s=%s; this machine is %s", name, have,
                   host);
}

int want_check(const struct fetch_want *w, const char *os, const char *arch, const char *image_id,
               const struct ac_image_manifest *m, struct err *err)
{
    if (w->name && strcmp(w->name, m->name) != 0)
        return err_set(err, 0, "the image that came is called %s", m->name);
    for (size_t i = 0; i < w->labels.n; i++)
        if (check_label(&w->labels.v[i], m, err) < 0)
            return -1;
    if (w->name &&
        (check_default(w, "os", os, m, err) < 0 || check_default(w, "arch", arch, m, err) < 0))
        return -1;
    if (w->image_id && strcasecmp(w->image_id, image_id) != 0)
        return err_set(err, 0, "the image that came has the ID %.20s…, but %.20s… was asked for",
                       image_id, w->image_id);
    return 0;
}
