/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: making, removing and renaming entries of directories. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/devices/fs_ops.h"

/*
 * The end of a request that made `name`: it gets its owner and is looked up. What the owner cannot
 * be set of is removed again, so that no file of the wrong owner is left.
 */
static int made(struct fs *fs, struct fs_request *r, const char *name, mode_t mode)
{
    int dir = r->node->fd;
    cleanup_close int fd = fs_open_at(dir, name, O_PATH, 0);
    if (fd < 0)
        return fd;
    int e = fs_owner_new(fs, dir, fd, r->in.uid, r->in.gid, mode);
    if (!e)
        return fs_answer_entry(fs, r->node, name);
    unlinkat(dir, name, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
    return e;
}

/* Devices would be those of the host. */
int fs_op_mknod(struct fs *fs, struct fs_request *r)
{
    const struct fuse_mknod_in *in = r->arg;
    mode_t mode = in->mode & (S_IFMT | 07777);
    if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode))
        return -EPERM;
    if (mknodat(r->node->fd, r->name[0], mode, 0))
        return -errno;
    return made(fs, r, r->name[0], mode);
}

int fs_op_mkdir(struct fs *fs, struct fs_request *r)
{
    const struct fuse_mkdir_in *in = r->arg;
    if (mkdirat(r->node->fd, r->name[0], in->mode & 07777))
        return -errno;
    return made(fs, r, r->name[0], S_IFDIR | (in->mode & 07777));
}

int fs_op_symlink(struct fs *fs, struct fs_request *r)
{
    const char *target = (const char *)r->rest;
    if (!r->rest_len || target[r->rest_len - 1] || strlen(target) + 1 != r->rest_len)
        return -EINVAL;
    if (symlinkat(target, r->node->fd, r->name[0]))
        return -errno;
    return made(fs, r, r->name[0], S_IFLNK | 0777);
}

int fs_op_unlink(struct fs *fs, struct fs_request *r)
{
    (void)fs;
    return unlinkat(r->node->fd, r->name[0], 0) ? -errno : 0;
}

int fs_op_rmdir(struct fs *fs, struct fs_request *r)
{
    (void)fs;
    return unlinkat(r->node->fd, r->name[0], AT_REMOVEDIR) ? -errno : 0;
}

/* A directory of the same share that entries can go to, by number: 0 or a negative errno. */
static int other_dir(struct fs *fs, const struct fs_node *dir, uint64_t id, struct fs_node **ret)
{
    struct fs_node *n = fs_node_at(fs, id);
    if (!n)
        return -ESTALE;
    if (n->share != dir->share)
        return -EXDEV;
    if (!S_ISDIR(n->type))
        return -ENOTDIR;
    *ret = n;
    return n->covered ? -EROFS : 0;
}

static int rename_to(struct fs *fs, struct fs_request *r, uint64_t newdir, unsigned flags)
{
    struct fs_node *to;
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    int e = other_dir(fs, r->node, newdir, &to);
    if (e)
        return e;
    if (syscall(SYS_renameat2, r->node->fd, r->name[0], to->fd, r->name[1], flags))
        return -errno;
    fs_node_moved(fs, to, r->name[1]);
    if (flags & RENAME_EXCHANGE)
        fs_node_moved(fs, r->node, r->name[0]);
    return 0;
}

int fs_op_rename(struct fs *fs, struct fs_request *r)
{
    const struct fuse_rename_in *in = r->arg;
    return rename_to(fs, r, in->newdir, 0);
}

int fs_op_rename2(struct fs *fs, struct fs_request *r)
{
    const struct fuse_rename2_in *in = r->arg;
    return rename_to(fs, r, in->newdir, in->flags);
}

int fs_op_link(struct fs *fs, struct fs_request *r)
{
    const struct fuse_link_in *in = r->arg;
    struct fs_node *old = fs_node_at(fs, in->oldnodeid);
    if (!old)
        return -ESTALE;
    if (old->share != r->node->share || old->covered)
        return -EXDEV;
    if (S_ISDIR(old->type))
        return -EPERM;
    int fd = fs_node_fd(fs, old);
    if (fd < 0)
        return fd;
    struct fs_path p = fs_path(fd);
    if (linkat(AT_FDCWD, p.text, r->node->fd, r->name[0], AT_SYMLINK_FOLLOW))
        return -errno;
    return fs_answer_entry(fs, r->node, r->name[0]);
}
