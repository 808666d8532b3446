/* SPDX-License-Identifier: Apache-2.0 */
/* How a file that is not one piece of its tar is cut into chunks. */
#include "host/image/erofs-plan.h"

bool erofs_is_flat(const struct tree_inode *i)
{
    if (i->size == 0)
        return true;
    return i->nextents == 1 && i->extents[0].file_off == 0 && i->extents[0].len == i->size &&
           i->extents[0].tar_off % EROFS_BLOCK == 0;
}

bool erofs_chunk_next(struct erofs_chunk_walk *w, enum erofs_chunk_kind *ret)
{
    const struct tree_inode *i = w->inode;
    if (w->start >= i->size)
        return false;
    uint64_t chunk = (uint64_t)EROFS_BLOCK << w->bits, left = i->size - w->start;
    w->chunk_off = w->start;
    w->chunk_len = left < chunk ? left : chunk;
    w->start += w->chunk_len;
    uint64_t off = w->chunk_off, end = off + w->chunk_len;
    while (w->extent < i->nextents &&
           i->extents[w->extent].file_off + i->extents[w->extent].len <= off)
        w->extent++;
    const struct tree_extent *e = w->extent < i->nextents ? &i->extents[w->extent] : NULL;
    if (!e || e->file_off >= end) {
        *ret = EROFS_CHUNK_HOLE;
        return true;
    }
    w->tar_off = e->tar_off + (off - e->file_off);
    bool whole = e->file_off <= off && e->file_off + e->len >= end;
    *ret = whole && w->tar_off % EROFS_BLOCK == 0 ? EROFS_CHUNK_TAR : EROFS_CHUNK_COPY;
    return true;
}

/* Counts in time that depends on the number of extents, not of chunks. */
struct tally {
    uint64_t chunk;
    uint64_t nchunks;
    uint64_t copied; /* chunks */
    uint64_t next;   /* first chunk that is not counted yet */
    bool uses_tar;
};

static void tally_copy(struct tally *t, uint64_t first, uint64_t last)
{
    if (first < t->next)
        first = t->next;
    if (first > last)
        return;
    t->copied += last - first + 1;
    t->next = last + 1;
}

static void tally_extent(struct tally *t, const struct tree_extent *e, uint64_t size)
{
    uint64_t end = e->file_off + e->len;
    uint64_t first = e->file_off / t->chunk, last = (end - 1) / t->chunk;
    if ((e->tar_off - e->file_off) % EROFS_BLOCK != 0) {
        tally_copy(t, first, last);
        return;
    }
    bool begins = e->file_off % t->chunk == 0;
    bool ends = end % t->chunk == 0 || end == size;
    if (!begins)
        tally_copy(t, first, first);
    if (!ends)
        tally_copy(t, last, last);
    if (last - first + 1 > (begins ? 0u : 1u) + (ends ? 0u : 1u))
        t->uses_tar = true;
}

static struct tally tally_file(const struct tree_inode *i, unsigned bits)
{
    struct tally t = {.chunk = (uint64_t)EROFS_BLOCK << bits};
    t.nchunks = (i->size + t.chunk - 1) / t.chunk;
    for (uint32_t k = 0; k < i->nextents; k++)
        tally_extent(&t, &i->extents[k], i->size);
    return t;
}

/* Bytes of the copies: the last chunk of a file takes only the blocks that it has. */
static uint64_t copied_bytes(const struct tally *t, const struct tree_inode *i)
{
    uint64_t bytes = t->copied * t->chunk;
    uint64_t cut = t->nchunks * t->chunk - round_up_to(i->size, EROFS_BLOCK);
    return t->copied && t->next == t->nchunks ? bytes - cut : bytes;
}

/*
 * A chunk takes 4 bytes of the map, but it is also a step of its own for whoever reads the file or
 * looks for its holes: it is worth some more bytes of copies.
 */
#define CHUNK_COST 32

void erofs_chunk_choose(const struct tree_inode *i, uint8_t *ret_bits, uint64_t *ret_blocks,
                        bool *ret_uses_tar)
{
    uint64_t best = UINT64_MAX;
    for (unsigned bits = 0; bits <= EROFS_CHUNK_BITS; bits++) {
        struct tally t = tally_file(i, bits);
        uint64_t copied = copied_bytes(&t, i), cost = copied + CHUNK_COST * t.nchunks;
        if (cost >= best)
            continue;
        best = cost;
        *ret_bits = (uint8_t)bits;
        *ret_blocks = copied / EROFS_BLOCK;
        *ret_uses_tar = t.uses_tar;
    }
}
