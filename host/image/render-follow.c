/* SPDX-License-Identifier: Apache-2.0 */
/* Symbolic links on the way of a layer's names, followed inside the tree that is composed. */
#include "host/image/render-follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/image/tree-build.h"

void follow_reset(struct follow *f)
{
    if (f->ntouched)
        memset(f->touched, 0, f->ntouched * sizeof(*f->touched));
}

void follow_done(struct follow *f)
{
    free(f->touched);
}

bool follow_touched(const struct follow *f, const struct tree_node *n)
{
    return n->id < f->ntouched && f->touched[n->id];
}

static void make_room(struct follow *f)
{
    size_t want = f->b->nnodes + f->b->nnodes / 2;
    f->touched = xreallocarray(f->touched, want, sizeof(*f->touched));
    memset(f->touched + f->ntouched, 0, (want - f->ntouched) * sizeof(*f->touched));
    f->ntouched = want;
}

void follow_touch(struct follow *f, const struct tree_node *n)
{
    if (f->b->nnodes > f->ntouched)
        make_room(f);
    for (; n && !f->touched[n->id]; n = n->parent)
        f->touched[n->id] = true;
}

/* Where a walk is, and what is left of the way. */
struct walk {
    struct follow *f;
    struct tree_node *at; /* NULL: there is no such directory, and none is wanted */
    char *text;           /* owns what rest is in */
    const char *rest;
    unsigned links;
    bool make;
};

static void walk_done(struct walk *w)
{
    free(w->text);
}

/* Puts `len` bytes of text before what is left. */
static int take_text(struct walk *w, const char *text, size_t len, struct err *err)
{
    size_t left = w->rest ? strlen(w->rest) : 0;
    w->f->walked += len + left + 1;
    if (w->f->walked > FOLLOW_BYTES_MAX)
        return err_set(err, E2BIG, "the layers go through too many symbolic links");
    char *joined = xmalloc(len + left + 2);
    memcpy(joined, text, len);
    joined[len] = '/';
    memcpy(joined + len + 1, w->rest ? w->rest : "", left + 1);
    free(w->text);
    w->text = joined;
    w->rest = joined;
    if (*joined == '/')
        w->at = w->f->b->nodes[0];
    return 0;
}

static int step_into(struct walk *w, const char *name, size_t len, struct err *err)
{
    struct builder *b = w->f->b;
    struct tree_node *next = builder_find(b, w->at, name, len);
    if (next && S_ISLNK(next->inode->mode)) {
        if (++w->links > FOLLOW_LINKS_MAX)
            return err_set(err, ELOOP, "more than %d symbolic links, one after the other",
                           FOLLOW_LINKS_MAX);
        return take_text(w, next->inode->link, strlen(next->inode->link), err);
    }
    if (next && !S_ISDIR(next->inode->mode)) {
        if (w->make)
            return err_set(err, ENOTDIR, "%.255s, where a symbolic link leads, is not a directory",
                           next->name);
        next = NULL;
    } else if (!next && w->make) {
        if (len > TREE_NAME_MAX)
            return err_set(err, ENAMETOOLONG, "a symbolic link has a name of %zu bytes", len);
        next = builder_add_dir(b, w->at, name, len, err);
        if (!next)
            return -1;
    }
    w->at = next;
    return 0;
}

static int walk(struct walk *w, struct err *err)
{
    while (w->at) {
        w->rest += strspn(w->rest, "/");
        const char *name = w->rest;
        size_t len = strcspn(name, "/");
        if (len == 0)
            return 0;
        w->rest += len;
        if (len == 1 && *name == '.')
            continue;
        if (len == 2 && name[0] == '.' && name[1] == '.') {
            if (w->at->parent)
                w->at = w->at->parent;
        } else if (step_into(w, name, len, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int follow_path(struct follow *f, struct tree_node *dir, const char *path, size_t len, bool make,
                struct tree_node **ret, struct err *err)
{
    cleanup_with(walk_done) struct walk w = {.f = f, .at = dir, .make = make};
    if (take_text(&w, path, len, err) < 0 || walk(&w, err) < 0)
        return -1;
    *ret = w.at;
    return 0;
}

int follow_link(struct follow *f, const struct tree_node *link, bool make, struct tree_node **ret,
                struct err *err)
{
    const char *text = link->inode->link;
    return follow_path(f, link->parent, text, strlen(text), make, ret, err);
}
