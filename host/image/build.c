/* SPDX-License-Identifier: Apache-2.0 */
/* Packing an image layout to an ACI, byte for byte reproducible. */
#include "host/image/build.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/image/aci_layout.h"
#include "host/image/aci_out.h"
#include "host/image/build_sparse.h"
#include "host/image/build_tar.h"
#include "host/image/build_xattr.h"

#define COPY_BYTES    (256u << 10)
#define END_OF_TAR    (2 * ACI_TAR_BLOCK)
#define LINK_PATH_MAX PATH_MAX

/* The first name of an inode that has several. */
struct first_name {
    dev_t dev;
    ino_t ino;
    char *path;
};

struct build {
    const struct build_options *opt;
    struct aci_out *out;
    struct buf header;
    struct build_report report;
    void *names; /* tsearch() tree of struct first_name */
    char *copy;  /* COPY_BYTES */
};

static int put(struct build *b, const void *data, size_t len, struct err *err)
{
    if (aci_out_write(b->out, data, len, err) < 0)
        return -1;
    b->report.tar_bytes += len;
    if (b->opt->progress)
        b->opt->progress(b->opt->arg, b->report.tar_bytes);
    return 0;
}

static int put_zeros(struct build *b, size_t len, struct err *err)
{
    static const char zeros[END_OF_TAR];
    return len ? put(b, zeros, len, err) : 0;
}

static int put_header(struct build *b, const struct tar_entry *e, struct err *err)
{
    buf_reset(&b->header);
    tar_header(&b->header, e);
    b->report.entries++;
    return put(b, b->header.data, b->header.len, err);
}

static int compare_names(const void *a, const void *b)
{
    const struct first_name *x = a, *y = b;
    if (x->ino != y->ino)
        return x->ino < y->ino ? -1 : 1;
    return x->dev < y->dev ? -1 : x->dev > y->dev;
}

static void free_name(void *p)
{
    struct first_name *n = p;
    free(n->path);
    free(n);
}

/* The path under which this inode is in the archive already, or NULL and it is noted. */
static const char *earlier_name(struct build *b, const struct stat *st, const char *path)
{
    struct first_name key = {.dev = st->st_dev, .ino = st->st_ino};
    struct first_name **found = tfind(&key, &b->names, compare_names);
    if (found)
        return (*found)->path;
    struct first_name *n = xmalloc(sizeof(*n));
    *n = (struct first_name){st->st_dev, st->st_ino, xstrdup(path)};
    if (!tsearch(n, &b->names, compare_names))
        die_oom();
    return NULL;
}

static int put_range(struct build *b, int fd, uint64_t at, uint64_t len, const char *path,
                     struct err *err)
{
    while (len) {
        size_t want = len < COPY_BYTES ? (size_t)len : COPY_BYTES;
        ssize_t n = pread(fd, b->copy, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, errno, "can't read %s", path);
        if (n == 0)
            return err_set(err, 0, "%s became shorter while it was read", path);
        if (put(b, b->copy, (size_t)n, err) < 0)
            return -1;
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

static int put_data(struct build *b, int fd, const struct tar_entry *e, const char *path,
                    struct err *err)
{
    uint64_t stored = 0;
    if (!e->pieces) {
        if (put_range(b, fd, 0, e->size, path, err) < 0)
            return -1;
        return put_zeros(b, tar_padding(e->size), err);
    }
    for (size_t i = 0; i < e->npieces; i++) {
        if (put_range(b, fd, e->pieces[i].offset, e->pieces[i].len, path, err) < 0)
            return -1;
        stored += e->pieces[i].len;
    }
    return put_zeros(b, tar_padding(stored), err);
}

static int put_file(struct build *b, FTSENT *f, struct tar_entry *e, struct err *err)
{
    cleanup_free struct tar_piece *pieces = NULL;
    cleanup_close int fd =
        open(f->fts_accpath, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_set(err, errno, "can't open %s", f->fts_path);
    if (sparse_scan(fd, e->size, &pieces, &e->npieces) < 0)
        return err_set(err, errno, "can't read %s", f->fts_path);
    e->pieces = pieces;
    if (put_header(b, e, err) < 0 || put_data(b, fd, e, f->fts_path, err) < 0)
        return -1;
    e->pieces = NULL;
    return 0;
}

static void fill_entry(const struct build *b, const struct stat *st, struct tar_entry *e)
{
    e->mode = st->st_mode & 07777;
    if (b->opt->keep_owner) {
        e->uid = st->st_uid;
        e->gid = st->st_gid;
    }
    e->mtime = b->opt->set_mtime ? b->opt->mtime : st->st_mtim.tv_sec;
    e->mtime_nsec = b->opt->set_mtime ? 0 : (uint32_t)st->st_mtim.tv_nsec;
}

static int put_symlink(struct build *b, FTSENT *f, struct tar_entry *e, struct err *err)
{
    char target[LINK_PATH_MAX + 1];
    ssize_t n = readlink(f->fts_accpath, target, sizeof(target) - 1);
    if (n < 0)
        return err_set(err, errno, "can't read the link %s", f->fts_path);
    target[n] = '\0';
    e->type = TAR_SYMLINK;
    e->mode = 0777;
    e->link = target;
    int r = put_header(b, e, err);
    e->link = NULL;
    return r;
}

static int put_special(struct build *b, const struct stat *st, struct tar_entry *e, struct err *err)
{
    switch (st->st_mode & S_IFMT) {
    case S_IFIFO:
        e->type = TAR_FIFO;
        break;
    case S_IFCHR:
    case S_IFBLK:
        e->type = S_ISCHR(st->st_mode) ? TAR_CHAR : TAR_BLOCK;
        e->devmajor = major(st->st_rdev);
        e->devminor = minor(st->st_rdev);
        break;
    default:
        b->report.sockets++;
        return 0;
    }
    return put_header(b, e, err);
}

static int put_entry(struct build *b, FTSENT *f, const char *path, struct err *err)
{
    cleanup_with(buf_free) struct buf pax = {0};
    const struct stat *st = f->fts_statp;
    struct tar_entry e = {.path = path, .pax = &pax};
    fill_entry(b, st, &e);
    if (!S_ISDIR(st->st_mode) && !S_ISSOCK(st->st_mode) && st->st_nlink > 1 &&
        (e.link = earlier_name(b, st, path))) {
        e.type = TAR_HARDLINK;
        return put_header(b, &e, err);
    }
    if (xattr_records(f->fts_accpath, f->fts_path, &pax, err) < 0)
        return -1;
    if (S_ISDIR(st->st_mode)) {
        e.type = TAR_DIR;
        return put_header(b, &e, err);
    }
    if (S_ISLNK(st->st_mode))
        return put_symlink(b, f, &e, err);
    if (!S_ISREG(st->st_mode))
        return put_special(b, st, &e, err);
    e.type = TAR_FILE;
    e.size = (uint64_t)st->st_size;
    return put_file(b, f, &e, err);
}

static int by_bytes(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void close_fts(FTS **f)
{
    if (*f)
        fts_close(*f);
}

static int put_tree(struct build *b, const char *dir, struct err *err)
{
    cleanup_free char *rootfs = xasprintf("%s/rootfs", dir);
    char *const roots[] = {rootfs, NULL};
    size_t skip = strlen(dir) + 1;
    __attribute__((cleanup(close_fts))) FTS *fts = fts_open(roots, FTS_PHYSICAL, by_bytes);
    if (!fts)
        return err_set(err, errno, "can't read %s", rootfs);
    for (;;) {
        errno = 0;
        FTSENT *f = fts_read(fts);
        if (!f)
            return errno ? err_set(err, errno, "can't read %s", rootfs) : 0;
        if (f->fts_info == FTS_DP)
            continue;
        if (f->fts_info == FTS_DNR || f->fts_info == FTS_ERR || f->fts_info == FTS_NS)
            return err_set(err, f->fts_errno, "can't read %s", f->fts_path);
        if (put_entry(b, f, f->fts_path + skip, err) < 0)
            return -1;
    }
}

/* First in the archive, so that whoever reads it as a stream finds it at once. */
static int put_manifest(struct build *b, const char *dir, const char *text, size_t len,
                        struct err *err)
{
    cleanup_free char *path = xasprintf("%s/manifest", dir);
    struct stat st;
    if (lstat(path, &st) < 0)
        return err_set(err, errno, "can't read %s", path);
    struct tar_entry e = {.type = TAR_FILE, .path = "manifest", .size = len};
    fill_entry(b, &st, &e);
    if (put_header(b, &e, err) < 0 || put(b, text, len, err) < 0)
        return -1;
    return put_zeros(b, tar_padding(len), err);
}

static int put_all(struct build *b, const char *dir, const char *manifest, size_t len,
                   struct err *err)
{
    if (put_manifest(b, dir, manifest, len, err) < 0 || put_tree(b, dir, err) < 0)
        return -1;
    return put_zeros(b, END_OF_TAR, err);
}

int build_aci(const char *dir, const char *out, const struct build_options *opt,
              struct aci_id *ret_id, struct build_report *ret_report, struct err *err)
{
    cleanup_free char *manifest = NULL;
    size_t len;
    if (aci_layout_read(dir, &manifest, &len, NULL, err) < 0)
        return -1;
    struct build b = {.opt = opt};
    if (aci_out_open(out, opt->compress, opt->overwrite, &b.out, err) < 0)
        return -1;
    b.copy = xmalloc(COPY_BYTES);
    int r = put_all(&b, dir, manifest, len, err);
    if (r == 0)
        r = aci_out_commit(b.out, ret_id, err);
    aci_out_free(b.out);
    buf_free(&b.header);
    tdestroy(b.names, free_name);
    free(b.copy);
    if (r == 0 && ret_report)
        *ret_report = b.report;
    return r;
}
