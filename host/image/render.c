/* SPDX-License-Identifier: Apache-2.0 */
/* Composing layers to one tree: override order and path whitelists. */
#include "host/image/render.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/image/render-follow.h"
#include "host/image/tree-build.h"

/* Names that all layers together may have: what a small graph of large images can multiply to. */
#define RENDER_NAMES_MAX (16ull << 20)

/* What composing one layer needs to know of its tree. */
struct pass {
    struct builder *b;
    struct follow *follow;
    const struct render_layer *layer;
    bool filtered;
    uint32_t *marks;           /* by node: how many whitelists have it; then KEPT or not */
    struct tree_node **target; /* by node: the directory of the result */
    struct tree_inode **inode; /* by inode: its copy */
};

#define KEPT UINT32_MAX

static void pass_done(struct pass *p)
{
    free(p->marks);
    free(p->target);
    free(p->inode);
}

/*
 * Marks the names that are in all whitelists, and the directories above them. Looking the entries
 * up costs less than comparing every name with them.
 */
static void mark_kept(struct pass *p)
{
    const struct tree *t = p->layer->tree;
    uint32_t lists = 0;
    for (size_t i = 0; i < p->layer->nwhitelists; i++) {
        const struct ac_strings *w = p->layer->whitelists[i];
        if (w->n == 0)
            continue; /* IMG-42: the same as absent */
        for (size_t k = 0; k < w->n; k++) {
            const struct tree_node *n = tree_lookup(t->root, w->v[k]);
            if (n && p->marks[n->id] == lists)
                p->marks[n->id]++;
        }
        lists++;
    }
    p->filtered = lists > 0;
    if (!p->filtered)
        return;
    for (struct tree_node *n = t->root; n; n = tree_next(t->root, n))
        if (p->marks[n->id] == lists)
            for (struct tree_node *up = n; up && p->marks[up->id] != KEPT; up = up->parent)
                p->marks[up->id] = KEPT;
    if (t->root)
        p->marks[t->root->id] = KEPT;
}

static bool is_kept(const struct pass *p, const struct tree_node *n)
{
    return !p->filtered || p->marks[n->id] == KEPT;
}

/* The layer's inode in the result: one copy for all its hard links. */
static struct tree_inode *copy_inode(struct pass *p, const struct tree_inode *from)
{
    struct tree_inode **slot = &p->inode[from->id];
    if (!*slot) {
        struct tree_inode *i = builder_inode(p->b);
        uint32_t id = i->id;
        *i = *from;
        i->id = id;
        i->nlink = 0;
        i->blob = p->layer->blob;
        *slot = i;
    }
    return *slot;
}

static bool is_dir(const struct tree_node *n)
{
    return S_ISDIR(n->inode->mode);
}

/* The whiteouts of a directory of the layer: the first of them, and how many there are. */
static size_t whiteouts_of(const struct tree *t, const struct tree_node *dir,
                           const struct tree_whiteout **ret)
{
    size_t lo = 0, hi = t->nwhiteouts, n = 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->whiteouts[mid].dir->id < dir->id)
            lo = mid + 1;
        else
            hi = mid;
    }
    while (lo + n < t->nwhiteouts && t->whiteouts[lo + n].dir == dir)
        n++;
    *ret = &t->whiteouts[lo];
    return n;
}

/*
 * A name of this layer is where another of its names goes by a symbolic link: only a layer that
 * follows links has such. To give up one of them would be silent.
 */
static int meets_itself(const struct tree_node *n, struct err *err)
{
    cleanup_with(buf_free) struct buf path = {0};
    tree_path(n, &path);
    return err_set(err, EEXIST, "%.255s is taken away, and a symbolic link leads into it",
                   path.data);
}

/* Nothing of the layer itself is in the directory yet. */
static void drop_children(struct builder *b, const struct tree_node *dir)
{
    for (size_t i = 0; i < b->nnodes; i++)
        if (b->nodes[i]->parent == dir)
            builder_drop(b, b->nodes[i]);
}

/*
 * Takes away what the layer's whiteouts in the directory `n` name, before its own names are put
 * there. A directory of which all goes is made anew, which costs less than looking for what is in
 * it; the root alone is emptied. *into is the directory of the result, then.
 */
static int apply_whiteouts(struct pass *p, struct tree_node **into, const struct tree_node *n,
                           struct err *err)
{
    const struct tree_whiteout *w;
    if (p->layer->tree->nwhiteouts == 0)
        return 0;
    size_t count = whiteouts_of(p->layer->tree, n, &w);
    if (count && !w->name) {
        struct tree_node *old = *into;
        if (follow_touched(p->follow, old))
            return meets_itself(old, err);
        if (!old->parent)
            return drop_children(p->b, old), 0;
        builder_drop(p->b, old);
        *into = builder_add(p->b, old->parent, old->name, old->name_len, err);
        if (!*into)
            return -1;
        (*into)->inode = old->inode;
        (*into)->implied = old->implied;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct tree_node *old = builder_find(p->b, *into, w[i].name, w[i].name_len);
        if (old && !follow_touched(p->follow, old))
            builder_drop(p->b, old);
    }
    return 0;
}

/* The file of a layer below that a hard link names: links lead to its directory, not to it. */
static int find_target(struct pass *p, const char *path, struct tree_node **ret, struct err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    struct tree_node *dir;
    if (follow_path(p->follow, p->b->nodes[0], path, (size_t)(name - path), false, &dir, err) < 0)
        return -1;
    *ret = dir ? builder_find(p->b, dir, name, strlen(name)) : NULL;
    return 0;
}

/* Hard links to the layers below get the inodes that are there, before anything is taken away. */
static int find_links(struct pass *p, struct err *err)
{
    const struct tree *t = p->layer->tree;
    for (size_t i = 0; i < t->nlinks; i++) {
        const struct tree_link *l = &t->links[i];
        struct tree_node *target;
        if (find_target(p, l->path, &target, err) < 0)
            return err_prefix(err, "a hard link to %.255s", l->path);
        if (!target || S_ISDIR(target->inode->mode))
            return err_set(err, target ? EISDIR : ENOENT, "a hard link to %.255s", l->path);
        p->inode[l->node->inode->id] = target->inode;
    }
    return 0;
}

/* The directory of the result where the layer's directory is. */
static void set_target(struct pass *p, const struct tree_node *n, struct tree_node *into)
{
    p->target[n->id] = into;
    if (p->layer->follow)
        follow_touch(p->follow, into);
}

/* A directory over a directory: metadata of the later one, if an entry gave it (RENDER-18). */
static void merge_dir(struct pass *p, struct tree_node *into, const struct tree_node *n)
{
    set_target(p, n, into);
    if (n->implied)
        return;
    into->inode = copy_inode(p, n->inode);
    into->implied = false;
}

/* A directory that no entry of the layer names is where a link of the layers below leads. */
static bool follows(const struct pass *p, const struct tree_node *n, const struct tree_node *old)
{
    return p->layer->follow && n->implied && S_ISLNK(old->inode->mode);
}

static int put_name(struct pass *p, const struct tree_node *n, struct err *err)
{
    struct tree_node *dir = p->target[n->parent->id];
    struct tree_node *old = builder_find(p->b, dir, n->name, n->name_len);
    if (old && follows(p, n, old) && follow_link(p->follow, old, true, &old, err) < 0) {
        cleanup_with(buf_free) struct buf path = {0};
        tree_path(n, &path);
        return err_prefix(err, "%.255s", path.data);
    }
    if (old && is_dir(old) && is_dir(n)) {
        if (apply_whiteouts(p, &old, n, err) < 0)
            return -1;
        merge_dir(p, old, n);
        return 0;
    }
    if (old && is_dir(old) && follow_touched(p->follow, old))
        return meets_itself(old, err);
    if (old)
        builder_drop(p->b, old); /* RENDER-07, RENDER-08, RENDER-17 */
    struct tree_node *put = builder_add(p->b, dir, n->name, n->name_len, err);
    if (!put)
        return -1;
    put->inode = copy_inode(p, n->inode);
    put->implied = n->implied;
    set_target(p, n, put);
    return 0;
}

/* A directory that only whiteouts brought in, where there is none that they could mean. */
static bool only_whiteouts(const struct pass *p, const struct tree_node *n)
{
    if (p->layer->tree->nwhiteouts == 0 || !n->implied || n->nchildren)
        return false;
    struct tree_node *old = builder_find(p->b, p->target[n->parent->id], n->name, n->name_len);
    if (old && follows(p, n, old) && follow_link(p->follow, old, false, &old, NULL) < 0)
        return false; /* put_name() says why */
    return !old || !is_dir(old);
}

static int add_layer(struct builder *b, struct follow *follow, const struct render_layer *layer,
                     struct err *err)
{
    const struct tree *t = layer->tree;
    cleanup_with(pass_done) struct pass p = {
        .b = b,
        .follow = follow,
        .layer = layer,
        .marks = xcalloc(t->nnodes, sizeof(*p.marks)),
        .target = xcalloc(t->nnodes, sizeof(*p.target)),
        .inode = xcalloc(t->ninodes, sizeof(*p.inode)),
    };
    struct tree_node *root = b->nodes[0];
    follow_reset(follow);
    mark_kept(&p);
    if (find_links(&p, err) < 0 || apply_whiteouts(&p, &root, t->root, err) < 0)
        return -1;
    merge_dir(&p, root, t->root);
    struct tree_node *n = tree_next(t->root, t->root);
    while (n) {
        if (!is_kept(&p, n)) {
            n = tree_skip(t->root, n);
            continue;
        }
        if (!only_whiteouts(&p, n) && put_name(&p, n, err) < 0)
            return -1;
        n = tree_next(t->root, n);
    }
    return 0;
}

static int check_layers(const struct render_layer *layers, size_t n, struct err *err)
{
    uint64_t names = 0;
    if (n == 0 || n > RENDER_LAYERS_MAX)
        return err_set(err, E2BIG, "%zu layers (1 to %d are allowed)", n, RENDER_LAYERS_MAX);
    for (size_t i = 0; i < n; i++) {
        names += layers[i].tree->nnodes;
        if (layers[i].blob >= RENDER_IMAGES_MAX)
            return err_set(err, E2BIG, "more than %d images", RENDER_IMAGES_MAX);
    }
    if (names > RENDER_NAMES_MAX)
        return err_set(err, E2BIG, "the images have %llu names in all (%llu are allowed)",
                       (unsigned long long)names, RENDER_NAMES_MAX);
    return 0;
}

static void list_blobs(struct render *r, const struct render_layer *layers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (layers[i].blob >= r->nblobs)
            r->nblobs = layers[i].blob + 1;
    r->blobs = arena_alloc(r->arena, r->nblobs * sizeof(*r->blobs));
    for (size_t i = 0; i < n; i++)
        r->blobs[layers[i].blob] = layers[i].tree;
}

int render_compose(const struct render_layer *layers, size_t n, struct render **ret,
                   struct err *err)
{
    cleanup_with(builder_done) struct builder b = {0};
    cleanup_with(follow_done) struct follow follow = {.b = &b};
    if (check_layers(layers, n, err) < 0)
        return -1;
    builder_init(&b);
    for (size_t i = 0; i < n; i++)
        if (add_layer(&b, &follow, &layers[i], err) < 0)
            return -1;
    struct render *r = xcalloc(1, sizeof(*r));
    r->root = builder_finish(&b, &r->nnodes, &r->ninodes, &r->arena);
    list_blobs(r, layers, n);
    *ret = r;
    return 0;
}

void render_free(struct render *r)
{
    if (!r)
        return;
    arena_free(r->arena);
    free(r);
}
