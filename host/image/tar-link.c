/* SPDX-License-Identifier: Apache-2.0 */
/* Hard links of a tar: each gets the inode of its target, wherever in the tar that is. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/image/tar-read.h"

/* The node of a hard link's target; NULL with *err when it is outside rootfs or missing. */
static struct tree_node *link_target(struct reader *r, const char *path, struct err *err)
{
    if (parts_split(&r->parts, path, err) < 0)
        return NULL;
    if (!r->layer && (r->parts.n < 2 || !part_is(&r->parts.v[0], "rootfs")))
        return err_set(err, 0, "outside rootfs"), NULL;
    struct tree_node *n = r->root;
    for (size_t k = reader_base(r); n && k < r->parts.n; k++)
        n = builder_find(&r->b, n, r->parts.v[k].p, r->parts.v[k].len);
    if (!n)
        return err_set(err, ENOENT, "no such entry"), NULL;
    if (n->inode && S_ISDIR(n->inode->mode))
        return err_set(err, EISDIR, "not possible"), NULL;
    return n;
}

static int link_fault(const struct reader *r, const struct tree_node *n, const char *path,
                      struct err *err)
{
    cleanup_with(buf_free) struct buf name = {0};
    tree_path(n, &name);
    return err_prefix(err, "%s%.255s: hard link to %.255s", r->layer ? "" : "rootfs", name.data,
                      path);
}

/* Gives all links of a chain the inode at its end. Each link is settled once. */
static int settle_chain(struct reader *r, struct pending **by_node, struct pending *first,
                        struct err *err)
{
    struct tree_node *end = first->node;
    for (size_t steps = 0; !end->inode; steps++) {
        if (steps > r->nlinks)
            return err_set(err, ELOOP, "hard links in a circle"),
                   link_fault(r, first->node, first->path, err);
        end = by_node[end->id]->target;
    }
    for (struct tree_node *n = first->node; !n->inode;) {
        struct tree_node *next = by_node[n->id]->target;
        n->inode = end->inode;
        n = next;
    }
    return 0;
}

/*
 * The target of one link. In a layer, what is missing is looked for in the layers below, later: the
 * link gets an inode that holds its place.
 */
static int find_target(struct reader *r, struct pending *l, struct err *err)
{
    struct err e;
    l->target = link_target(r, l->path, &e);
    if (l->target)
        return 0;
    if (r->layer && e.errnum == ENOENT && r->parts.n > 0) {
        l->node->inode = builder_inode(&r->b);
        l->node->inode->mode = S_IFREG;
        return 0;
    }
    if (err)
        *err = e;
    return link_fault(r, l->node, l->path, err);
}

/* Moves the links without a target to the front. */
static size_t move_foreign(struct reader *r)
{
    size_t n = 0;
    for (size_t k = 0; k < r->nlinks; k++)
        if (!r->links[k].target)
            r->links[n++] = r->links[k];
    return n;
}

/* Looks all targets up first: a link may come before what it links to. */
int reader_resolve_links(struct reader *r, size_t *ret_foreign, struct err *err)
{
    cleanup_free struct pending **by_node = NULL;
    if (ret_foreign)
        *ret_foreign = 0;
    if (r->nlinks == 0)
        return 0;
    by_node = xcalloc(r->b.nnodes, sizeof(struct pending *));
    for (size_t k = 0; k < r->nlinks; k++) {
        if (find_target(r, &r->links[k], err) < 0)
            return -1;
        by_node[r->links[k].node->id] = &r->links[k];
    }
    for (size_t k = 0; k < r->nlinks; k++)
        if (settle_chain(r, by_node, &r->links[k], err) < 0)
            return -1;
    if (ret_foreign)
        *ret_foreign = move_foreign(r);
    return 0;
}
