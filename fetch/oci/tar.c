/* SPDX-License-Identifier: Apache-2.0 */
/* A tar that holds an image in parts: where each file lies. */
#include "fetch/oci/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/download.h"
#include "fetch/oci/files.h"

#define BLOCK       512
#define INPUT_BYTES (256u << 10)

static void archive_freep(struct archive **a)
{
    if (*a)
        archive_read_free(*a);
}

#define cleanup_archive __attribute__((cleanup(archive_freep)))

static int damaged(struct archive *a, const char *path, struct err *err)
{
    const char *text = archive_error_string(a);
    return err_set(err, 0, "%s is not a tar, damaged or cut off: %s", path, text ? text : "?");
}

static int copy_plain(struct archive *a, const char *path, int out, uint64_t max, struct err *err)
{
    cleanup_free char *data = xmalloc(INPUT_BYTES);
    uint64_t at = 0;
    for (;;) {
        la_ssize_t n = archive_read_data(a, data, INPUT_BYTES);
        if (n < 0)
            return damaged(a, path, err);
        if (n == 0)
            return 0;
        if ((uint64_t)n > max - at)
            return err_set(
                err, EFBIG,
                "%s holds more than %llu bytes uncompressed; --max-size=SIZE allows more", path,
                (unsigned long long)max);
        if (pwrite_all(out, data, (size_t)n, (off_t)at) < 0)
            return err_set(err, errno, "can't unpack %s", path);
        at += (uint64_t)n;
    }
}

int oci_tar_plain(int *fd, const char *path, int area, uint64_t max, struct err *err)
{
    cleanup_archive struct archive *a = archive_read_new();
    struct archive_entry *entry;
    if (!a)
        die_oom();
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_format_raw(a);
    archive_read_support_format_empty(a);
    if (archive_read_open_fd(a, *fd, INPUT_BYTES) != ARCHIVE_OK)
        return damaged(a, path, err);
    int rc = archive_read_next_header(a, &entry);
    if (rc != ARCHIVE_OK && rc != ARCHIVE_EOF)
        return damaged(a, path, err);
    if (archive_filter_count(a) < 2) /* the one that is always there reads the file */
        return 0;
    cleanup_close int out = download_area_temp(area, err);
    if (out < 0 || copy_plain(a, path, out, max, err) < 0)
        return -1;
    close(*fd);
    *fd = take_fd(out);
    return 0;
}

/* A number in a header: octal, or big-endian binary behind a set top bit (GNU). */
static uint64_t number(const unsigned char *p, size_t len)
{
    uint64_t v = 0;
    size_t k = 0;
    if (p[0] & 0x80) {
        for (k = len - 8; k < len; k++)
            v = v << 8 | p[k];
        return v;
    }
    while (k < len && p[k] == ' ')
        k++;
    for (; k < len && p[k] >= '0' && p[k] <= '7'; k++)
        v = v << 3 | (uint64_t)(p[k] - '0');
    return v;
}

/* Where the data begins whose headers begin at `at`: behind the extensions and the header itself.
 */
static int data_offset(int fd, uint64_t at, uint64_t *ret)
{
    for (;;) {
        unsigned char h[BLOCK];
        if (pread_all(fd, h, sizeof(h), (off_t)at) < 0)
            return -1;
        at += BLOCK;
        if (h[156] == '\0' || !strchr("xgLKX", h[156])) {
            *ret = at;
            return 0;
        }
        uint64_t size = number(h + 124, 12);
        if (size > INT64_MAX - at - BLOCK)
            return -1;
        at += (size + BLOCK - 1) / BLOCK * BLOCK;
    }
}

/* "a/../b//./c" to "b/c", as a copy; NULL when it leaves the top. */
static char *clean(const char *path)
{
    char *out = xmalloc(strlen(path) + 2);
    size_t n = 0;
    while (*path) {
        size_t len = strcspn(path, "/");
        if (len == 2 && memcmp(path, "..", 2) == 0) {
            if (n == 0) {
                free(out);
                return NULL;
            }
            while (n && out[--n] != '/')
                ;
        } else if (len && !(len == 1 && *path == '.')) {
            if (n)
                out[n++] = '/';
            memcpy(out + n, path, len);
            n += len;
        }
        path += len + (path[len] == '/');
    }
    out[n] = '\0';
    return out;
}

/* The target of a link as a name from the top. */
static char *link_target(struct archive_entry *entry, const char *name)
{
    const char *hard = archive_entry_hardlink(entry), *soft = archive_entry_symlink(entry);
    const char *slash = strrchr(name, '/');
    if (hard || !soft)
        return clean(hard ? hard : "");
    cleanup_free char *from_top = xasprintf("%.*s/%s", slash ? (int)(slash - name) : 0, name, soft);
    return clean(from_top);
}

static int add(struct archive *a, struct archive_entry *entry, int fd, uint64_t file_size,
               const char *path, struct oci_tar *t, struct err *err)
{
    const char *raw = archive_entry_pathname(entry);
    cleanup_free char *name = raw ? clean(raw) : NULL, *link = NULL;
    bool linked = archive_entry_hardlink(entry) || archive_entry_filetype(entry) == AE_IFLNK;
    struct oci_tar_file f = {0};
    if (!name || (!linked && archive_entry_filetype(entry) != AE_IFREG))
        return 0;
    if (t->n >= OCI_FILES_MAX)
        return err_set(err, 0, "%s holds more than %d files", path, OCI_FILES_MAX);
    if (linked) {
        link = link_target(entry, name);
        if (!link)
            return 0;
    } else {
        int64_t size = archive_entry_size(entry);
        uint64_t at = (uint64_t)archive_read_header_position(a);
        if (size < 0 || archive_entry_sparse_count(entry) > 0 ||
            data_offset(fd, at, &f.offset) < 0 || f.offset > file_size ||
            (uint64_t)size > file_size - f.offset)
            return err_set(err, 0, "%s: %.255s is cut off or stored as a sparse file", path, raw);
        f.size = (uint64_t)size;
    }
    f.name = take_ptr(name);
    f.link = take_ptr(link);
    array_grow(&t->v, t->n, &t->cap, sizeof(*t->v));
    t->v[t->n++] = f;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct oci_tar_file *)a)->name, ((const struct oci_tar_file *)b)->name);
}

static int list(int fd, const char *path, struct oci_tar *t, struct err *err)
{
    cleanup_archive struct archive *a = archive_read_new();
    struct archive_entry *entry;
    struct stat st;
    if (!a)
        die_oom();
    if (lseek(fd, 0, SEEK_SET) < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't read %s", path);
    if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_open_fd(a, fd, INPUT_BYTES) != ARCHIVE_OK)
        return damaged(a, path, err);
    for (;;) {
        int rc = archive_read_next_header(a, &entry);
        if (rc == ARCHIVE_EOF)
            break;
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
            return damaged(a, path, err);
        if (add(a, entry, fd, (uint64_t)st.st_size, path, t, err) < 0)
            return -1;
    }
    if (t->n == 0)
        return err_set(err, 0, "%s holds no files", path);
    qsort(t->v, t->n, sizeof(*t->v), by_name);
    return 0;
}

int oci_tar_list(int fd, const char *path, struct oci_tar *ret, struct err *err)
{
    struct oci_tar t = {0};
    if (list(fd, path, &t, err) < 0) {
        oci_tar_done(&t);
        return -1;
    }
    *ret = t;
    return 0;
}

static const struct oci_tar_file *find(const struct oci_tar *t, const char *name)
{
    struct oci_tar_file key = {0};
    cleanup_free char *cleaned = clean(name);
    key.name = cleaned;
    return cleaned ? bsearch(&key, t->v, t->n, sizeof(key), by_name) : NULL;
}

const struct oci_tar_file *oci_tar_find(const struct oci_tar *t, const char *name)
{
    const struct oci_tar_file *f = find(t, name);
    if (f && f->link)
        f = find(t, f->link);
    return f && !f->link ? f : NULL;
}

void oci_tar_done(struct oci_tar *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->v[i].name);
        free(t->v[i].link);
    }
    free(t->v);
    *t = (struct oci_tar){0};
}
