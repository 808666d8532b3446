/* SPDX-License-Identifier: Apache-2.0 */
/*
 * erofs_write(): writes what erofs-plan.c decided, in one pass from front to back; the superblock
 * comes last, as the volume's UUID is a hash of all the rest.
 */
#include "host/image/erofs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/erofs-plan.h"

#define SINK_SIZE (256u << 10)

#define SB_MAGIC              0xe0f5e1e2u
#define SB_SIZE               128u
#define COMPAT_MTIME          0x2u
#define INCOMPAT_CHUNKED_FILE 0x4u
#define FORMAT_EXTENDED_INODE 0x1u
#define FORMAT_LAYOUT_SHIFT   1

/* Output that is buffered, hashed, and only goes forward. */
struct sink {
    int fd;
    EVP_MD_CTX *hash;
    unsigned char *buf;
    size_t used;
    uint64_t pos; /* of what comes next */
    int errnum;   /* first failure */
};

static void sink_done(struct sink *s)
{
    EVP_MD_CTX_free(s->hash);
    free(s->buf);
}

static int sink_open(struct sink *s, int fd, struct err *err)
{
    s->fd = fd;
    s->buf = xmalloc(SINK_SIZE);
    s->hash = EVP_MD_CTX_new();
    if (!s->hash || EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL) != 1)
        return err_set(err, 0, "SHA-256 is not available");
    return 0;
}

static void sink_flush(struct sink *s)
{
    if (s->used == 0)
        return;
    if (EVP_DigestUpdate(s->hash, s->buf, s->used) != 1)
        s->errnum = EIO;
    if (!s->errnum && pwrite_all(s->fd, s->buf, s->used, (off_t)(s->pos - s->used)) < 0)
        s->errnum = errno;
    s->used = 0;
}

static void sink_put(struct sink *s, const void *data, size_t len)
{
    const unsigned char *p = data;
    while (len) {
        size_t n = SINK_SIZE - s->used < len ? SINK_SIZE - s->used : len;
        if (p)
            memcpy(s->buf + s->used, p, n);
        else
            memset(s->buf + s->used, 0, n);
        p = p ? p + n : NULL;
        s->used += n;
        s->pos += n;
        len -= n;
        if (s->used == SINK_SIZE)
            sink_flush(s);
    }
}

/* Zeros up to an offset that is not behind. */
static void sink_pad(struct sink *s, uint64_t pos)
{
    sink_put(s, NULL, (size_t)(pos - s->pos));
}

static uint32_t encode_device(const struct tree_inode *i)
{
    return (i->devminor & 0xff) | i->devmajor << 8 | (i->devminor & ~0xffu) << 12;
}

static uint32_t inode_union(const struct erofs_place *p)
{
    const struct tree_inode *i = p->node->inode;
    if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
        return encode_device(i);
    if (p->layout == EROFS_CHUNKED)
        return p->chunk_bits; /* map of 4-byte block addresses */
    return S_ISREG(i->mode) || p->nblocks ? p->block : 0;
}

static void put_inode(struct sink *s, const struct erofs_place *p, uint32_t number)
{
    const struct tree_inode *i = p->node->inode;
    unsigned char d[EROFS_INODE_SIZE] = {0};
    uint32_t xattr_count = p->xattr_size ? (p->xattr_size - 12) / 4 + 1 : 0;
    put_le16(d, (uint16_t)(FORMAT_EXTENDED_INODE | p->layout << FORMAT_LAYOUT_SHIFT));
    put_le16(d + 2, (uint16_t)xattr_count);
    put_le16(d + 4, (uint16_t)i->mode);
    put_le64(d + 8, p->size);
    put_le32(d + 16, inode_union(p));
    put_le32(d + 20, number + 1);
    put_le32(d + 24, i->uid);
    put_le32(d + 28, i->gid);
    put_le64(d + 32, (uint64_t)i->mtime);
    put_le32(d + 40, i->mtime_nsec);
    put_le32(d + 44, i->nlink);
    sink_put(s, d, sizeof(d));
    if (p->xattr_size) {
        cleanup_free unsigned char *x = xmalloc(p->xattr_size);
        erofs_xattr_put(i, x);
        sink_put(s, x, p->xattr_size);
    }
}

/* The data of a directory or symlink, padded to blocks with zeros. The caller frees. */
static unsigned char *stored_data(const struct erofs_plan *plan, const struct erofs_place *p)
{
    const struct tree_inode *i = p->node->inode;
    unsigned char *data = xcalloc(1, round_up_to(p->size, EROFS_BLOCK));
    if (S_ISDIR(i->mode))
        erofs_dir_put(plan, p->node, data);
    else
        memcpy(data, i->link, i->size);
    return data;
}

static void put_tail(struct sink *s, const struct erofs_plan *plan, const struct erofs_place *p)
{
    cleanup_free unsigned char *data = stored_data(plan, p);
    sink_put(s, data + (p->size - p->tail), p->tail);
}

static void put_chunk_map(struct sink *s, const struct erofs_plan *plan,
                          const struct erofs_place *p)
{
    struct erofs_chunk_walk w = {.inode = p->node->inode, .bits = p->chunk_bits};
    enum erofs_chunk_kind kind;
    uint32_t copy = p->block;
    while (erofs_chunk_next(&w, &kind)) {
        unsigned char entry[4];
        uint32_t block = EROFS_HOLE;
        if (kind == EROFS_CHUNK_TAR) {
            block = (uint32_t)((plan->blob_offset[w.inode->blob] + w.tar_off) / EROFS_BLOCK);
        } else if (kind == EROFS_CHUNK_COPY) {
            block = copy;
            copy += (uint32_t)(round_up_to(w.chunk_len, EROFS_BLOCK) / EROFS_BLOCK);
        }
        put_le32(entry, block);
        sink_put(s, entry, sizeof(entry));
    }
}

static void put_inodes(struct sink *s, const struct erofs_plan *plan)
{
    for (uint32_t k = 0; k < plan->nplaces; k++) {
        const struct erofs_place *p = &plan->places[k];
        sink_pad(s, p->pos);
        put_inode(s, p, k);
        if (p->tail)
            put_tail(s, plan, p);
        if (p->layout == EROFS_CHUNKED)
            put_chunk_map(s, plan, p);
    }
}

/* A chunk that is copied: its pieces from the tar, zeros between them. */
static void put_copy(struct sink *s, const struct tree *tree, const struct erofs_chunk_walk *w)
{
    const struct tree_inode *i = w->inode;
    uint64_t at = w->chunk_off, end = w->chunk_off + w->chunk_len;
    uint64_t base = s->pos;
    for (uint32_t k = w->extent; k < i->nextents && i->extents[k].file_off < end; k++) {
        const struct tree_extent *e = &i->extents[k];
        uint64_t from = e->file_off > at ? e->file_off : at;
        uint64_t to = e->file_off + e->len < end ? e->file_off + e->len : end;
        sink_pad(s, base + (from - w->chunk_off));
        sink_put(s, tree->tar + e->tar_off + (from - e->file_off), (size_t)(to - from));
    }
    sink_pad(s, base + round_up_to(w->chunk_len, EROFS_BLOCK));
}

static void put_copies(struct sink *s, const struct erofs_plan *plan, const struct erofs_place *p)
{
    struct erofs_chunk_walk w = {.inode = p->node->inode, .bits = p->chunk_bits};
    enum erofs_chunk_kind kind;
    while (erofs_chunk_next(&w, &kind))
        if (kind == EROFS_CHUNK_COPY)
            put_copy(s, plan->render->blobs[w.inode->blob], &w);
}

static void put_blocks(struct sink *s, const struct erofs_plan *plan)
{
    sink_pad(s, round_up_to(plan->meta_end, EROFS_BLOCK));
    for (uint32_t k = 0; k < plan->nplaces; k++) {
        const struct erofs_place *p = &plan->places[k];
        if (p->nblocks == 0)
            continue;
        if (p->layout == EROFS_CHUNKED) {
            put_copies(s, plan, p);
            continue;
        }
        cleanup_free unsigned char *data = stored_data(plan, p);
        sink_put(s, data, (size_t)p->nblocks * EROFS_BLOCK);
    }
    sink_pad(s, plan->index->length);
}

/* A UUID of the "custom" version, 8, out of the hash of everything behind the superblock. */
static int make_uuid(struct sink *s, unsigned char uuid[16], struct err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (EVP_DigestFinal_ex(s->hash, digest, NULL) != 1)
        return err_set(err, 0, "SHA-256 failed");
    memcpy(uuid, digest, 16);
    uuid[6] = (unsigned char)((uuid[6] & 0x0f) | 0x80);
    uuid[8] = (unsigned char)((uuid[8] & 0x3f) | 0x80);
    return 0;
}

/*
 * The block that the superblock is in. It has no checksum, as with mkfs.erofs: fsck.erofs 1.8 reads
 * beyond a block of 512 bytes when there is one, and dies.
 */
static int put_superblock(int fd, const struct erofs_plan *plan, struct err *err)
{
    const struct erofs_index *index = plan->index;
    unsigned char sb[EROFS_BLOCK] = {0};
    put_le32(sb, SB_MAGIC);
    put_le32(sb + 8, COMPAT_MTIME);
    sb[12] = EROFS_BLOCK_BITS;
    put_le16(sb + 14, (uint16_t)(plan->places[0].pos / EROFS_SLOT));
    put_le64(sb + 16, plan->nplaces);
    put_le32(sb + 36, (uint32_t)(index->total / EROFS_BLOCK));
    memcpy(sb + 48, index->uuid, 16);
    put_le32(sb + 80, INCOMPAT_CHUNKED_FILE);
    if (pwrite_all(fd, sb, sizeof(sb), EROFS_SB_OFFSET) < 0)
        return err_set(err, errno, "can't write the index of the root file system");
    return 0;
}

static int write_plan(const struct erofs_plan *plan, int fd, struct err *err)
{
    cleanup_with(sink_done) struct sink s = {0};
    if (sink_open(&s, fd, err) < 0)
        return -1;
    s.pos = EROFS_META_START;
    put_inodes(&s, plan);
    put_blocks(&s, plan);
    sink_flush(&s);
    if (s.errnum)
        return err_set(err, s.errnum, "can't write the index of the root file system");
    if (make_uuid(&s, plan->index->uuid, err) < 0)
        return -1;
    return put_superblock(fd, plan, err);
}

int erofs_write(const struct render *r, int fd, struct erofs_index *ret, struct err *err)
{
    cleanup_with(erofs_plan_done) struct erofs_plan plan = {0};
    struct erofs_index index = {0};
    if (erofs_plan_make(r, &index, &plan, err) < 0 || write_plan(&plan, fd, err) < 0) {
        erofs_index_done(&index);
        return -1;
    }
    *ret = index;
    return 0;
}

void erofs_index_done(struct erofs_index *i)
{
    free(i->parts);
    *i = (struct erofs_index){0};
}
