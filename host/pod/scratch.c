/* SPDX-License-Identifier: Apache-2.0 */
/* The scratch disk of a pod: a sparse ext4 file that no directory names. */
#include "host/pod/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/program.h"

/* Part of the template's name: a change of the options below makes new ones. */
#define SCRATCH_VERSION "1"
#define TEMPLATE_PREFIX "ext4-v" SCRATCH_VERSION "-"
#define TEMPLATE_SUFFIX ".img"

static int make_template(const char *path, uint64_t size, struct err *err)
{
    cleanup_free char *tmp = xasprintf("%s.tmp.%ld", path, (long)getpid());
    cleanup_free char *blocks = xasprintf("%lluk", (unsigned long long)(size >> 10));
    /* No journal: nobody looks at the disk again after a crash. */
    const char *argv[] = {"mke2fs",
                          "-q",
                          "-F",
                          "-t",
                          "ext4",
                          "-b",
                          "4096",
                          "-m",
                          "0",
                          "-O",
                          "^has_journal,^resize_inode,^metadata_csum",
                          "-E",
                          "lazy_itable_init=1,nodiscard,root_owner=0:0",
                          tmp,
                          blocks,
                          NULL};
    if (program_run("mke2fs", argv, err) < 0) {
        unlink(tmp);
        return err_prefix(err, "can't make a scratch disk (mke2fs is in the package e2fsprogs)");
    }
    if (rename(tmp, path) < 0)
        return err_set(err, errno, "can't rename %s", tmp);
    return 0;
}

static int open_template(const char *data_dir, uint64_t size, struct err *err)
{
    cleanup_free char *dir = xasprintf("%s/scratch", data_dir);
    cleanup_free char *path =
        xasprintf("%s/" TEMPLATE_PREFIX "%llu" TEMPLATE_SUFFIX, dir, (unsigned long long)size);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)futimens(fd, NULL); /* only "image gc" wants to know */
        return fd;
    }
    if (mkdir_parents_at(AT_FDCWD, dir, 0700, err) < 0 || make_template(path, size, err) < 0)
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : err_set(err, errno, "can't open %s", path);
}

static int open_unnamed(const char *data_dir, struct err *err)
{
    int fd = open(data_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    /* Some file systems have no O_TMPFILE. */
    cleanup_free char *path = xasprintf("%s/scratch/disk.XXXXXX", data_dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno, "can't make a scratch file in %s", data_dir);
    unlink(path);
    return fd;
}

static int copy_range(int from, int to, off_t start, off_t end)
{
    while (start < end) {
        off_t in = start, out = start;
        ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(end - start), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        start += n;
    }
    return 0;
}

static int copy_sparse(int from, int to)
{
    struct stat st;
    if (fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
        return -1;
    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    for (off_t pos = 0; pos < st.st_size;) {
        off_t start = lseek(from, pos, SEEK_DATA);
        if (start < 0)
            return errno == ENXIO ? 0 : -1;
        off_t end = lseek(from, start, SEEK_HOLE);
        if (end < 0 || copy_range(from, to, start, end) < 0)
            return -1;
        pos = end;
    }
    return 0;
}

bool scratch_is_template(const char *name)
{
    return str_starts(name, TEMPLATE_PREFIX) && str_ends(name, TEMPLATE_SUFFIX);
}

int scratch_open(const char *data_dir, uint64_t size, int *ret_fd, struct err *err)
{
    size = (size + (1 << 20) - 1) & ~((1ULL << 20) - 1);
    if (size < SCRATCH_MIN || size > SCRATCH_MAX)
        return err_set(err, 0, "a scratch disk has 16M to 16T bytes");
    cleanup_close int from = open_template(data_dir, size, err);
    if (from < 0)
        return -1;
    cleanup_close int to = open_unnamed(data_dir, err);
    if (to < 0)
        return -1;
    if (copy_sparse(from, to) < 0)
        return err_set(err, errno, "can't write the scratch disk in %s", data_dir);
    *ret_fd = take_fd(to);
    return 0;
}
