/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a manifest and a merged tree as the tar of an image. */
#include "host/oci/write.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/build_tar.h"

#define BUFFER_BYTES (1u << 20)
#define END_OF_TAR   (2 * ACI_TAR_BLOCK)

struct writer {
    const struct render *r;
    EVP_MD_CTX *hash;
    int fd;
    uint64_t bytes, max;
    struct buf pending;
    struct buf path;
    const struct tree_node **first; /* by inode: the name that has the data */
};

static int flush(struct writer *w, struct err *err)
{
    if (w->pending.len == 0)
        return 0;
    if (!EVP_DigestUpdate(w->hash, w->pending.data, w->pending.len))
        return err_set(err, 0, "can't compute the SHA-512 of the image");
    if (write_all(w->fd, w->pending.data, w->pending.len) < 0)
        return err_set(err, errno, "can't store the image");
    buf_reset(&w->pending);
    return 0;
}

static int put(struct writer *w, const void *data, size_t len, struct err *err)
{
    const char *p = data;
    if (len > w->max - w->bytes)
        return err_set(err, EFBIG,
                       "the image has more than %llu bytes; --max-size=SIZE allows more",
                       (unsigned long long)w->max);
    w->bytes += len;
    while (len) {
        size_t n = len < BUFFER_BYTES ? len : BUFFER_BYTES;
        buf_add(&w->pending, p, n);
        if (w->pending.len >= BUFFER_BYTES && flush(w, err) < 0)
            return -1;
        p += n;
        len -= n;
    }
    return 0;
}

static int put_zeros(struct writer *w, uint64_t len, struct err *err)
{
    static const char zeros[4096];
    while (len) {
        size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);
        if (put(w, zeros, n, err) < 0)
            return -1;
        len -= n;
    }
    return 0;
}

static int put_header(struct writer *w, const struct tar_entry *e, struct err *err)
{
    cleanup_with(buf_free) struct buf header = {0};
    tar_header(&header, e);
    return put(w, header.data, header.len, err);
}

/*
 * The pieces of a file with holes, widened to whole blocks, as a root file system's data has to lie
 * at block boundaries of the tar; NULL when nothing is left out. An empty piece at the end says
 * where the file ends, as GNU tar writes it.
 */
static struct tar_piece *pieces_of(const struct tree_inode *i, size_t *ret_n)
{
    struct tar_piece *v = xcalloc((size_t)i->nextents + 1, sizeof(*v));
    size_t n = 0;
    uint64_t stored = 0;
    for (uint32_t k = 0; k < i->nextents; k++) {
        const struct tree_extent *x = &i->extents[k];
        uint64_t from = x->file_off - x->file_off % ACI_TAR_BLOCK, to = x->file_off + x->len;
        if (to < i->size)
            to += tar_padding(to);
        if (to > i->size)
            to = i->size;
        if (n && v[n - 1].offset + v[n - 1].len >= from)
            v[n - 1].len = to - v[n - 1].offset;
        else
            v[n++] = (struct tar_piece){.offset = from, .len = to - from};
    }
    for (size_t k = 0; k < n; k++)
        stored += v[k].len;
    if (stored == i->size) {
        free(v);
        return NULL;
    }
    if (n == 0 || v[n - 1].offset + v[n - 1].len < i->size)
        v[n++] = (struct tar_piece){.offset = i->size};
    *ret_n = n;
    return v;
}

/* Bytes [from, to) of a file, zeros where it has holes. */
static int put_range(struct writer *w, const struct tree_inode *i, uint64_t from, uint64_t to,
                     uint32_t *next, struct err *err)
{
    const unsigned char *tar = w->r->blobs[i->blob]->tar;
    while (from < to) {
        const struct tree_extent *x = *next < i->nextents ? &i->extents[*next] : NULL;
        if (!x || x->file_off >= to)
            return put_zeros(w, to - from, err);
        if (put_zeros(w, x->file_off - from, err) < 0 ||
            put(w, tar + x->tar_off, (size_t)x->len, err) < 0)
            return -1;
        from = x->file_off + x->len;
        (*next)++;
    }
    return 0;
}

static int put_file(struct writer *w, struct tar_entry *e, const struct tree_inode *i,
                    struct err *err)
{
    size_t n = 0;
    uint32_t next = 0;
    uint64_t stored = 0;
    cleanup_free struct tar_piece *pieces = pieces_of(i, &n);
    struct tar_piece whole = {.len = i->size};
    e->type = TAR_FILE;
    e->size = i->size;
    e->pieces = pieces;
    e->npieces = n;
    if (put_header(w, e, err) < 0)
        return -1;
    const struct tar_piece *v = pieces ? pieces : &whole;
    for (size_t k = 0; k < (pieces ? n : 1); k++) {
        if (put_range(w, i, v[k].offset, v[k].offset + v[k].len, &next, err) < 0)
            return -1;
        stored += v[k].len;
    }
    return put_zeros(w, tar_padding(stored), err);
}

static void add_xattrs(const struct tree_inode *i, struct buf *pax)
{
    for (uint32_t k = 0; k < i->nxattrs; k++) {
        cleanup_free char *key = xasprintf("SCHILY.xattr.%s", i->xattrs[k].name);
        tar_pax_record(pax, key, i->xattrs[k].value, i->xattrs[k].value_len);
    }
}

static int put_inode(struct writer *w, struct tar_entry *e, const struct tree_inode *i,
                     struct err *err)
{
    switch (i->mode & S_IFMT) {
    case S_IFREG:
        return put_file(w, e, i, err);
    case S_IFLNK:
        e->type = TAR_SYMLINK;
        e->link = i->link;
        break;
    case S_IFDIR:
        e->type = TAR_DIR;
        break;
    case S_IFIFO:
        e->type = TAR_FIFO;
        break;
    default:
        e->type = S_ISCHR(i->mode) ? TAR_CHAR : TAR_BLOCK;
        e->devmajor = i->devmajor;
        e->devminor = i->devminor;
    }
    return put_header(w, e, err);
}

static int put_link(struct writer *w, struct tar_entry *e, const struct tree_node *first,
                    struct err *err)
{
    cleanup_with(buf_free) struct buf target = {0};
    buf_adds(&target, "rootfs");
    tree_path(first, &target);
    e->type = TAR_HARDLINK;
    e->link = target.data;
    return put_header(w, e, err);
}

static int put_node(struct writer *w, const struct tree_node *n, struct err *err)
{
    cleanup_with(buf_free) struct buf pax = {0};
    const struct tree_inode *i = n->inode;
    buf_reset(&w->path);
    buf_adds(&w->path, "rootfs");
    if (n->parent)
        tree_path(n, &w->path);
    struct tar_entry e = {.path = w->path.data,
                          .mode = i->mode & 07777,
                          .uid = i->uid,
                          .gid = i->gid,
                          .mtime = i->mtime,
                          .mtime_nsec = i->mtime_nsec};
    if (!S_ISDIR(i->mode) && i->nlink > 1) {
        if (w->first[i->id])
            return put_link(w, &e, w->first[i->id], err);
        w->first[i->id] = n;
    }
    add_xattrs(i, &pax);
    e.pax = &pax;
    return put_inode(w, &e, i, err);
}

static int put_all(struct writer *w, const char *manifest, size_t len, struct err *err)
{
    struct tar_entry e = {.type = TAR_FILE, .path = "manifest", .mode = 0644, .size = len};
    if (put_header(w, &e, err) < 0 || put(w, manifest, len, err) < 0 ||
        put_zeros(w, tar_padding(len), err) < 0)
        return -1;
    for (struct tree_node *n = w->r->root; n; n = tree_next(w->r->root, n))
        if (put_node(w, n, err) < 0)
            return -1;
    if (put_zeros(w, END_OF_TAR, err) < 0)
        return -1;
    return flush(w, err);
}

int write_image(const struct render *r, const char *manifest, size_t len, int fd, uint64_t max,
                struct aci_id *ret_id, uint64_t *ret_bytes, struct err *err)
{
    uint8_t digest[ACI_DIGEST_LEN];
    struct writer w = {.r = r, .fd = fd, .max = max, .hash = EVP_MD_CTX_new()};
    if (!w.hash || !EVP_DigestInit_ex(w.hash, EVP_sha512(), NULL))
        die_oom();
    w.first = xcalloc(r->ninodes, sizeof(*w.first));
    int result = put_all(&w, manifest, len, err);
    if (result == 0 && !EVP_DigestFinal_ex(w.hash, digest, NULL))
        result = err_set(err, 0, "can't compute the SHA-512 of the image");
    free(w.first);
    buf_free(&w.pending);
    buf_free(&w.path);
    EVP_MD_CTX_free(w.hash);
    if (result < 0)
        return -1;
    aci_id_set(ret_id, digest);
    *ret_bytes = w.bytes;
    return 0;
}
