/* SPDX-License-Identifier: Apache-2.0 */
/* What an image has in a directory, copied to the volume that takes its place. */
#include "guest-init/copyup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <search.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-init/copyup_attr.h"

#define CHUNK (64u << 10)

/* A directory that is being copied. */
struct level {
    DIR *from;
    int to;
    struct stat st;
    size_t path_len; /* of the path to it */
};

/* The first name of a file that has several. */
struct first {
    dev_t dev;
    ino_t ino;
    char path[]; /* below the volume */
};

struct copyup {
    struct level levels[COPYUP_DEPTH_MAX];
    size_t depth;
    struct buf path; /* of the entry at hand, below the directory, without a leading slash */
    void *firsts;    /* a tree of struct first */
    size_t nfirsts;
    uint64_t room; /* bytes */
    unsigned char chunk[CHUNK];
};

static void copyup_done(struct copyup *c)
{
    while (c->depth) {
        struct level *l = &c->levels[--c->depth];
        closedir(l->from);
        close(l->to);
    }
    buf_free(&c->path);
    tdestroy(c->firsts, free);
}

static void cut_path(struct copyup *c, size_t len)
{
    c->path.len = len;
    if (c->path.data)
        c->path.data[len] = '\0';
}

static int fault(const struct copyup *c, int errnum, struct err *err)
{
    return err_set(err, errnum, "can't copy \"%.255s\", which the image has there",
                   c->path.len ? c->path.data : ".");
}

/* Never through a link, and never to what is mounted there: -1 with EXDEV. */
static int open_here(int dir, const char *name, int flags)
{
    struct open_how how = {
        .flags = (unsigned)flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

/* Takes over both descriptors. */
static int push(struct copyup *c, int from, int to, const struct stat *st, struct err *err)
{
    cleanup_close int to_fd = to, from_fd = from;
    if (c->depth >= COPYUP_DEPTH_MAX)
        return err_set(err, 0, "the image has more than %d directories inside each other there",
                       COPYUP_DEPTH_MAX);
    DIR *dir = fdopendir(from_fd);
    if (!dir)
        return fault(c, errno, err);
    (void)take_fd(from_fd);
    c->levels[c->depth++] =
        (struct level){.from = dir, .to = take_fd(to_fd), .st = *st, .path_len = c->path.len};
    return 0;
}

static int enter(struct copyup *c, int from, int to, const char *name, const struct stat *st,
                 struct err *err)
{
    int dir = open_here(from, name, O_DIRECTORY);
    if (dir < 0 && errno == EXDEV)
        return 0;
    int made = dir < 0 || mkdirat(to, name, 0700) < 0
                   ? -1
                   : openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (made < 0) {
        int errnum = errno;
        if (dir >= 0)
            close(dir);
        return fault(c, errnum, err);
    }
    return push(c, dir, made, st, err);
}

static bool all_zero(const unsigned char *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Bytes [at, end), without the chunks that hold nothing. */
static int copy_range(struct copyup *c, int from, int to, uint64_t at, uint64_t end,
                      struct err *err)
{
    if (end - at > c->room)
        return fault(c, ENOSPC, err);
    c->room -= end - at;
    while (at < end) {
        size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        if (pread_all(from, c->chunk, n, (off_t)at) < 0 ||
            (!all_zero(c->chunk, n) && pwrite_all(to, c->chunk, n, (off_t)at) < 0))
            return fault(c, errno, err);
        at += n;
    }
    return 0;
}

/* A file system that knows nothing of holes says that all is data. */
static int copy_content(struct copyup *c, int from, int to, uint64_t size, struct err *err)
{
    for (uint64_t at = 0; at < size;) {
        off_t data = lseek(from, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
        uint64_t begin = data < (off_t)at ? at : (uint64_t)data;
        uint64_t end = hole <= (off_t)begin || (uint64_t)hole > size ? size : (uint64_t)hole;
        if (begin >= size)
            break;
        if (copy_range(c, from, to, begin, end, err) < 0)
            return -1;
        at = end;
    }
    return ftruncate(to, (off_t)size) < 0 ? fault(c, errno, err) : 0;
}

/* *ret_made is false for a file that is mounted there. */
static int copy_file(struct copyup *c, int from, int to, const char *name, bool *ret_made,
                     struct err *err)
{
    struct stat st;
    cleanup_close int in = open_here(from, name, 0);
    if (in < 0 && errno == EXDEV) {
        *ret_made = false;
        return 0;
    }
    if (in < 0 || fstat(in, &st) < 0)
        return fault(c, errno, err);
    cleanup_close int out =
        openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return fault(c, errno, err);
    return copy_content(c, in, out, (uint64_t)st.st_size, err);
}

static int copy_symlink(struct copyup *c, int from, int to, const char *name, struct err *err)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    return n < 0 || symlinkat(target, to, name) < 0 ? fault(c, errno, err) : 0;
}

static int by_inode(const void *a, const void *b)
{
    const struct first *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Whether another name of the file was copied before and the copy has this name now, too. */
static bool link_to_first(struct copyup *c, int to, const char *name, const struct stat *st)
{
    if (st->st_nlink < 2)
        return false;
    struct first key = {.dev = st->st_dev, .ino = st->st_ino};
    struct first **found = tfind(&key, &c->firsts, by_inode);
    return found && linkat(c->levels[0].to, (*found)->path, to, name, 0) == 0;
}

static void note_first(struct copyup *c, const struct stat *st)
{
    if (st->st_nlink < 2 || c->nfirsts >= COPYUP_LINKS_MAX || c->path.len >= PATH_MAX)
        return;
    struct first *f = xmalloc(sizeof(*f) + c->path.len + 1);
    *f = (struct first){.dev = st->st_dev, .ino = st->st_ino};
    memcpy(f->path, c->path.data, c->path.len);
    f->path[c->path.len] = '\0';
    struct first **slot = tsearch(f, &c->firsts, by_inode);
    if (!slot)
        die_oom();
    else if (*slot == f)
        c->nfirsts++;
    else
        free(f);
}

static int copy_entry(struct copyup *c, const char *name, struct err *err)
{
    const struct level *l = &c->levels[c->depth - 1];
    int from = dirfd(l->from), to = l->to, r = 0;
    bool made = true;
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return fault(c, errno, err);
    if (S_ISDIR(st.st_mode))
        return enter(c, from, to, name, &st, err);
    if (S_ISSOCK(st.st_mode) || link_to_first(c, to, name, &st))
        return 0;
    if (S_ISREG(st.st_mode))
        r = copy_file(c, from, to, name, &made, err);
    else if (S_ISLNK(st.st_mode))
        r = copy_symlink(c, from, to, name, err);
    else if (mknodat(to, name, (st.st_mode & S_IFMT) | 0600, st.st_rdev) < 0)
        r = fault(c, errno, err);
    if (r < 0 || !made)
        return r;
    if (copyup_attributes(from, to, name, &st) < 0)
        return fault(c, errno, err);
    note_first(c, &st);
    return 0;
}

/* Attributes come last: they may take the right to write away, and writing changes the times. */
static int leave(struct copyup *c, struct err *err)
{
    struct level *l = &c->levels[c->depth - 1];
    cut_path(c, l->path_len);
    int r = copyup_attributes(dirfd(l->from), l->to, ".", &l->st);
    if (r < 0)
        fault(c, errno, err);
    closedir(l->from);
    close(l->to);
    c->depth--;
    return r;
}

static int copy_all(struct copyup *c, struct err *err)
{
    while (c->depth) {
        struct level *l = &c->levels[c->depth - 1];
        errno = 0;
        struct dirent *e = readdir(l->from);
        cut_path(c, l->path_len);
        if (!e && errno)
            return fault(c, errno, err);
        if (!e) {
            if (leave(c, err) < 0)
                return -1;
            continue;
        }
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        buf_printf(&c->path, "%s%s", c->path.len ? "/" : "", e->d_name);
        if (copy_entry(c, e->d_name, err) < 0)
            return -1;
    }
    return 0;
}

int copyup_dir(int from, int to, struct err *err)
{
    struct stat st;
    struct statvfs fs;
    int in = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int out = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct copyup *c = xcalloc(1, sizeof(*c));
    int r = -1;
    if (in < 0 || out < 0 || fstat(in, &st) < 0 || fstatvfs(out, &fs) < 0) {
        fault(c, errno, err);
        if (in >= 0)
            close(in);
        if (out >= 0)
            close(out);
    } else {
        c->room = (uint64_t)fs.f_bavail * fs.f_frsize;
        r = push(c, in, out, &st, err) < 0 ? -1 : copy_all(c, err);
    }
    copyup_done(c);
    free(c);
    return r;
}
