/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories: blocks of entries and names, sorted by bytes over all blocks, with "." and ".."
 * among them, so that the kernel can search by halves.
 */
#include <string.h>
#include <sys/stat.h>

#include "host/image/erofs-plan.h"

/* Walks the entries in order; zero-initialise all but dir. */
struct walk {
    const struct tree_node *dir;
    uint32_t child;
    unsigned dots; /* of "." and "..", how many were given out */
};

struct item {
    const char *name;
    uint16_t len;
    const struct tree_node *node;
};

static bool dot_is_next(const struct walk *w)
{
    static const char dots[] = "..";
    if (w->dots == 2)
        return false;
    if (w->child == w->dir->nchildren)
        return true;
    const struct tree_node *n = w->dir->children[w->child];
    size_t len = w->dots + 1u, min = n->name_len < len ? n->name_len : len;
    int d = memcmp(dots, n->name, min);
    return d ? d < 0 : len < n->name_len;
}

static bool next_item(struct walk *w, struct item *ret)
{
    if (dot_is_next(w)) {
        w->dots++;
        const struct tree_node *up = w->dir->parent ? w->dir->parent : w->dir;
        *ret = (struct item){"..", (uint16_t)w->dots, w->dots == 1 ? w->dir : up};
        return true;
    }
    if (w->child == w->dir->nchildren)
        return false;
    const struct tree_node *n = w->dir->children[w->child++];
    *ret = (struct item){n->name, n->name_len, n};
    return true;
}

/*
 * How many entries the next block takes, and the bytes that they fill. *w goes behind them.
 */
static unsigned next_block(struct walk *w, unsigned *ret_used)
{
    unsigned count = 0;
    *ret_used = 0;
    for (;;) {
        struct walk ahead = *w;
        struct item it;
        if (!next_item(&ahead, &it) || *ret_used + EROFS_DIRENT + it.len > EROFS_BLOCK)
            return count;
        *ret_used += EROFS_DIRENT + it.len;
        count++;
        *w = ahead;
    }
}

uint64_t erofs_dir_size(const struct tree_node *dir)
{
    struct walk w = {.dir = dir};
    uint64_t blocks = 0;
    unsigned used, last = 0;
    while (next_block(&w, &used)) {
        blocks++;
        last = used;
    }
    return (blocks - 1) * EROFS_BLOCK + last;
}

static unsigned char file_type(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return 1;
    case S_IFDIR:
        return 2;
    case S_IFCHR:
        return 3;
    case S_IFBLK:
        return 4;
    case S_IFIFO:
        return 5;
    default:
        return 7;
    }
}

static void put_block(const struct erofs_plan *plan, struct walk *w, unsigned count,
                      unsigned char *block)
{
    unsigned name_at = count * EROFS_DIRENT;
    for (unsigned k = 0; k < count; k++) {
        unsigned char *entry = block + k * EROFS_DIRENT;
        struct item it = {0};
        if (!next_item(w, &it))
            return; /* never: `count` was counted in the same way */
        put_le64(entry, erofs_nid(plan, it.node->inode));
        put_le16(entry + 8, (uint16_t)name_at);
        entry[10] = file_type(it.node->inode->mode);
        memcpy(block + name_at, it.name, it.len);
        name_at += it.len;
    }
}

void erofs_dir_put(const struct erofs_plan *plan, const struct tree_node *dir, unsigned char *out)
{
    struct walk ahead = {.dir = dir}, w = {.dir = dir};
    unsigned used, count;
    while ((count = next_block(&ahead, &used)) > 0) {
        put_block(plan, &w, count, out);
        out += EROFS_BLOCK;
    }
}
