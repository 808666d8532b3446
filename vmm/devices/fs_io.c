/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: READ and WRITE, straight between guest memory and files. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmm/devices/fs_ops.h"

/* Reads until the range or the file ends; the number of bytes, or a negative errno if there is
 * none. */
static ssize_t read_range(int fd, struct iovs *room, uint64_t off, size_t left)
{
    ssize_t done = 0;
    while (left) {
        struct iovs_limit token;
        unsigned n = iovs_limit(room, left, &token);
        ssize_t got = preadv(fd, room->v, (int)n, (off_t)off);
        int error = errno;
        iovs_unlimit(&token);
        if (got < 0 && error == EINTR)
            continue;
        if (got < 0 && !done)
            return -error;
        if (got <= 0)
            break;
        iovs_drop(room, (size_t)got);
        left -= (size_t)got;
        off += (size_t)got;
        done += got;
    }
    return done;
}

int fs_op_read(struct fs *fs, struct fs_request *r)
{
    const struct fuse_read_in *in = r->arg;
    struct fs_handle *h = fs_handle_at(fs, in->fh, r->node->id, false);
    if (!h)
        return -EBADF;
    size_t len = in->size < r->room.len ? in->size : r->room.len;
    if (in->offset > INT64_MAX - (uint64_t)len)
        return -EINVAL;
    /* So that the length of an answer is one. */
    if (len > INT32_MAX / 2)
        return -EINVAL;
    r->direct = true;
    return (int)read_range(h->fd, &r->room, in->offset, len);
}

/*
 * A write of the guest's page cache goes where it says. One that appends goes to the end that the
 * file has now, which may be another than the guest knew.
 */
static int write_flags(const struct fuse_write_in *in)
{
    int flags = 0;
    if (in->write_flags & FUSE_WRITE_CACHE)
        return 0;
    if (in->flags & O_APPEND)
        flags |= RWF_APPEND;
    if ((in->flags & O_SYNC) == O_SYNC)
        flags |= RWF_SYNC;
    else if (in->flags & O_DSYNC)
        flags |= RWF_DSYNC;
    return flags;
}

static ssize_t write_range(int fd, struct iovs *data, uint64_t off, int flags)
{
    ssize_t done = 0;
    while (data->len) {
        ssize_t put = pwritev2(fd, data->v, (int)data->n, (off_t)off, flags);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && !done)
            return -errno;
        if (put <= 0)
            break;
        iovs_drop(data, (size_t)put);
        off += (size_t)put;
        done += put;
    }
    return done;
}

int fs_op_write(struct fs *fs, struct fs_request *r)
{
    const struct fuse_write_in *in = r->arg;
    struct fuse_write_out *out = (struct fuse_write_out *)fs->reply;
    struct fs_handle *h = fs_handle_at(fs, in->fh, r->node->id, false);
    if (!h)
        return -EBADF;
    if (in->size != r->data.len || in->size > INT32_MAX / 2 ||
        in->offset > INT64_MAX - (uint64_t)in->size)
        return -EINVAL;
    if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
        fs_owner_drop_setid(fs, h->fd);
    ssize_t n = write_range(h->fd, &r->data, in->offset, write_flags(in));
    if (n < 0)
        return (int)n;
    *out = (struct fuse_write_out){.size = (uint32_t)n};
    return sizeof(*out);
}
