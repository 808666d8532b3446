/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of tree_read(): the state of a reader, for tar.c, tar-link.c and tar-layer.c. */
#ifndef APPC_IMAGE_TAR_READ_H
#define APPC_IMAGE_TAR_READ_H

#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "host/image/tar-attr.h"

/* One component of a path. */
struct part {
    const char *p;
    size_t len;
};

/* A cleaned path; v is reused from entry to entry. */
struct parts {
    struct part *v;
    size_t n, cap;
};

/* A hard link whose target is looked up when all names are known. */
struct pending {
    struct tree_node *node;
    struct tree_node *target;
    const char *path;
};

struct reader {
    struct archive *a;
    struct builder b;
    struct tar_place place;
    struct parts parts;
    struct pending *links;
    size_t nlinks, links_cap;
    struct tree_extent *extents; /* of the entry at hand */
    size_t nextents, extents_cap;
    struct tree_node *dir; /* parent of the previous name, whose path begins with dir_path */
    struct buf dir_path;
    struct tree_node *root;
    bool layer; /* the top of the tar is the root directory */
    struct tree_whiteout *whiteouts;
    size_t nwhiteouts, whiteouts_cap;
    bool has_rootfs, has_manifest;
    uint64_t manifest_off, manifest_len;
    uint64_t data_bytes;
};

/* Splits and cleans a path, as Go's path.Clean() does. -1 when it is absolute or leaves the top. */
int parts_split(struct parts *out, const char *path, struct err *err);

static inline bool part_is(const struct part *p, const char *name)
{
    return p->len == strlen(name) && memcmp(p->p, name, p->len) == 0;
}

/* How many components of a path are above the first name in the root directory. */
static inline size_t reader_base(const struct reader *r)
{
    return r->layer ? 0 : 1;
}

/*
 * Gives all hard links the inodes of their targets, which may come behind them. In a layer, links
 * to what it does not hold are left over: they get inodes of their own and are moved to the front
 * of r->links, and *ret_foreign counts them.
 */
int reader_resolve_links(struct reader *r, size_t *ret_foreign, struct err *err);

/* Notes a whiteout, whose name is the last part, in the directory `dir` of the layer. */
int reader_whiteout(struct reader *r, struct tree_node *dir, struct err *err);

/* Whether the last part of the path at hand is the name of a whiteout. */
bool reader_is_whiteout(const struct reader *r);

/* Whiteouts and left-over links go to the tree, whose nodes are final. */
void reader_finish_layer(struct reader *r, size_t foreign, struct tree *t);

#endif
