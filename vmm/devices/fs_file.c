/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: opening and closing files, and what is done to an open one besides READ and WRITE. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/devices/fs_ops.h"

/*
 * The guest's kernel does the rest itself: O_APPEND and O_SYNC come with each WRITE, and its cache
 * is what O_DIRECT goes around.
 */
#define OPEN_FLAGS (O_ACCMODE | O_TRUNC)

/* Keeps the device from waiting: a lease of somebody on the host, or a fifo. */
#define OPEN_ALWAYS (O_NONBLOCK | O_NOCTTY)

/* Bytes of one COPY_FILE_RANGE and no more, as other requests wait for it. */
#define COPY_MAX (16U << 20)

/* How long ago a change must have been for the next one to get another time stamp for sure. */
#define SETTLED_S 2

static bool for_writing(uint32_t flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

/*
 * The guest may keep the pages it has of a file that has not changed since they were made sure of:
 * when it was opened last, and its last change was so long ago that a later one shows.
 */
static bool unchanged(struct fs_node *n, int fd)
{
    struct statx stx;
    struct timespec now;
    if (fs_statx(fd, &stx))
        return false;
    clock_gettime(CLOCK_REALTIME, &now);
    bool same = n->opened_settled && n->opened_ctime.tv_sec == stx.stx_ctime.tv_sec &&
                n->opened_ctime.tv_nsec == stx.stx_ctime.tv_nsec;
    n->opened_ctime = stx.stx_ctime;
    n->opened_settled = now.tv_sec - stx.stx_ctime.tv_sec >= SETTLED_S;
    return same;
}

/* The answer to a request that opened fd, which it takes over. */
static int opened(struct fs *fs, struct fs_node *n, int fd, uint32_t flags,
                  struct fuse_open_out *out)
{
    *out = (struct fuse_open_out){0};
    if (unchanged(n, fd))
        out->open_flags |= FOPEN_KEEP_CACHE;
    /* Nothing has been written that could fail at the end. */
    if ((flags & O_ACCMODE) == O_RDONLY)
        out->open_flags |= FOPEN_NOFLUSH;
    struct fs_handle *h = fs_handle_new(fs, n, fd, false);
    if (!h)
        return -ENFILE;
    out->fh = h->fh;
    return 0;
}

/* Opens a node as the guest's flags say: a descriptor or a negative errno. */
static int open_node(struct fs *fs, struct fs_node *n, uint32_t flags, bool drop_setid)
{
    if (n->share->read_only && for_writing(flags))
        return -EROFS;
    if (!S_ISREG(n->type) || n->covered)
        return S_ISDIR(n->type) ? -EISDIR : -EACCES;
    int e = fs_fd_room(fs);
    int fd = e ? e : fs_node_fd(fs, n);
    if (fd < 0)
        return fd;
    if (drop_setid && flags & O_TRUNC)
        fs_owner_drop_setid(fs, fd);
    return fs_reopen(fd, (int)(flags & OPEN_FLAGS) | OPEN_ALWAYS);
}

int fs_op_open(struct fs *fs, struct fs_request *r)
{
    const struct fuse_open_in *in = r->arg;
    int fd = open_node(fs, r->node, in->flags, in->open_flags & FUSE_OPEN_KILL_SUIDGID);
    if (fd < 0)
        return fd;
    struct fuse_open_out *out = (struct fuse_open_out *)fs->reply;
    int e = opened(fs, r->node, fd, in->flags, out);
    return e ? e : (int)sizeof(*out);
}

/* The answer to CREATE and TMPFILE: a node with its attributes, and its open file (taken over). */
static int created(struct fs *fs, struct fs_node *n, const struct statx *stx, int fd,
                   uint32_t flags)
{
    struct fuse_entry_out *entry = (struct fuse_entry_out *)fs->reply;
    struct fuse_open_out *open = (struct fuse_open_out *)(entry + 1);
    fs_entry(fs, n, stx, entry);
    int e = opened(fs, n, fd, flags, open);
    if (!e)
        return sizeof(*entry) + sizeof(*open);
    fs_node_forget(fs, n, 1);
    return e;
}

/* The node of a file that was just made and is open as fd; `name` is NULL if it has none. */
static int new_file(struct fs *fs, struct fs_request *r, const char *name, int fd,
                    const struct fuse_create_in *in)
{
    cleanup_close int owned = fd;
    struct statx stx;
    int e;
    int path_fd = fs_reopen(fd, O_PATH);
    if (path_fd < 0)
        return path_fd;
    e = fs_owner_new(fs, r->node->fd, path_fd, r->in.uid, r->in.gid, S_IFREG | (in->mode & 07777));
    if (e) {
        close(path_fd);
        if (name)
            unlinkat(r->node->fd, name, 0);
        return e;
    }
    struct fs_node *n =
        fs_node_get(fs, r->node->share, path_fd, name ? r->node : NULL, name, &stx, &e);
    return n ? created(fs, n, &stx, take_fd(owned), in->flags) : e;
}

/* The file was there before. */
static int create_existing(struct fs *fs, struct fs_request *r, const struct fuse_create_in *in)
{
    struct statx stx;
    int e;
    struct fs_node *n = fs_lookup(fs, r->node, r->node->fd, r->name[0], &stx, &e);
    if (!n)
        return e;
    /* A lookup that nobody counts would never be forgotten. */
    n->nlookup++;
    int fd = S_ISLNK(n->type)
                 ? -ELOOP
                 : open_node(fs, n, in->flags, in->open_flags & FUSE_OPEN_KILL_SUIDGID);
    if (fd >= 0 && in->flags & O_TRUNC)
        fs_statx(fd, &stx);
    int len = fd < 0 ? fd : created(fs, n, &stx, fd, in->flags);
    fs_node_forget(fs, n, 1);
    return len;
}

int fs_op_create(struct fs *fs, struct fs_request *r)
{
    const struct fuse_create_in *in = r->arg;
    int flags = (int)(in->flags & OPEN_FLAGS) | OPEN_ALWAYS | O_CREAT | O_EXCL;
    int e = fs_fd_room(fs);
    if (e)
        return e;
    int fd = fs_open_at(r->node->fd, r->name[0], flags, in->mode & 07777);
    if (fd == -EEXIST && !(in->flags & O_EXCL))
        return create_existing(fs, r, in);
    return fd < 0 ? fd : new_file(fs, r, r->name[0], fd, in);
}

int fs_op_tmpfile(struct fs *fs, struct fs_request *r)
{
    const struct fuse_create_in *in = r->arg;
    struct fs_path p = fs_path(r->node->fd);
    int e = fs_fd_room(fs);
    if (e)
        return e;
    if ((in->flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    int flags = (int)(in->flags & (O_ACCMODE | O_EXCL)) | OPEN_ALWAYS | O_TMPFILE | O_CLOEXEC;
    int fd = openat(AT_FDCWD, p.text, flags, in->mode & 07777);
    return fd < 0 ? -errno : new_file(fs, r, NULL, fd, in);
}

int fs_op_opendir(struct fs *fs, struct fs_request *r)
{
    struct fuse_open_out *out = (struct fuse_open_out *)fs->reply;
    int fd = -1;
    int e = fs_fd_room(fs);
    if (e)
        return e;
    if (r->node->share && !r->node->covered) {
        fd = fs_reopen(r->node->fd, O_RDONLY | O_DIRECTORY | OPEN_ALWAYS);
        if (fd < 0)
            return fd;
    }
    struct fs_handle *h = fs_handle_new(fs, r->node, fd, true);
    if (!h)
        return -ENFILE;
    *out = (struct fuse_open_out){.fh = h->fh};
    return sizeof(*out);
}

/* RELEASE and RELEASEDIR. */
int fs_op_release(struct fs *fs, struct fs_request *r)
{
    const struct fuse_release_in *in = r->arg;
    bool is_dir = r->in.opcode == FUSE_RELEASEDIR;
    struct fs_handle *h = fs_handle_at(fs, in->fh, r->in.nodeid, is_dir);
    if (!h)
        return -EBADF;
    fs_handle_free(fs, h);
    return 0;
}

/* Where writing fails late (quota on a network file system), closing says so. */
int fs_op_flush(struct fs *fs, struct fs_request *r)
{
    const struct fuse_flush_in *in = r->arg;
    struct fs_handle *h = fs_handle_at(fs, in->fh, r->node->id, false);
    if (!h)
        return -EBADF;
    int fd = dup(h->fd);
    return fd < 0 || close(fd) ? -errno : 0;
}

/* FSYNC and FSYNCDIR. */
int fs_op_fsync(struct fs *fs, struct fs_request *r)
{
    const struct fuse_fsync_in *in = r->arg;
    bool is_dir = r->in.opcode == FUSE_FSYNCDIR;
    struct fs_handle *h = fs_handle_at(fs, in->fh, r->node->id, is_dir);
    if (!h)
        return -EBADF;
    if (h->fd < 0)
        return 0;
    bool data = in->fsync_flags & FUSE_FSYNC_FDATASYNC;
    return (data ? fdatasync(h->fd) : fsync(h->fd)) ? -errno : 0;
}

static int sync_share(const struct fs_share *s)
{
    if (s->read_only)
        return 0;
    cleanup_close int fd = fs_reopen(s->fd, O_RDONLY | OPEN_ALWAYS);
    /* What its user may not read was not written by way of it either. */
    if (fd < 0)
        return fd == -EACCES || fd == -EPERM ? 0 : fd;
    return syncfs(fd) ? -errno : 0;
}

/* sync(2) in the guest. It knows one file system, which is all shares. */
int fs_op_syncfs(struct fs *fs, struct fs_request *r)
{
    int e = 0;
    (void)r;
    for (unsigned i = 0; i < fs->nshares; i++) {
        int one = sync_share(fs->shares[i]);
        e = e ? e : one;
    }
    return e;
}

int fs_op_fallocate(struct fs *fs, struct fs_request *r)
{
    const struct fuse_fallocate_in *in = r->arg;
    struct fs_handle *h = fs_handle_at(fs, in->fh, r->node->id, false);
    const uint32_t known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
    if (!h)
        return -EBADF;
    if (in->mode & ~known)
        return -EOPNOTSUPP;
    if (in->offset > INT64_MAX || in->length > INT64_MAX)
        return -EFBIG;
    fs_owner_drop_setid(fs, h->fd);
    return fallocate(h->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) ? -errno : 0;
}

int fs_op_lseek(struct fs *fs, struct fs_request *r)
{
    const struct fuse_lseek_in *in = r->arg;
    struct fuse_lseek_out *out = (struct fuse_lseek_out *)fs->reply;
    struct fs_handle *h = fs_handle_at(fs, in->fh, r->node->id, false);
    if (!h)
        return -EBADF;
    if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
        return -EINVAL;
    if (in->offset > INT64_MAX)
        return -ENXIO;
    off_t pos = lseek(h->fd, (off_t)in->offset, (int)in->whence);
    if (pos < 0)
        return -errno;
    out->offset = (uint64_t)pos;
    return sizeof(*out);
}

int fs_op_copy_file_range(struct fs *fs, struct fs_request *r)
{
    const struct fuse_copy_file_range_in *in = r->arg;
    struct fuse_write_out *out = (struct fuse_write_out *)fs->reply;
    struct fs_handle *from = fs_handle_at(fs, in->fh_in, r->node->id, false);
    struct fs_handle *to = fs_handle_at(fs, in->fh_out, in->nodeid_out, false);
    if (!from || !to)
        return -EBADF;
    if (in->flags || in->off_in > INT64_MAX || in->off_out > INT64_MAX)
        return -EINVAL;
    loff_t off_in = (loff_t)in->off_in, off_out = (loff_t)in->off_out;
    size_t len = in->len < COPY_MAX ? (size_t)in->len : COPY_MAX;
    ssize_t n = copy_file_range(from->fd, &off_in, to->fd, &off_out, len, 0);
    if (n < 0)
        return -errno;
    *out = (struct fuse_write_out){.size = (uint32_t)n};
    return sizeof(*out);
}
