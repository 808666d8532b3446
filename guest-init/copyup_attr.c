/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes of a file, given to its copy. */
#include "guest-init/copyup_attr.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

/* There is no f…at() for extended attributes of what can't be opened, such as links. */
static char *proc_path(int dir, const char *name)
{
    return xasprintf("/proc/self/fd/%d/%s", dir, name);
}

static int copy_xattr(const char *from, const char *to, const char *name)
{
    ssize_t len = lgetxattr(from, name, NULL, 0);
    if (len < 0)
        return errno == ENODATA ? 0 : -1;
    cleanup_free char *value = xmalloc((size_t)len + 1);
    len = lgetxattr(from, name, value, (size_t)len);
    if (len < 0)
        return -1;
    return lsetxattr(to, name, value, (size_t)len, 0) < 0 && errno != ENOTSUP ? -1 : 0;
}

static int copy_xattrs(const char *from, const char *to)
{
    ssize_t len = llistxattr(from, NULL, 0);
    if (len <= 0)
        return len == 0 || errno == ENOTSUP ? 0 : -1;
    cleanup_free char *names = xmalloc((size_t)len);
    len = llistxattr(from, names, (size_t)len);
    if (len < 0)
        return -1;
    for (const char *n = names; n < names + len; n += strlen(n) + 1)
        if (copy_xattr(from, to, n) < 0)
            return -1;
    return 0;
}

/* A new owner takes capabilities and the set-user-ID bit away: it comes before them. */
int copyup_attributes(int from, int to, const char *name, const struct stat *st)
{
    cleanup_free char *source = proc_path(from, name), *copy = proc_path(to, name);
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        copy_xattrs(source, copy) < 0 ||
        (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0))
        return -1;
    return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
}
