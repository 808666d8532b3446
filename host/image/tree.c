/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about a finished tree of names. */
#include "host/image/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "host/image/tree-build.h"

void tree_free(struct tree *t)
{
    if (!t)
        return;
    arena_free(t->arena);
    free(t);
}

struct tree_node *tree_skip(const struct tree_node *root, const struct tree_node *n)
{
    for (; n != root; n = n->parent)
        if (n->index + 1 < n->parent->nchildren)
            return n->parent->children[n->index + 1];
    return NULL;
}

struct tree_node *tree_next(const struct tree_node *root, const struct tree_node *n)
{
    return n->nchildren ? n->children[0] : tree_skip(root, n);
}

static int name_cmp(const struct tree_node *n, const char *name, size_t len)
{
    size_t min = n->name_len < len ? n->name_len : len;
    int d = memcmp(n->name, name, min);
    if (d)
        return d;
    return n->name_len == len ? 0 : n->name_len < len ? -1 : 1;
}

struct tree_node *tree_child(const struct tree_node *dir, const char *name, size_t len)
{
    size_t lo = 0, hi = dir->nchildren;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int d = name_cmp(dir->children[mid], name, len);
        if (d == 0)
            return dir->children[mid];
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

struct tree_node *tree_lookup(struct tree_node *root, const char *path)
{
    struct tree_node *n = root;
    size_t missing = 0; /* components that exist in the path alone, such as a/.. without an a */
    while (*path) {
        size_t len = strcspn(path, "/");
        if (len == 2 && memcmp(path, "..", 2) == 0) {
            if (!missing && n == root)
                return NULL;
            if (missing)
                missing--;
            else
                n = n->parent;
        } else if (len && !(len == 1 && *path == '.')) {
            struct tree_node *child = missing ? NULL : tree_child(n, path, len);
            if (child)
                n = child;
            else
                missing++;
        }
        path += len + (path[len] == '/');
    }
    return missing ? NULL : n;
}

/* Fills the path from its end: as deep as a tree is, nothing recurses. */
void tree_path(const struct tree_node *n, struct buf *b)
{
    size_t len = 0;
    if (!n->parent) {
        buf_addc(b, '/');
        return;
    }
    for (const struct tree_node *p = n; p->parent; p = p->parent)
        len += 1u + p->name_len;
    char *end = buf_reserve(b, len) + len;
    for (const struct tree_node *p = n; p->parent; p = p->parent) {
        end -= p->name_len;
        memcpy(end, p->name, p->name_len);
        *--end = '/';
    }
    buf_commit(b, len);
}
