/* SPDX-License-Identifier: Apache-2.0 */
/* Decides where everything of an EROFS index goes, before anything is written. */
#include "host/image/erofs-plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"

#define NO_PLACE UINT32_MAX

void erofs_plan_done(struct erofs_plan *plan)
{
    free(plan->places);
    free(plan->place_of);
    free(plan->blob_offset);
    *plan = (struct erofs_plan){0};
}

/*
 * Directories and symlinks: the end that does not fill a block goes behind the inode when both
 * fit into one block; whole blocks go to the index's end.
 */
static void place_stored(struct erofs_place *p)
{
    unsigned tail = (unsigned)(p->size % EROFS_BLOCK);
    if (tail && EROFS_INODE_SIZE + p->xattr_size + tail <= EROFS_BLOCK) {
        p->layout = EROFS_FLAT_INLINE;
        p->tail = (uint16_t)tail;
        p->nblocks = (uint32_t)(p->size / EROFS_BLOCK);
    } else {
        p->layout = EROFS_FLAT_PLAIN;
        p->nblocks = (uint32_t)(round_up_to(p->size, EROFS_BLOCK) / EROFS_BLOCK);
    }
}

static int place_chunked(struct erofs_plan *plan, struct erofs_place *p, struct err *err)
{
    const struct tree_inode *i = p->node->inode;
    uint64_t blocks = 0;
    bool uses_tar = false;
    erofs_chunk_choose(i, &p->chunk_bits, &blocks, &uses_tar);
    if (blocks > EROFS_INDEX_MAX / EROFS_BLOCK)
        return err_set(err, EFBIG, "%.255s: a sparse file in too many small pieces", p->node->name);
    p->layout = EROFS_CHUNKED;
    p->nblocks = (uint32_t)blocks;
    if (uses_tar)
        plan->blob_offset[i->blob] = 1;
    return 0;
}

static uint64_t chunk_map_size(const struct erofs_place *p)
{
    uint64_t chunk = (uint64_t)EROFS_BLOCK << p->chunk_bits;
    return p->layout == EROFS_CHUNKED ? 4 * ((p->size + chunk - 1) / chunk) : 0;
}

static int place_content(struct erofs_plan *plan, struct erofs_place *p, struct err *err)
{
    const struct tree_inode *i = p->node->inode;
    p->size = S_ISDIR(i->mode) ? erofs_dir_size(p->node) : i->size;
    p->xattr_size = erofs_xattr_size(i);
    if (S_ISDIR(i->mode) || S_ISLNK(i->mode)) {
        place_stored(p);
    } else if (S_ISREG(i->mode) && !erofs_is_flat(i)) {
        return place_chunked(plan, p, err);
    } else {
        p->layout = EROFS_FLAT_PLAIN;
        if (i->size)
            plan->blob_offset[i->blob] = 1;
    }
    return 0;
}

static int check_size(uint64_t end, struct err *err)
{
    if (end > EROFS_INDEX_MAX)
        return err_set(err, EFBIG, "the index of the root file system is larger than %llu bytes",
                       EROFS_INDEX_MAX);
    return 0;
}

/* The inode's place behind those before it. An inline end does not cross a block. */
static int place_inode(struct erofs_plan *plan, struct erofs_place *p, struct err *err)
{
    uint64_t pos = round_up_to(plan->meta_end, EROFS_SLOT);
    uint64_t len = EROFS_INODE_SIZE + p->xattr_size + p->tail + chunk_map_size(p);
    if (p->tail && pos / EROFS_BLOCK != (pos + len - 1) / EROFS_BLOCK)
        pos = round_up_to(pos, EROFS_BLOCK);
    p->pos = pos;
    plan->meta_end = pos + len;
    return check_size(plan->meta_end, err);
}

static int place_all(struct erofs_plan *plan, struct err *err)
{
    const struct render *r = plan->render;
    plan->meta_end = EROFS_META_START;
    for (struct tree_node *n = r->root; n; n = tree_next(r->root, n)) {
        uint32_t *number = &plan->place_of[n->inode->id];
        if (*number != NO_PLACE)
            continue;
        *number = plan->nplaces;
        struct erofs_place *p = &plan->places[plan->nplaces++];
        p->node = n;
        if (place_content(plan, p, err) < 0 || place_inode(plan, p, err) < 0)
            return -1;
    }
    return 0;
}

/* Blocks that are stored in the index go behind the inodes. */
static int place_blocks(struct erofs_plan *plan, struct err *err)
{
    uint64_t at = round_up_to(plan->meta_end, EROFS_BLOCK);
    for (uint32_t k = 0; k < plan->nplaces; k++) {
        struct erofs_place *p = &plan->places[k];
        p->block = (uint32_t)(at / EROFS_BLOCK);
        at += (uint64_t)p->nblocks * EROFS_BLOCK;
        if (check_size(at, err) < 0)
            return -1;
    }
    plan->index_end = at;
    return 0;
}

static int place_blobs(struct erofs_plan *plan, struct err *err)
{
    const struct render *r = plan->render;
    struct erofs_index *index = plan->index;
    index->length = round_up_to(plan->index_end, EROFS_INDEX_ALIGN);
    index->total = index->length;
    index->parts = xcalloc(r->nblobs, sizeof(*index->parts));
    for (uint32_t k = 0; k < r->nblobs; k++) {
        if (!plan->blob_offset[k])
            continue;
        plan->blob_offset[k] = index->total;
        uint64_t length = round_up_to(r->blobs[k]->tar_len, EROFS_INDEX_ALIGN);
        index->parts[index->nparts++] =
            (struct erofs_part){.blob = k, .offset = index->total, .length = length};
        index->total += length;
        if (length >> EROFS_BLOCK_BITS >= EROFS_HOLE ||
            index->total >> EROFS_BLOCK_BITS >= EROFS_HOLE)
            return err_set(err, EFBIG, "the images of one root file system exceed 2 TiB");
    }
    return 0;
}

/* Flat files point to where they begin in their tar. */
static void point_flat_files(struct erofs_plan *plan)
{
    for (uint32_t k = 0; k < plan->nplaces; k++) {
        struct erofs_place *p = &plan->places[k];
        const struct tree_inode *i = p->node->inode;
        if (!S_ISREG(i->mode) || p->layout != EROFS_FLAT_PLAIN)
            continue;
        uint64_t at = i->size ? plan->blob_offset[i->blob] + i->extents[0].tar_off : 0;
        p->block = (uint32_t)(at / EROFS_BLOCK);
    }
}

int erofs_plan_make(const struct render *r, struct erofs_index *index, struct erofs_plan *plan,
                    struct err *err)
{
    *plan = (struct erofs_plan){.render = r, .index = index};
    plan->places = xcalloc(r->ninodes, sizeof(*plan->places));
    plan->place_of = xcalloc(r->ninodes, sizeof(*plan->place_of));
    plan->blob_offset = xcalloc(r->nblobs, sizeof(*plan->blob_offset));
    memset(plan->place_of, 0xff, r->ninodes * sizeof(*plan->place_of));
    if (place_all(plan, err) < 0 || place_blocks(plan, err) < 0 || place_blobs(plan, err) < 0)
        return -1;
    point_flat_files(plan);
    return 0;
}
