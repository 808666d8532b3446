/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a merged tree into a directory. Every name is made by us with O_EXCL or mkdirat() below a
 * descriptor of a directory that we made, so no link that an image holds is ever walked through.
 */
#include "host/image/extract.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/extract-meta.h"

/* Directories that stay open: those of the path to the one at hand, the nearest ones. */
#define DIRS_OPEN 64
/* How often progress is told, in bytes of data and in names. */
#define STEP_BYTES (8u << 20)
#define STEP_NAMES 1024

/* By depth modulo DIRS_OPEN; closed while node is NULL. */
struct open_dir {
    const struct tree_node *node;
    int fd;
};

struct job {
    const struct render *r;
    const struct extract_options *opt;
    struct extract_who who;
    int top;
    struct open_dir dirs[DIRS_OPEN];
    const struct tree_node **first; /* by inode: the name that has the data; hard links follow */
    struct extract_progress progress;
    uint64_t told;
};

static void job_done(struct job *j)
{
    for (size_t k = 0; k < DIRS_OPEN; k++)
        if (j->dirs[k].node)
            close(j->dirs[k].fd);
    free(j->first);
}

static void tell(struct job *j)
{
    if (j->opt->progress)
        j->opt->progress(j->opt->arg, &j->progress);
}

static struct open_dir *slot_of(struct job *j, const struct tree_node *dir)
{
    return &j->dirs[dir->depth % DIRS_OPEN];
}

/* Opens `dir` in its parent, which is open as `parent`. Keeps it open; -1 with errno. */
static int open_below(struct job *j, const struct tree_node *dir, int parent)
{
    struct open_dir *slot = slot_of(j, dir);
    int fd = openat(parent, dir->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (slot->node)
        close(slot->fd);
    *slot = (struct open_dir){.node = dir, .fd = fd};
    return fd;
}

/* The open directory; it stays the job's, and valid until the next call. -1 with *err. */
static int open_dir(struct job *j, const struct tree_node *dir, struct err *err)
{
    cleanup_free const struct tree_node **chain = NULL;
    size_t n = 0, cap = 0;
    const struct tree_node *up = dir;
    for (; up->parent && slot_of(j, up)->node != up; up = up->parent) {
        array_grow(&chain, n, &cap, sizeof(*chain));
        chain[n++] = up;
    }
    int fd = up->parent ? slot_of(j, up)->fd : j->top;
    while (n > 0) {
        fd = open_below(j, chain[--n], fd);
        if (fd < 0)
            return err_set(err, errno, "can't open the directory");
    }
    return fd;
}

static int write_extent(struct job *j, const unsigned char *data, const struct tree_extent *e,
                        int fd, struct err *err)
{
    for (uint64_t done = 0; done < e->len;) {
        uint64_t n = e->len - done < STEP_BYTES ? e->len - done : STEP_BYTES;
        if (pwrite_all(fd, data + done, (size_t)n, (off_t)(e->file_off + done)) < 0)
            return err_set(err, errno, "can't write");
        done += n;
        j->progress.bytes += n;
        if (j->progress.bytes - j->told < STEP_BYTES)
            continue;
        j->told = j->progress.bytes;
        tell(j);
    }
    return 0;
}

static int make_file(struct job *j, const struct tree_node *n, int dirfd, struct err *err)
{
    const struct tree_inode *i = n->inode;
    cleanup_close int fd =
        openat(dirfd, n->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, errno, "can't create the file");
    for (uint32_t k = 0; k < i->nextents; k++) {
        const struct tree_extent *e = &i->extents[k];
        if (write_extent(j, j->r->blobs[i->blob]->tar + e->tar_off, e, fd, err) < 0)
            return -1;
    }
    if (ftruncate(fd, (off_t)i->size) < 0)
        return err_set(err, errno, "can't make it %" PRIu64 " bytes long", i->size);
    return extract_meta(&j->who, i, fd, dirfd, n->name, err);
}

static int make_symlink(struct job *j, const struct tree_node *n, int dirfd, struct err *err)
{
    if (symlinkat(n->inode->link, dirfd, n->name) < 0)
        return err_set(err, errno, "can't create the symlink");
    return extract_meta(&j->who, n->inode, -1, dirfd, n->name, err);
}

static int make_special(struct job *j, const struct tree_node *n, int dirfd, struct err *err)
{
    const struct tree_inode *i = n->inode;
    if (!j->who.root && !S_ISFIFO(i->mode)) {
        j->who.report->skipped_devices++;
        return 0;
    }
    if (mknodat(dirfd, n->name, (i->mode & S_IFMT) | 0600, makedev(i->devmajor, i->devminor)) < 0)
        return err_set(err, errno, "can't create the device or fifo");
    return extract_meta(&j->who, i, -1, dirfd, n->name, err);
}

static int make_hardlink(struct job *j, const struct tree_node *n, struct err *err)
{
    const struct tree_node *first = j->first[n->inode->id];
    if (!j->who.root && (S_ISCHR(n->inode->mode) || S_ISBLK(n->inode->mode)))
        return 0; /* skipped and counted at its first name */
    int to = open_dir(j, n->parent, err);
    cleanup_close int kept = to < 0 ? -1 : fcntl(to, F_DUPFD_CLOEXEC, 0);
    if (to >= 0 && kept < 0)
        return err_set(err, errno, "can't duplicate a descriptor");
    int from = to < 0 ? -1 : open_dir(j, first->parent, err);
    if (from < 0)
        return -1;
    if (linkat(from, first->name, kept, n->name, 0) < 0)
        return err_set(err, errno, "can't create the hard link");
    return 0;
}

/* A directory has mode 0700 until everything is there. */
static int make_dir(const struct tree_node *n, int dirfd, struct err *err)
{
    return mkdirat(dirfd, n->name, 0700) == 0 ? 0
                                              : err_set(err, errno, "can't create the directory");
}

static int make_name(struct job *j, const struct tree_node *n, struct err *err)
{
    if (j->first[n->inode->id])
        return make_hardlink(j, n, err);
    j->first[n->inode->id] = n;
    int dirfd = open_dir(j, n->parent, err);
    if (dirfd < 0)
        return -1;
    switch (n->inode->mode & S_IFMT) {
    case S_IFREG:
        return make_file(j, n, dirfd, err);
    case S_IFDIR:
        return make_dir(n, dirfd, err);
    case S_IFLNK:
        return make_symlink(j, n, dirfd, err);
    default:
        return make_special(j, n, dirfd, err);
    }
}

static int finish_dir(struct job *j, const struct tree_node *n, struct err *err)
{
    int fd = open_dir(j, n, err);
    return fd < 0 ? -1 : extract_meta(&j->who, n->inode, fd, -1, n->name, err);
}

static int name_fault(const struct tree_node *n, struct err *err)
{
    cleanup_with(buf_free) struct buf path = {0};
    tree_path(n, &path);
    return err_prefix(err, "%.700s", path.data);
}

static int make_all(struct job *j, struct err *err)
{
    const struct tree_node *root = j->r->root;
    for (const struct tree_node *n = tree_next(root, root); n; n = tree_next(root, n)) {
        if (make_name(j, n, err) < 0)
            return name_fault(n, err);
        if (++j->progress.entries % STEP_NAMES == 0)
            tell(j);
    }
    return 0;
}

/*
 * Directories get their metadata when nothing is made in them any more, the deepest first: so their
 * times stay, and a directory that its owner may not enter does not bar the way.
 */
static int finish_dirs(struct job *j, struct err *err)
{
    cleanup_free const struct tree_node **dirs = NULL;
    const struct tree_node *root = j->r->root;
    size_t n = 0, cap = 0;
    for (const struct tree_node *d = root; d; d = tree_next(root, d)) {
        if (!S_ISDIR(d->inode->mode))
            continue;
        array_grow(&dirs, n, &cap, sizeof(*dirs));
        dirs[n++] = d;
    }
    while (n-- > 0)
        if (finish_dir(j, dirs[n], err) < 0)
            return name_fault(dirs[n], err);
    return 0;
}

static int check_empty(int dirfd, struct err *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        return err_set(err, errno, "can't read the directory to extract to");
    const struct dirent *e;
    while ((e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            return err_set(err, ENOTEMPTY, "can't extract over %s", e->d_name);
    return 0;
}

static void count_total(struct job *j)
{
    j->progress.entries_total = j->r->nnodes - 1;
    for (uint32_t k = 0; k < j->r->ninodes; k++)
        j->first[k] = NULL;
    for (const struct tree_node *n = j->r->root; n; n = tree_next(j->r->root, n)) {
        if (j->first[n->inode->id])
            continue;
        j->first[n->inode->id] = n;
        for (uint32_t k = 0; k < n->inode->nextents; k++)
            j->progress.bytes_total += n->inode->extents[k].len;
    }
    memset(j->first, 0, j->r->ninodes * sizeof(*j->first));
}

int extract_render(const struct render *r, int dirfd, const struct extract_options *opt,
                   struct extract_report *ret, struct err *err)
{
    struct extract_report report = {0};
    cleanup_with(job_done) struct job j = {
        .r = r,
        .opt = opt,
        .who = {.root = geteuid() == 0 && !opt->unprivileged, .report = &report},
        .top = dirfd,
        .first = xcalloc(r->ninodes, sizeof(*j.first)),
    };
    count_total(&j);
    if (check_empty(dirfd, err) < 0 || make_all(&j, err) < 0 || finish_dirs(&j, err) < 0)
        return -1;
    tell(&j);
    report.entries = j.progress.entries;
    report.bytes = j.progress.bytes;
    *ret = report;
    return 0;
}

char *extract_report_text(const struct extract_report *rep)
{
    const struct {
        uint64_t n;
        const char *what;
    } parts[] = {
        {rep->skipped_owners, "owners"},   {rep->skipped_modes, "setuid and setgid bits"},
        {rep->skipped_devices, "devices"}, {rep->skipped_xattrs, "extended attributes"},
        {rep->skipped_times, "times"},
    };
    struct buf text = {0};
    for (size_t k = 0; k < ARRAY_SIZE(parts); k++)
        if (parts[k].n)
            buf_printf(&text, "%s%" PRIu64 " %s", text.len ? ", " : "not restored: ", parts[k].n,
                       parts[k].what);
    return text.len ? buf_take(&text) : NULL;
}
