/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's mount API by descriptor: no path is looked up twice. */
#include "guest-init/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/* The last line of explanation that the kernel left in the context ("e overlay: ..."). */
static int fail(int fsfd, int errnum, const char *fstype, struct err *err)
{
    char line[256] = "";
    ssize_t n, len = 0;
    while ((n = read(fsfd, line, sizeof(line) - 1)) > 0)
        len = n;
    line[len] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (len > 2)
        return err_set(err, errnum, "can't mount %s (%s)", fstype, line + 2);
    return err_set(err, errnum, "can't mount %s", fstype);
}

int mnt_new(const char *fstype, const struct mnt_option *options, uint64_t attrs, struct err *err)
{
    cleanup_close int fsfd = fsopen(fstype, FSOPEN_CLOEXEC);
    if (fsfd < 0)
        return err_set(err, errno, "the kernel can't do file system %s", fstype);
    /* What /proc/mounts calls it; unless the options have a source. */
    bool named = false;
    for (const struct mnt_option *o = options; o && o->key; o++)
        named = named || strcmp(o->key, "source") == 0;
    if (!named && fsconfig(fsfd, FSCONFIG_SET_STRING, "source", fstype, 0) < 0)
        return fail(fsfd, errno, fstype, err);
    for (const struct mnt_option *o = options; o && o->key; o++) {
        int r = o->value ? fsconfig(fsfd, FSCONFIG_SET_STRING, o->key, o->value, 0)
                         : fsconfig(fsfd, FSCONFIG_SET_FLAG, o->key, NULL, 0);
        if (r < 0)
            return fail(fsfd, errno, fstype, err);
    }
    if (fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fail(fsfd, errno, fstype, err);
    int fd = fsmount(fsfd, FSMOUNT_CLOEXEC, (unsigned)attrs);
    return fd < 0 ? fail(fsfd, errno, fstype, err) : fd;
}

int mnt_attach(int mountfd, int dirfd, const char *path, struct err *err)
{
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH;
    if (!path[0])
        flags |= MOVE_MOUNT_T_EMPTY_PATH;
    if (move_mount(mountfd, "", dirfd, path, flags) < 0)
        return err_set(err, errno, "can't attach a mount at %s", path[0] ? path : "its place");
    return 0;
}

int mnt_at(const char *fstype, const struct mnt_option *options, uint64_t attrs, const char *path,
           struct err *err)
{
    cleanup_close int fd = mnt_new(fstype, options, attrs, err);
    if (fd < 0)
        return err_prefix(err, "%s", path);
    return mnt_attach(fd, AT_FDCWD, path, err);
}

int mnt_clone(int dirfd, const char *path, int tree, struct err *err)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (tree ? AT_RECURSIVE : 0);
    int fd = open_tree(dirfd, path, flags | (path[0] ? 0 : AT_EMPTY_PATH));
    if (fd < 0)
        return err_set(err, errno, "can't clone the mount at %s", path[0] ? path : "a descriptor");
    return fd;
}

int mnt_set(int mountfd, uint64_t attrs)
{
    struct mount_attr a = {.attr_set = attrs};
    return mount_setattr(mountfd, "", AT_EMPTY_PATH, &a, sizeof(a));
}
