/* SPDX-License-Identifier: Apache-2.0 */
/* A rendered root as one disk file: the index, and the tars behind it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/store.h"
#include "host/image/store_extract.h"

#define COPY_BYTES (1u << 20)

struct flatten {
    int out;
    uint64_t done, total;
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
    char *data; /* COPY_BYTES */
};

static bool all_zero(const char *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Copies a whole file to `at`; blocks of zeros become holes. */
static int copy_by_hand(struct flatten *f, int in, uint64_t from, uint64_t len, uint64_t at,
                        struct err *err)
{
    while (len) {
        size_t want = len < COPY_BYTES ? (size_t)len : COPY_BYTES;
        if (pread_all(in, f->data, want, (off_t)from) < 0)
            return err_set(err, errno, "can't read an image");
        if (!all_zero(f->data, want) && pwrite_all(f->out, f->data, want, (off_t)at) < 0)
            return err_set(err, errno, "can't write the disk file");
        from += want;
        at += want;
        len -= want;
        f->done += want;
        if (f->progress)
            f->progress(f->arg, f->done, f->total);
    }
    return 0;
}

/* By reference where the file system can share blocks. */
static int copy(struct flatten *f, int in, uint64_t len, uint64_t at, struct err *err)
{
    loff_t from = 0, to = (loff_t)at;
    while ((uint64_t)from < len) {
        uint64_t left = len - (uint64_t)from;
        ssize_t n = copy_file_range(in, &from, f->out, &to,
                                    left < (64u << 20) ? (size_t)left : (64u << 20), 0);
        if (n <= 0)
            break;
        f->done += (uint64_t)n;
        if (f->progress)
            f->progress(f->arg, f->done, f->total);
    }
    return copy_by_hand(f, in, (uint64_t)from, len - (uint64_t)from, (uint64_t)to, err);
}

static int write_device(struct flatten *f, const struct store_root *root, struct err *err)
{
    if (copy(f, root->index_fd, root->index_length, 0, err) < 0)
        return -1;
    for (size_t i = 0; i < root->nparts; i++)
        if (copy(f, root->parts[i].fd, root->parts[i].size, root->parts[i].offset, err) < 0)
            return -1;
    if (ftruncate(f->out, (off_t)root->total) < 0 || fsync(f->out) < 0)
        return err_set(err, errno, "can't write the disk file");
    return 0;
}

static int write_file(struct flatten *f, const struct store_root *root, const char *path,
                      bool overwrite, struct err *err)
{
    cleanup_free char *temp = xasprintf("%s.tmp.%ld", path, (long)getpid());
    cleanup_close int out = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (out < 0)
        return err_set(err, errno, "can't create a file beside %s", path);
    f->out = out;
    int r = write_device(f, root, err);
    if (r == 0 && (overwrite ? rename(temp, path)
                             : renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE)) < 0)
        r = errno == EEXIST ? err_set(err, 0, "%s exists; --overwrite replaces it", path)
                            : err_set(err, errno, "can't write %s", path);
    if (r < 0)
        (void)unlink(temp);
    return r;
}

int store_flatten(struct store *s, const struct aci_id *id, const char *path, bool overwrite,
                  void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
                  struct err *err)
{
    struct stat st;
    struct store_root root;
    if (!overwrite && lstat(path, &st) == 0)
        return err_set(err, 0, "%s exists; --overwrite replaces it", path);
    if (store_render(s, id, &root, err) < 0)
        return -1;
    struct flatten f = {.total = root.total, .progress = progress, .arg = arg};
    f.data = xmalloc(COPY_BYTES);
    int r = write_file(&f, &root, path, overwrite, err);
    free(f.data);
    store_root_done(&root);
    return r;
}
