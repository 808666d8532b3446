/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs: extended attributes. Those of the "user." class are the host's, but for the ones that
 * this device keeps itself. Others mean something to a kernel (capabilities, labels, lists of who
 * may), and what they mean to the host's is not for a guest to say: there are none.
 */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/str.h"
#include "vmm/devices/fs_ops.h"

#define XATTR_NAME_MAX 255
#define XATTR_SIZE_MAX 65536

static bool is_users(const char *name)
{
    return str_starts(name, "user.") && !str_starts(name, FS_OWNER_PREFIX);
}

/* Kernels have them on nothing else (xattr(7)). */
static bool can_have(const struct fs_node *n)
{
    return n->share && !n->covered && (S_ISREG(n->type) || S_ISDIR(n->type));
}

/* The NUL-terminated name at the start of the request's rest, or NULL; *ret_len with the NUL. */
static const char *take_name(const struct fs_request *r, size_t *ret_len)
{
    const char *name = (const char *)r->rest;
    size_t len = strnlen(name, r->rest_len);
    if (!len || len == r->rest_len || len > XATTR_NAME_MAX)
        return NULL;
    *ret_len = len + 1;
    return name;
}

/* The answer to a request that gave `size` bytes of room, 0 to ask how many there are. */
static int answer(struct fs *fs, uint32_t size, ssize_t len)
{
    struct fuse_getxattr_out *out = (struct fuse_getxattr_out *)fs->reply;
    if (size)
        return (size_t)len > size ? -ERANGE : (int)len;
    *out = (struct fuse_getxattr_out){.size = (uint32_t)len};
    return sizeof(*out);
}

int fs_op_getxattr(struct fs *fs, struct fs_request *r)
{
    const struct fuse_getxattr_in *in = r->arg;
    size_t len;
    const char *name = take_name(r, &len);
    if (!name)
        return -EINVAL;
    if (!is_users(name) || !can_have(r->node))
        return -ENODATA;
    int fd = fs_node_fd(fs, r->node);
    if (fd < 0)
        return fd;
    struct fs_path p = fs_path(fd);
    ssize_t n = getxattr(p.text, name, fs->reply, XATTR_SIZE_MAX);
    return n < 0 ? -errno : answer(fs, in->size, n);
}

int fs_op_setxattr(struct fs *fs, struct fs_request *r)
{
    const struct fuse_setxattr_in *in = r->arg; /* its first 8 bytes */
    size_t len;
    const char *name = take_name(r, &len);
    if (!name || in->size > XATTR_SIZE_MAX || r->rest_len - len != in->size ||
        in->flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
        return -EINVAL;
    if (!is_users(name))
        return -EOPNOTSUPP;
    if (!can_have(r->node))
        return -EPERM;
    int fd = fs_node_fd(fs, r->node);
    if (fd < 0)
        return fd;
    struct fs_path p = fs_path(fd);
    return setxattr(p.text, name, r->rest + len, in->size, (int)in->flags) ? -errno : 0;
}

/* Moves the names that the guest may see to the front: how many bytes they have. */
static size_t filter(char *names, size_t len)
{
    size_t kept = 0;
    for (size_t at = 0; at < len;) {
        size_t n = strnlen(names + at, len - at) + 1;
        if (n > len - at)
            break;
        if (is_users(names + at)) {
            memmove(names + kept, names + at, n);
            kept += n;
        }
        at += n;
    }
    return kept;
}

int fs_op_listxattr(struct fs *fs, struct fs_request *r)
{
    const struct fuse_getxattr_in *in = r->arg;
    if (!can_have(r->node))
        return answer(fs, in->size, 0);
    int fd = fs_node_fd(fs, r->node);
    if (fd < 0)
        return fd;
    struct fs_path p = fs_path(fd);
    ssize_t n = listxattr(p.text, (char *)fs->reply, XATTR_SIZE_MAX);
    if (n < 0)
        return -errno;
    return answer(fs, in->size, (ssize_t)filter((char *)fs->reply, (size_t)n));
}

int fs_op_removexattr(struct fs *fs, struct fs_request *r)
{
    size_t len;
    const char *name = take_name(r, &len);
    if (!name)
        return -EINVAL;
    if (!is_users(name) || !can_have(r->node))
        return -ENODATA;
    int fd = fs_node_fd(fs, r->node);
    if (fd < 0)
        return fd;
    struct fs_path p = fs_path(fd);
    return removexattr(p.text, name) ? -errno : 0;
}
