/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: who a file belongs to, as the guest sees it and as the host does. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "vmm/devices/fs_ops.h"

/* "4294967295:4294967295" */
#define OWNER_TEXT_MAX 24
#define KEEP           ((uint32_t)-1)

int fs_owner_parse(const char *text, enum fs_owner *ret, struct err *err)
{
    static const char *const names[] = {"auto", "caller", "xattr", "host"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_eq(text, names[i])) {
            *ret = (enum fs_owner)i;
            return 0;
        }
    }
    return err_set(err, 0, "\"%s\" is none of auto, caller, xattr and host", text);
}

static bool can_remember(uint32_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode);
}

/* What is remembered of the file's owner; false when there is nothing (of use). */
static bool recall(int fd, uint32_t *ret_uid, uint32_t *ret_gid)
{
    char text[OWNER_TEXT_MAX + 1];
    uint64_t uid, gid;
    struct fs_path p = fs_path(fd);
    ssize_t n = getxattr(p.text, FS_OWNER_NAME, text, OWNER_TEXT_MAX);
    if (n <= 0)
        return false;
    text[n] = 0;
    char *colon = strchr(text, ':');
    if (!colon)
        return false;
    *colon = 0;
    if (parse_u64(text, KEEP - 1, &uid) || parse_u64(colon + 1, KEEP - 1, &gid))
        return false;
    *ret_uid = (uint32_t)uid;
    *ret_gid = (uint32_t)gid;
    return true;
}

static int remember(int fd, uint32_t uid, uint32_t gid)
{
    char text[OWNER_TEXT_MAX];
    struct fs_path p = fs_path(fd);
    int n = snprintf(text, sizeof(text), "%u:%u", uid, gid);
    return setxattr(p.text, FS_OWNER_NAME, text, (size_t)n, 0) ? -errno : 0;
}

void fs_owner_show(struct fs *fs, int fd, const struct statx *stx, uint32_t *ret_uid,
                   uint32_t *ret_gid)
{
    *ret_uid = stx->stx_uid;
    *ret_gid = stx->stx_gid;
    if (fs->owner == FS_OWNER_HOST)
        return;
    *ret_uid = stx->stx_uid == fs->uid ? 0 : FS_NOBODY;
    *ret_gid = stx->stx_gid == fs->gid ? 0 : FS_NOBODY;
    if (fs->owner == FS_OWNER_XATTR && fd >= 0 && can_remember(stx->stx_mode))
        recall(fd, ret_uid, ret_gid);
}

static int set_on_host(int fd, uint32_t uid, uint32_t gid)
{
    return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) ? -errno : 0;
}

int fs_owner_set(struct fs *fs, int fd, uint32_t uid, uint32_t gid)
{
    struct statx stx;
    uint32_t now_uid, now_gid;
    if (fs->owner == FS_OWNER_HOST)
        return set_on_host(fd, uid, gid);
    int r = fs_statx(fd, &stx);
    if (r)
        return r;
    fs_owner_show(fs, fd, &stx, &now_uid, &now_gid);
    if ((uid == KEEP || uid == now_uid) && (gid == KEEP || gid == now_gid))
        return 0;
    if (fs->owner != FS_OWNER_XATTR)
        return -EPERM;
    /* A link has no room for it, and nobody asks for the owner of one. */
    if (S_ISLNK(stx.stx_mode))
        return 0;
    if (!can_remember(stx.stx_mode))
        return -EPERM;
    r = remember(fd, uid == KEEP ? now_uid : uid, gid == KEEP ? now_gid : gid);
    return r == -EOPNOTSUPP ? -EPERM : r;
}

/* chown clears the set-ID bits, and so does the change of group of a file that was just made. */
static int restore_setid(int fd, mode_t mode)
{
    struct fs_path p = fs_path(fd);
    if (S_ISLNK(mode) || S_ISDIR(mode) || !(mode & (S_ISUID | S_ISGID)))
        return 0;
    return fchmodat(AT_FDCWD, p.text, mode & 07777, 0) ? -errno : 0;
}

int fs_owner_new(struct fs *fs, int dir_fd, int fd, uint32_t uid, uint32_t gid, mode_t mode)
{
    struct statx dir;
    uint32_t dir_uid, dir_gid;
    if (fs->owner == FS_OWNER_CALLER || (!uid && !gid && fs->owner == FS_OWNER_XATTR))
        return 0;
    int r = fs_statx(dir_fd, &dir);
    if (r)
        return r;
    if (dir.stx_mode & S_ISGID) {
        fs_owner_show(fs, dir_fd, &dir, &dir_uid, &dir_gid);
        gid = fs->owner == FS_OWNER_HOST ? KEEP : dir_gid;
    }
    if (fs->owner == FS_OWNER_XATTR) {
        r = can_remember(mode) ? remember(fd, uid, gid) : 0;
        /* Where the host's file system has no attributes, new files are the caller's. */
        return r == -EOPNOTSUPP ? 0 : r;
    }
    if (uid == fs->uid && (gid == KEEP || gid == fs->gid))
        return 0;
    r = set_on_host(fd, uid, gid);
    return r ? r : restore_setid(fd, mode);
}

void fs_owner_drop_setid(struct fs *fs, int fd)
{
    struct stat st;
    /* Who has no CAP_FSETID has the host's kernel do it. */
    if (fs->owner != FS_OWNER_HOST || fstat(fd, &st) || !S_ISREG(st.st_mode))
        return;
    mode_t mode = st.st_mode & 07777;
    mode_t kept = mode & ~(mode_t)S_ISUID;
    if (mode & S_IXGRP)
        kept &= ~(mode_t)S_ISGID;
    struct fs_path p = fs_path(fd);
    if (kept != mode && fchmodat(AT_FDCWD, p.text, kept, 0)) {
        /* The write goes on, as it does where a file system cannot change modes. */
    }
}
