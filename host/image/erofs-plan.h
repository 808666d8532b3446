/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of erofs_write(): the format's numbers, and where everything goes.
 *
 *   0        1024         1536                                    index length        total
 *   | unused | superblock | inodes | blocks of directories, links | tar 1 | tar 2 | ... |
 *
 * No device table: all addresses are those of the flattened device, so the result is a plain EROFS
 * image to every kernel and tool. A file that lies in its tar in one piece is "flat": its inode
 * says where it begins, and nothing else is stored. Other files have a map of chunks.
 */
#ifndef APPC_IMAGE_EROFS_PLAN_H
#define APPC_IMAGE_EROFS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/image/erofs.h"

struct err;

#define EROFS_BLOCK_BITS 9
#define EROFS_BLOCK      (1u << EROFS_BLOCK_BITS)
#define EROFS_SLOT       32u /* inodes are numbered and aligned by this */
#define EROFS_SB_OFFSET  1024u
#define EROFS_META_START 1536u
#define EROFS_INODE_SIZE 64u
#define EROFS_DIRENT     12u
#define EROFS_HOLE       UINT32_MAX
#define EROFS_CHUNK_BITS 31u /* log2 of the largest chunk, in blocks */

enum erofs_layout { EROFS_FLAT_PLAIN = 0, EROFS_FLAT_INLINE = 2, EROFS_CHUNKED = 4 };

/* Where one inode goes. */
struct erofs_place {
    const struct tree_node *node; /* its first name */
    uint64_t pos;                 /* of the inode, bytes */
    uint64_t size;                /* i_size: for a directory that of its entries */
    uint32_t xattr_size;          /* bytes behind the inode, header included */
    uint32_t block;               /* first of nblocks in the index; flat file in a tar: its start */
    uint32_t nblocks;
    uint16_t tail; /* inline: bytes of the data's end, behind the xattrs */
    uint8_t layout;
    uint8_t chunk_bits;
};

struct erofs_plan {
    const struct render *render;
    struct erofs_place *places; /* by inode, in the order in which they are written */
    uint32_t nplaces;
    uint32_t *place_of;    /* by inode id: number in places */
    uint64_t *blob_offset; /* by blob: where it begins on the device; 0: not used */
    uint64_t meta_end;     /* end of the inodes */
    uint64_t index_end;    /* before padding */
    struct erofs_index *index;
};

/* Decides on all places. plan->index gets its parts and lengths. */
int erofs_plan_make(const struct render *r, struct erofs_index *index, struct erofs_plan *plan,
                    struct err *err);
void erofs_plan_done(struct erofs_plan *plan);

/* The inode's number, which is its place. */
static inline uint64_t erofs_nid(const struct erofs_plan *plan, const struct tree_inode *i)
{
    return plan->places[plan->place_of[i->id]].pos / EROFS_SLOT;
}

/* Is the file's data one piece of its tar from begin to end, at the start of a block? */
bool erofs_is_flat(const struct tree_inode *i);

/*
 * Chunks of a file that is not flat. A chunk is a hole, or points into the tar, or, where the
 * sparse file's pieces begin or end within it, is copied to the index. The size is chosen so that
 * map and copies are smallest together. *ret_blocks is what the copies take; uses says if the tar
 * is needed.
 */
void erofs_chunk_choose(const struct tree_inode *i, uint8_t *ret_bits, uint64_t *ret_blocks,
                        bool *ret_uses_tar);

enum erofs_chunk_kind { EROFS_CHUNK_HOLE, EROFS_CHUNK_TAR, EROFS_CHUNK_COPY };

/* Walks the chunks of a file in order; zero-initialise all but inode and bits. */
struct erofs_chunk_walk {
    const struct tree_inode *inode;
    uint8_t bits;
    uint64_t start;     /* of the next chunk in the file */
    uint32_t extent;    /* first extent that ends behind start */
    uint64_t chunk_off; /* of the chunk just seen: start in the file */
    uint64_t chunk_len; /* bytes, up to the end of the file */
    uint64_t tar_off;   /* EROFS_CHUNK_TAR: where it is in the tar */
};

/* The next chunk; false behind the last. */
bool erofs_chunk_next(struct erofs_chunk_walk *w, enum erofs_chunk_kind *ret);

/* Bytes that the xattrs take behind the inode, 0 when there are none that EROFS can hold. */
uint32_t erofs_xattr_size(const struct tree_inode *i);

/* Writes them: erofs_xattr_size() bytes. */
void erofs_xattr_put(const struct tree_inode *i, unsigned char *out);

/* The directory's size on disk: whole blocks, but the last as long as it is filled. */
uint64_t erofs_dir_size(const struct tree_node *dir);

/* Writes all of the directory: `out` has room for its size, rounded up to blocks, and is zero. */
void erofs_dir_put(const struct erofs_plan *plan, const struct tree_node *dir, unsigned char *out);

static inline void put_le16(unsigned char *p, uint16_t v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static inline void put_le32(unsigned char *p, uint32_t v)
{
    put_le16(p, (uint16_t)v);
    put_le16(p + 2, (uint16_t)(v >> 16));
}

static inline void put_le64(unsigned char *p, uint64_t v)
{
    put_le32(p, (uint32_t)v);
    put_le32(p + 4, (uint32_t)(v >> 32));
}

static inline uint64_t round_up_to(uint64_t v, uint64_t unit)
{
    return (v + unit - 1) / unit * unit;
}

#endif
