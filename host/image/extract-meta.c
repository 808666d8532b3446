/* SPDX-License-Identifier: Apache-2.0 */
/* Restores owner, mode, extended attributes and times of what an extraction made. */
#include "host/image/extract-meta.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"

/* A thing to change: by descriptor where there is one. Never through a link. */
struct thing {
    int fd; /* -1: name in dirfd */
    int dirfd;
    const char *name;
};

/*
 * A path to the thing for calls that have no *at form. The directory is our own descriptor, and the
 * last component is only used with calls that do not follow links.
 */
static int thing_path(const struct thing *t, char *buf, size_t size)
{
    int n = t->fd >= 0 ? snprintf(buf, size, "/proc/self/fd/%d", t->fd)
                       : snprintf(buf, size, "/proc/self/fd/%d/%s", t->dirfd, t->name);
    return n > 0 && (size_t)n < size ? 0 : -1;
}

static int set_owner(const struct extract_who *who, const struct tree_inode *i,
                     const struct thing *t, struct err *err)
{
    int rc = t->fd >= 0 ? fchown(t->fd, i->uid, i->gid)
                        : fchownat(t->dirfd, t->name, i->uid, i->gid, AT_SYMLINK_NOFOLLOW);
    if (rc == 0)
        return 0;
    if (who->root)
        return err_set(err, errno, "can't set owner %u:%u", i->uid, i->gid);
    who->report->skipped_owners++;
    return 0;
}

static int set_mode(const struct extract_who *who, const struct tree_inode *i,
                    const struct thing *t, struct err *err)
{
    uint32_t mode = i->mode & 07777;
    if (S_ISLNK(i->mode))
        return 0;
    if (!who->root && (mode & 06000)) {
        mode &= ~06000u; /* without the owner, setuid and setgid would mean somebody else */
        who->report->skipped_modes++;
    }
    int rc = t->fd >= 0 ? fchmod(t->fd, mode) : fchmodat(t->dirfd, t->name, mode, 0);
    return rc == 0 ? 0 : err_set(err, errno, "can't set mode %04o", mode);
}

static int set_xattr(const struct thing *t, const struct tree_xattr *x)
{
    char path[64 + TREE_NAME_MAX];
    if (t->fd >= 0)
        return fsetxattr(t->fd, x->name, x->value, x->value_len, 0);
    if (thing_path(t, path, sizeof(path)) < 0) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return lsetxattr(path, x->name, x->value, x->value_len, 0);
}

/* Not being allowed to, and a file system that has no such attributes, are counted. */
static int set_xattrs(const struct extract_who *who, const struct tree_inode *i,
                      const struct thing *t, struct err *err)
{
    for (uint32_t k = 0; k < i->nxattrs; k++) {
        if (set_xattr(t, &i->xattrs[k]) == 0)
            continue;
        if (errno != EPERM && errno != EOPNOTSUPP && errno != EINVAL)
            return err_set(err, errno, "can't set extended attribute %s", i->xattrs[k].name);
        who->report->skipped_xattrs++;
    }
    return 0;
}

static int set_times(const struct extract_who *who, const struct tree_inode *i,
                     const struct thing *t, struct err *err)
{
    struct timespec ts[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = i->mtime, .tv_nsec = (long)i->mtime_nsec},
    };
    int rc =
        t->fd >= 0 ? futimens(t->fd, ts) : utimensat(t->dirfd, t->name, ts, AT_SYMLINK_NOFOLLOW);
    if (rc == 0)
        return 0;
    if (who->root && errno != EINVAL)
        return err_set(err, errno, "can't set the time");
    who->report->skipped_times++;
    return 0;
}

int extract_meta(const struct extract_who *who, const struct tree_inode *i, int fd, int dirfd,
                 const char *name, struct err *err)
{
    const struct thing t = {.fd = fd, .dirfd = dirfd, .name = name};
    /* Owner first: it clears setuid bits and capabilities. Times last. */
    if (set_owner(who, i, &t, err) < 0 || set_mode(who, i, &t, err) < 0 ||
        set_xattrs(who, i, &t, err) < 0)
        return -1;
    return set_times(who, i, &t, err);
}
