/* SPDX-License-Identifier: Apache-2.0 */
/* Paths inside a root file system that a stranger has made: no link leads out of it. */
#include "guest-init/inroot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

int inroot_open(int rootfd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
}

char *path_clean(const char *path)
{
    if (path[0] != '/')
        return NULL;
    char *out = xmalloc(strlen(path) + 1);
    size_t n = 0;
    for (;;) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len == 0)
            break;
        if (len == 2 && path[0] == '.' && path[1] == '.') {
            while (n > 0 && out[--n] != '/')
                ;
        } else if (len != 1 || path[0] != '.') {
            out[n++] = '/';
            memcpy(out + n, path, len);
            n += len;
        }
        path += len;
    }
    if (n == 0)
        out[n++] = '/';
    out[n] = '\0';
    return out;
}

bool paths_overlap(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    const char *longer = n < m ? b : a;
    size_t shorter_len = n < m ? n : m;
    if (strncmp(a, b, shorter_len) != 0)
        return false;
    return shorter_len == 1 || longer[shorter_len] == '\0' || longer[shorter_len] == '/';
}

static bool dir_has_content(int fd)
{
    int real = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_dir DIR *d = real >= 0 ? fdopendir(real) : NULL;
    if (!d) {
        if (real >= 0)
            close(real);
        return false;
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
            return true;
    }
    return false;
}

/* Makes the directory `name` in `parent`, in place of whatever else has that name. */
static int replace_by_dir(int parent, const char *name, const char *path,
                          enum inroot_masked *masked, struct err *err)
{
    if (mkdirat(parent, name, 0755) < 0) {
        if (errno != EEXIST)
            return err_set(err, errno, "can't create directory %s in the root file system", path);
        if (unlinkat(parent, name, 0) < 0)
            return err_set(err, errno, "can't remove %s, which is not a directory", path);
        *masked = INROOT_FILE;
        if (mkdirat(parent, name, 0755) < 0)
            return err_set(err, errno, "can't create directory %s in the root file system", path);
    }
    int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno, "can't open directory %s in the root file system", path);
    return fd;
}

/* Walks down component by component, creating. `path` is changed and put back. */
static int make_each(int rootfd, char *path, enum inroot_masked *masked, struct err *err)
{
    cleanup_close int parent = inroot_open(rootfd, "/", O_PATH | O_DIRECTORY);
    if (parent < 0)
        return err_set(err, errno, "can't open the root file system");
    for (char *name = path + 1;;) {
        char *end = name + strcspn(name, "/");
        char saved = *end;
        *end = '\0';
        int fd = inroot_open(rootfd, path, O_PATH | O_DIRECTORY);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
            fd = replace_by_dir(parent, name, path, masked, err);
        else if (fd < 0)
            err_set(err, errno, "can't open %s in the root file system", path);
        *end = saved;
        if (fd < 0)
            return -1;
        close(parent);
        parent = fd;
        if (!saved)
            return take_fd(parent);
        name = end + 1;
    }
}

int inroot_make_dir(int rootfd, const char *path, enum inroot_masked *masked, struct err *err)
{
    enum inroot_masked what = INROOT_NOTHING;
    int fd = inroot_open(rootfd, path, O_PATH | O_DIRECTORY);
    if (fd >= 0) {
        if (masked && dir_has_content(fd))
            what = INROOT_CONTENT;
    } else {
        cleanup_free char *copy = xstrdup(path);
        fd = make_each(rootfd, copy, &what, err);
    }
    if (fd >= 0 && masked)
        *masked = what;
    return fd;
}

int inroot_make_file(int rootfd, const char *path, enum inroot_masked *masked, struct err *err)
{
    struct stat st;
    cleanup_close int fd = inroot_open(rootfd, path, O_PATH);
    if (fd < 0) {
        cleanup_free char *dir = xstrdup(path);
        char *name = strrchr(dir, '/');
        *name++ = '\0';
        cleanup_close int parent = inroot_make_dir(rootfd, *dir ? dir : "/", NULL, err);
        if (parent < 0)
            return -1;
        /* A link to nowhere may stand there; it is not followed. */
        unlinkat(parent, name, 0);
        fd = openat(parent, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
            return err_set(err, errno, "can't create %s", path);
        *masked = INROOT_NOTHING;
        return take_fd(fd);
    }
    if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode))
        return err_set(err, 0, "%s is a directory, and what goes there is a file", path);
    *masked = INROOT_FILE;
    return take_fd(fd);
}
