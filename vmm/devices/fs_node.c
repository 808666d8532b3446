/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: LOOKUP, FORGET, and the attributes of nodes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "vmm/devices/fs_ops.h"

#define NS_PER_MS 1000000U

/* The attributes of the root, which is on no disk. */
#define ROOT_MODE (S_IFDIR | 0755)

/* The kernel's encoding of device numbers in 32 bits. */
static uint32_t device_number(uint32_t major, uint32_t minor)
{
    return (minor & 0xff) | major << 8 | (minor & ~0xffU) << 12;
}

/*
 * All shares are one file system to the guest. The first file system of the host keeps its inode
 * numbers; those of others get a number of their own in the bits that are seldom used.
 */
uint64_t fs_ino(struct fs *fs, uint64_t dev, uint64_t ino)
{
    unsigned i = 0;
    while (i < fs->ndevs && fs->devs[i] != dev)
        i++;
    if (i == fs->ndevs && i + 1 < sizeof(fs->devs) / sizeof(fs->devs[0]))
        fs->devs[fs->ndevs++] = dev;
    return ino ^ (uint64_t)i << 48;
}

static void root_attr(const struct fs *fs, struct fuse_attr *a)
{
    *a = (struct fuse_attr){
        .ino = FUSE_ROOT_ID, .mode = ROOT_MODE, .nlink = 2 + fs->nshares, .blksize = 4096};
}

static void fill_attr(struct fs *fs, int fd, const struct statx *s, struct fuse_attr *a)
{
    *a = (struct fuse_attr){
        .ino = fs_ino(fs, (uint64_t)s->stx_dev_major << 32 | s->stx_dev_minor, s->stx_ino),
        .size = s->stx_size,
        .blocks = s->stx_blocks,
        .atime = (uint64_t)s->stx_atime.tv_sec,
        .mtime = (uint64_t)s->stx_mtime.tv_sec,
        .ctime = (uint64_t)s->stx_ctime.tv_sec,
        .atimensec = s->stx_atime.tv_nsec,
        .mtimensec = s->stx_mtime.tv_nsec,
        .ctimensec = s->stx_ctime.tv_nsec,
        .mode = s->stx_mode,
        .nlink = s->stx_nlink,
        .rdev = device_number(s->stx_rdev_major, s->stx_rdev_minor),
        .blksize = s->stx_blksize,
    };
    fs_owner_show(fs, fd, s, &a->uid, &a->gid);
}

void fs_entry(struct fs *fs, struct fs_node *n, const struct statx *stx, struct fuse_entry_out *ret)
{
    *ret = (struct fuse_entry_out){
        .nodeid = n->id,
        .entry_valid = fs->cache_ms / 1000,
        .attr_valid = fs->cache_ms / 1000,
        .entry_valid_nsec = fs->cache_ms % 1000 * NS_PER_MS,
        .attr_valid_nsec = fs->cache_ms % 1000 * NS_PER_MS,
    };
    fill_attr(fs, n->fd, stx, &ret->attr);
    n->nlookup++;
}

static struct fs_node *lookup_share(struct fs *fs, const char *name, struct statx *ret_stx,
                                    int *ret_error)
{
    struct fs_share *s = fs_share_find(fs, name);
    *ret_error = s ? fs_statx(s->fd, ret_stx) : -ENOENT;
    return *ret_error ? NULL : s->node;
}

struct fs_node *fs_lookup(struct fs *fs, struct fs_node *dir, int dir_fd, const char *name,
                          struct statx *ret_stx, int *ret_error)
{
    if (!dir->share)
        return lookup_share(fs, name, ret_stx, ret_error);
    if (dir->covered) {
        *ret_error = -ENOENT;
        return NULL;
    }
    int fd = fs_open_at(dir_fd, name, O_PATH, 0);
    if (fd < 0) {
        *ret_error = fd;
        return NULL;
    }
    return fs_node_get(fs, dir->share, fd, dir, name, ret_stx, ret_error);
}

int fs_answer_entry(struct fs *fs, struct fs_node *dir, const char *name)
{
    struct statx stx;
    int error;
    struct fs_node *n = fs_lookup(fs, dir, dir->fd, name, &stx, &error);
    if (!n)
        return error;
    fs_entry(fs, n, &stx, (struct fuse_entry_out *)fs->reply);
    return sizeof(struct fuse_entry_out);
}

int fs_op_lookup(struct fs *fs, struct fs_request *r)
{
    return fs_answer_entry(fs, r->node, r->name[0]);
}

int fs_op_forget(struct fs *fs, struct fs_request *r)
{
    const struct fuse_forget_in *in = r->arg;
    struct fs_node *n = fs_node_at(fs, r->in.nodeid);
    if (n)
        fs_node_forget(fs, n, in->nlookup);
    return 0;
}

int fs_op_batch_forget(struct fs *fs, struct fs_request *r)
{
    const struct fuse_batch_forget_in *in = r->arg;
    struct fuse_forget_one one;
    size_t n = r->rest_len / sizeof(one);
    for (size_t i = 0; i < n && i < in->count; i++) {
        memcpy(&one, r->rest + i * sizeof(one), sizeof(one));
        struct fs_node *node = fs_node_at(fs, one.nodeid);
        if (node)
            fs_node_forget(fs, node, one.nlookup);
    }
    return 0;
}

static int answer_attr(struct fs *fs, const struct fs_node *n, int fd)
{
    struct fuse_attr_out *out = (struct fuse_attr_out *)fs->reply;
    struct statx stx;
    *out = (struct fuse_attr_out){.attr_valid = fs->cache_ms / 1000,
                                  .attr_valid_nsec = fs->cache_ms % 1000 * NS_PER_MS};
    if (!n->share) {
        root_attr(fs, &out->attr);
        return sizeof(*out);
    }
    int r = fs_statx(fd, &stx);
    if (r)
        return r;
    fill_attr(fs, fd, &stx, &out->attr);
    return sizeof(*out);
}

/* The descriptor of the request's open file if it has one, else of its node. */
static int fd_for(struct fs *fs, struct fs_request *r, bool has_fh, uint64_t fh)
{
    struct fs_handle *h = has_fh ? fs_handle_at(fs, fh, r->node->id, false) : NULL;
    if (h && h->fd >= 0)
        return h->fd;
    return r->node->share ? fs_node_fd(fs, r->node) : -1;
}

int fs_op_getattr(struct fs *fs, struct fs_request *r)
{
    const struct fuse_getattr_in *in = r->arg;
    int fd = fd_for(fs, r, in->getattr_flags & FUSE_GETATTR_FH, in->fh);
    if (fd < 0 && r->node->share)
        return fd;
    return answer_attr(fs, r->node, fd);
}

static int set_size(struct fs *fs, struct fs_request *r, const struct fuse_setattr_in *in, int fd)
{
    struct fs_path p = fs_path(fd);
    struct fs_handle *h = NULL;
    if (in->size > INT64_MAX)
        return -EFBIG;
    if (in->valid & FATTR_FH)
        h = fs_handle_at(fs, in->fh, r->node->id, false);
    if (in->valid & FATTR_KILL_SUIDGID)
        fs_owner_drop_setid(fs, fd);
    if (h && h->fd >= 0)
        return ftruncate(h->fd, (off_t)in->size) ? -errno : 0;
    if (S_ISDIR(r->node->type))
        return -EISDIR;
    if (!S_ISREG(r->node->type))
        return -EINVAL;
    return truncate(p.text, (off_t)in->size) ? -errno : 0;
}

static struct timespec time_to_set(uint32_t valid, uint32_t set, uint32_t now, uint64_t sec,
                                   uint32_t nsec)
{
    if (!(valid & set))
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    if (valid & now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    return (struct timespec){(time_t)sec, nsec < 1000000000U ? (long)nsec : 0};
}

static int set_times(const struct fuse_setattr_in *in, int fd)
{
    struct fs_path p = fs_path(fd);
    const struct timespec ts[2] = {
        time_to_set(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
        time_to_set(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec),
    };
    return utimensat(AT_FDCWD, p.text, ts, 0) ? -errno : 0;
}

/* chown comes before chmod, as it clears bits of the mode. */
static int set_all(struct fs *fs, struct fs_request *r, const struct fuse_setattr_in *in, int fd)
{
    struct fs_path p = fs_path(fd);
    int e = 0;
    if (in->valid & FATTR_SIZE)
        e = set_size(fs, r, in, fd);
    if (!e && in->valid & (FATTR_UID | FATTR_GID))
        e = fs_owner_set(fs, fd, in->valid & FATTR_UID ? in->uid : (uint32_t)-1,
                         in->valid & FATTR_GID ? in->gid : (uint32_t)-1);
    if (!e && in->valid & FATTR_MODE)
        e = fchmodat(AT_FDCWD, p.text, in->mode & 07777, 0) ? -errno : 0;
    if (!e && in->valid & (FATTR_ATIME | FATTR_MTIME))
        e = set_times(in, fd);
    return e;
}

int fs_op_setattr(struct fs *fs, struct fs_request *r)
{
    int fd = fs_node_fd(fs, r->node);
    if (fd < 0)
        return fd;
    int e = set_all(fs, r, r->arg, fd);
    return e ? e : answer_attr(fs, r->node, fd);
}

int fs_op_readlink(struct fs *fs, struct fs_request *r)
{
    if (!S_ISLNK(r->node->type))
        return -EINVAL;
    int fd = fs_node_fd(fs, r->node);
    if (fd < 0)
        return fd;
    ssize_t n = readlinkat(fd, "", (char *)fs->reply, PATH_MAX);
    return n < 0 ? -errno : (int)n;
}

int fs_op_statfs(struct fs *fs, struct fs_request *r)
{
    struct fuse_statfs_out *out = (struct fuse_statfs_out *)fs->reply;
    struct statfs st = {.f_bsize = 4096, .f_namelen = FS_NAME_MAX};
    int fd = r->node->share ? fs_node_fd(fs, r->node) : -1;
    if (fd < 0 && r->node->share)
        return fd;
    if (fd >= 0 && fstatfs(fd, &st))
        return -errno;
    *out = (struct fuse_statfs_out){.st = {
                                        .blocks = st.f_blocks,
                                        .bfree = st.f_bfree,
                                        .bavail = st.f_bavail,
                                        .files = st.f_files,
                                        .ffree = st.f_ffree,
                                        .bsize = (uint32_t)st.f_bsize,
                                        .namelen = (uint32_t)st.f_namelen,
                                        .frsize = (uint32_t)st.f_frsize,
                                    }};
    return sizeof(*out);
}

/*
 * The guest decides by mode and owner itself; this is for what only the host can know. A process
 * that may not look past the mode on the host is told so when it opens the file.
 */
int fs_op_access(struct fs *fs, struct fs_request *r)
{
    const struct fuse_access_in *in = r->arg;
    (void)fs;
    if (in->mask & W_OK && (!r->node->share || r->node->share->read_only))
        return -EROFS;
    return 0;
}
