/* SPDX-License-Identifier: Apache-2.0 */
/* The files of an image on this machine. */
#include "fetch/oci/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "fetch/oci/document.h"
#include "fetch/oci/tar.h"

#define OPEN_MAX_FILES OCI_LAYERS_MAX * 2

struct oci_files {
    char *path;
    int fd;             /* the directory, or the tar */
    struct oci_tar tar; /* when it is one */
    int *opened;        /* of a directory: files handed out */
    size_t nopened;
};

static struct oci_files *files_new(const char *path, int fd)
{
    struct oci_files *f = xcalloc(1, sizeof(*f));
    f->path = xstrdup(path);
    f->fd = fd;
    return f;
}

int oci_files_open_dir(const char *path, struct oci_files **ret, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno, "can't open %s", path);
    *ret = files_new(path, fd);
    return 0;
}

int oci_files_open_tar(const char *path, int area, uint64_t max, struct oci_files **ret,
                       struct err *err)
{
    cleanup_close int fd = -1;
    struct oci_tar tar = {0};
    if (open_regular(path, &fd, err) < 0)
        return -1;
    if (oci_tar_plain(&fd, path, area, max, err) < 0 || oci_tar_list(fd, path, &tar, err) < 0)
        return -1;
    *ret = files_new(path, take_fd(fd));
    (*ret)->tar = tar;
    return 0;
}

void oci_files_close(struct oci_files *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->nopened; i++)
        close(f->opened[i]);
    free(f->opened);
    oci_tar_done(&f->tar);
    close(f->fd);
    free(f->path);
    free(f);
}

/* Opens component by component; a link in an image must not lead to a file of the host. */
static int open_below(int dirfd, const char *name)
{
    cleanup_close int dir = -1;
    for (;;) {
        size_t n = strcspn(name, "/");
        cleanup_free char *part = xstrndup(name, n);
        int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
        int next = openat(dir >= 0 ? dir : dirfd, part, name[n] ? flags | O_DIRECTORY : flags);
        if (next < 0 || !name[n])
            return next;
        if (dir >= 0)
            close(dir);
        dir = next;
        name += n + 1;
    }
}

static int find_in_dir(struct oci_files *f, const char *name, struct oci_span *ret, struct err *err)
{
    struct stat st;
    if (*name == '/' || strstr(name, "..") || f->nopened >= OPEN_MAX_FILES)
        return err_set(err, EINVAL, "%s/%.255s", f->path, name);
    cleanup_close int fd = open_below(f->fd, name);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't open %s/%.255s", f->path, name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, 0, "%s/%.255s is not a regular file", f->path, name);
    f->opened = xreallocarray(f->opened, f->nopened + 1, sizeof(*f->opened));
    *ret = (struct oci_span){.fd = fd, .size = (uint64_t)st.st_size};
    f->opened[f->nopened++] = take_fd(fd);
    return 0;
}

int oci_files_find(struct oci_files *f, const char *name, struct oci_span *ret, struct err *err)
{
    const struct oci_tar_file *file;
    if (!f->tar.v)
        return find_in_dir(f, name, ret, err);
    file = oci_tar_find(&f->tar, name);
    if (!file)
        return err_set(err, 0, "%s holds no file %.255s", f->path, name);
    *ret = (struct oci_span){.fd = f->fd, .offset = file->offset, .size = file->size};
    return 0;
}

int oci_files_read(struct oci_files *f, const char *name, char **ret_text, size_t *ret_len,
                   struct err *err)
{
    struct oci_span s;
    if (oci_files_find(f, name, &s, err) < 0)
        return -1;
    if (s.size > OCI_DOCUMENT_MAX)
        return err_set(err, EFBIG, "%s: %.255s has %llu bytes (%u are allowed)", f->path, name,
                       (unsigned long long)s.size, OCI_DOCUMENT_MAX);
    cleanup_free char *text = xmalloc((size_t)s.size + 1);
    if (pread_all(s.fd, text, (size_t)s.size, (off_t)s.offset) < 0)
        return err_set(err, errno, "can't read %.255s of %s", name, f->path);
    text[s.size] = '\0';
    *ret_len = (size_t)s.size;
    *ret_text = take_ptr(text);
    return 0;
}
