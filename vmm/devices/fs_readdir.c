/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: READDIR and READDIRPLUS. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/devices/fs_ops.h"

/* What getdents64() fills in (getdents(2)). */
struct dent {
    uint64_t ino;
    int64_t off;
    unsigned short reclen;
    unsigned char type;
    char name[];
};

/* The answer as it grows. */
struct listing {
    struct fs *fs;
    struct fs_node *dir;
    uint8_t *at;
    size_t left;
    bool plus;
    bool full; /* an entry had no room */
};

static bool is_dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* One more entry behind the others, for which there is room. */
static void add(struct listing *l, const char *name, uint64_t ino, int64_t next, unsigned type,
                const struct fuse_entry_out *entry)
{
    size_t len = strnlen(name, FS_NAME_MAX + 1);
    size_t head = l->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
    size_t size = FUSE_REC_ALIGN(head + len);
    memset(l->at, 0, size);
    struct fuse_dirent d = {
        .ino = ino, .off = (uint64_t)next, .namelen = (uint32_t)len, .type = type};
    if (entry)
        memcpy(l->at, entry, sizeof(*entry));
    memcpy(l->at + head - FUSE_NAME_OFFSET, &d, FUSE_NAME_OFFSET);
    memcpy(l->at + head, name, len);
    l->at += size;
    l->left -= size;
}

static bool fits(struct listing *l, const char *name)
{
    size_t head = l->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
    l->full = FUSE_REC_ALIGN(head + strnlen(name, FS_NAME_MAX + 1)) > l->left;
    return !l->full;
}

/* An entry with what a lookup would say. One that cannot be looked up has the name alone. */
static bool add_found(struct listing *l, const char *name, uint64_t ino, int64_t next,
                      unsigned type)
{
    struct fuse_entry_out entry = {0};
    struct statx stx;
    int error;
    if (!fits(l, name))
        return false;
    struct fs_node *n =
        l->plus && !is_dots(name) ? fs_lookup(l->fs, l->dir, l->dir->fd, name, &stx, &error) : NULL;
    if (n)
        fs_entry(l->fs, n, &stx, &entry);
    add(l, name, ino, next, type, l->plus ? &entry : NULL);
    return true;
}

/* The entry of a directory; what lies above a share is nobody's business. */
static bool add_dent(struct listing *l, const struct dent *d)
{
    uint64_t ino = fs_ino(l->fs, l->dir->dev, d->ino);
    if (l->dir == l->dir->share->node && !strcmp(d->name, ".."))
        ino = FUSE_ROOT_ID;
    return add_found(l, d->name, ino, d->off, d->type);
}

/* Adds what getdents64() gave; false when there was no room for an entry, h->pos is then its. */
static bool add_dents(struct listing *l, struct fs_handle *h, size_t len)
{
    for (size_t at = 0; at + offsetof(struct dent, name) < len;) {
        const struct dent *d = (const struct dent *)(l->fs->dents + at);
        if (!d->reclen || d->reclen > len - at)
            break;
        if (!add_dent(l, d))
            return false;
        h->pos = d->off;
        at += d->reclen;
    }
    return true;
}

/*
 * Reads on at `off`, which is where an entry said that the next one is. The position of the
 * descriptor is behind all that was read, also behind what the answer had no room for.
 */
static int list_dir(struct listing *l, struct fs_handle *h, uint64_t off)
{
    struct fs *fs = l->fs;
    if ((uint64_t)h->pos != off || !off) {
        if (off > INT64_MAX || lseek(h->fd, (off_t)off, SEEK_SET) < 0)
            return -EINVAL;
        h->pos = (int64_t)off;
    }
    size_t want = l->left < sizeof(fs->dents) ? l->left : sizeof(fs->dents);
    /* Room for the longest name, so that there is progress. */
    if (want < 280)
        want = 280;
    long n = syscall(SYS_getdents64, h->fd, fs->dents, want);
    if (n < 0)
        return -errno;
    if (!add_dents(l, h, (size_t)n))
        h->pos = -1;
    return 0;
}

/* The root and covered directories: offset 0 is ".", 1 is "..", then come the shares. */
static void list_made_up(struct listing *l, uint64_t off)
{
    struct fs *fs = l->fs;
    uint64_t n = l->dir->share ? 0 : fs->nshares;
    for (uint64_t i = off; i < n + 2; i++) {
        const struct fs_share *s = i < 2 ? NULL : fs->shares[i - 2];
        const char *name = s ? s->name : i ? ".." : ".";
        uint64_t ino = s ? fs_ino(fs, s->node->dev, s->node->ino) : FUSE_ROOT_ID;
        unsigned type = s && !S_ISDIR(s->node->type) ? DT_REG : DT_DIR;
        if (!add_found(l, name, ino, (int64_t)i + 1, type))
            return;
    }
}

static int list(struct fs *fs, struct fs_request *r, bool plus)
{
    const struct fuse_read_in *in = r->arg;
    struct fs_handle *h = fs_handle_at(fs, in->fh, r->node->id, true);
    struct listing l = {.fs = fs, .dir = r->node, .at = (uint8_t *)fs->reply, .plus = plus};
    if (!h)
        return -EBADF;
    l.left = in->size < sizeof(fs->reply) ? in->size : sizeof(fs->reply);
    if (l.left > r->room.len)
        l.left = r->room.len;
    size_t room = l.left;
    if (h->fd < 0)
        list_made_up(&l, in->offset);
    else {
        int e = list_dir(&l, h, in->offset);
        if (e)
            return e;
    }
    /* No bytes mean the end. */
    return l.full && l.left == room ? -EINVAL : (int)(room - l.left);
}

int fs_op_readdir(struct fs *fs, struct fs_request *r)
{
    return list(fs, r, false);
}

int fs_op_readdirplus(struct fs *fs, struct fs_request *r)
{
    return list(fs, r, true);
}
