/* SPDX-License-Identifier: Apache-2.0 */
/* What a layer's tar has beside names: whiteouts, and hard links to the layers below. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/image/tar-read.h"

#define WHITEOUT ".wh."
#define OPAQUE   ".wh..wh..opq"

bool reader_is_whiteout(const struct reader *r)
{
    const struct part *last = &r->parts.v[r->parts.n - 1];
    return last->len >= strlen(WHITEOUT) && memcmp(last->p, WHITEOUT, strlen(WHITEOUT)) == 0;
}

int reader_whiteout(struct reader *r, struct tree_node *dir, struct err *err)
{
    const struct part *last = &r->parts.v[r->parts.n - 1];
    const char *name = last->p + strlen(WHITEOUT);
    size_t len = last->len - strlen(WHITEOUT);
    struct tree_whiteout w = {.dir = dir};
    if (len > TREE_NAME_MAX)
        return err_set(err, ENAMETOOLONG, "a whiteout of %zu bytes", len);
    if (len == 0 || (len == 1 && *name == '.') || (len == 2 && memcmp(name, "..", 2) == 0))
        return err_set(err, 0, "a whiteout of nothing");
    if (!part_is(last, OPAQUE)) {
        if (str_starts(name, WHITEOUT)) /* aufs kept its own notes under such names */
            return 0;
        w.name = arena_strndup(r->b.arena, name, len);
        w.name_len = (uint32_t)len;
    }
    if (builder_charge(&r->b, sizeof(w) + len, err) < 0)
        return -1;
    array_grow(&r->whiteouts, r->nwhiteouts, &r->whiteouts_cap, sizeof(w));
    r->whiteouts[r->nwhiteouts++] = w;
    return 0;
}

static int by_dir(const void *a, const void *b)
{
    const struct tree_whiteout *x = a, *y = b;
    if (x->dir->id != y->dir->id)
        return x->dir->id < y->dir->id ? -1 : 1;
    return (x->name != NULL) - (y->name != NULL); /* "all" comes first */
}

/* "a/b" of a target, cleaned. */
static const char *link_path(struct reader *r, const char *path, struct arena *arena)
{
    cleanup_with(buf_free) struct buf b = {0};
    (void)parts_split(&r->parts, path, NULL); /* it was split before */
    for (size_t k = 0; k < r->parts.n; k++) {
        if (k)
            buf_addc(&b, '/');
        buf_add(&b, r->parts.v[k].p, r->parts.v[k].len);
    }
    return arena_strndup(arena, b.data, b.len);
}

void reader_finish_layer(struct reader *r, size_t foreign, struct tree *t)
{
    if (r->nwhiteouts)
        qsort(r->whiteouts, r->nwhiteouts, sizeof(*r->whiteouts), by_dir);
    t->whiteouts = arena_memdup(t->arena, r->whiteouts, r->nwhiteouts * sizeof(*r->whiteouts));
    t->nwhiteouts = (uint32_t)r->nwhiteouts;
    struct tree_link *links = arena_alloc(t->arena, foreign * sizeof(*links));
    for (size_t k = 0; k < foreign; k++)
        links[k] = (struct tree_link){.node = r->links[k].node,
                                      .path = link_path(r, r->links[k].path, t->arena)};
    t->links = links;
    t->nlinks = (uint32_t)foreign;
}
