/* SPDX-License-Identifier: Apache-2.0 */
/* Tars made in memory by libarchive, for tests. */
#include "tests/unit/image/mktar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

struct mktar {
    struct archive *a;
    struct buf out;
};

static la_ssize_t on_write(struct archive *a, void *arg, const void *data, size_t len)
{
    struct mktar *m = arg;
    (void)a;
    buf_add(&m->out, data, len);
    return (la_ssize_t)len;
}

struct mktar *mktar_new(const char *format, bool bare)
{
    struct mktar *m = xcalloc(1, sizeof(*m));
    m->a = archive_write_new();
    assert_int_equal(archive_write_set_format_by_name(m->a, format), ARCHIVE_OK);
    archive_write_set_options(m->a, "pax:hdrcharset=BINARY");
    archive_write_set_bytes_per_block(m->a, 0);
    assert_int_equal(archive_write_open(m->a, m, NULL, on_write, NULL), ARCHIVE_OK);
    if (bare)
        return m;
    mktar_add(m, "manifest", '-', 0644, "{}");
    mktar_add(m, "rootfs", 'd', 0755, NULL);
    return m;
}

static unsigned file_type(char type)
{
    static const char types[] = "-dlcphs";
    static const unsigned modes[] = {AE_IFREG, AE_IFDIR, AE_IFLNK, AE_IFCHR,
                                     AE_IFIFO, AE_IFREG, AE_IFSOCK};
    return modes[strchr(types, type) - types];
}

void mktar_add(struct mktar *m, const char *name, char type, unsigned mode, const char *text)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_copy_pathname(e, name);
    archive_entry_set_filetype(e, file_type(type));
    archive_entry_set_perm(e, mode);
    archive_entry_set_mtime(e, 1000, 0);
    archive_entry_set_size(e, type == '-' ? (int64_t)strlen(text) : 0);
    if (type == 'l')
        archive_entry_copy_symlink(e, text);
    if (type == 'h')
        archive_entry_copy_hardlink(e, text);
    assert_int_equal(archive_write_header(m->a, e), ARCHIVE_OK);
    if (type == '-')
        archive_write_data(m->a, text, strlen(text));
    archive_entry_free(e);
}

void mktar_sparse(struct mktar *m, const char *name, uint64_t size, const uint64_t *offsets,
                  size_t len)
{
    struct archive_entry *e = archive_entry_new();
    char *piece = xmalloc(len);
    memset(piece, 'x', len);
    archive_entry_copy_pathname(e, name);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (int64_t)size);
    for (const uint64_t *o = offsets; *o != UINT64_MAX; o++)
        archive_entry_sparse_add_entry(e, (int64_t)*o, (int64_t)len);
    assert_int_equal(archive_write_header(m->a, e), ARCHIVE_OK);
    /* The writer takes the whole file and leaves the holes out. */
    char *all = xcalloc(1, size);
    for (const uint64_t *o = offsets; *o != UINT64_MAX; o++)
        memcpy(all + *o, piece, len);
    assert_int_equal(archive_write_data(m->a, all, size), size);
    free(all);
    free(piece);
    archive_entry_free(e);
}

const void *mktar_done(struct mktar *m, size_t *ret_len)
{
    if (m->a)
        assert_int_equal(archive_write_free(m->a), ARCHIVE_OK);
    m->a = NULL;
    *ret_len = m->out.len;
    return m->out.data;
}

void mktar_free(struct mktar *m)
{
    if (m->a)
        archive_write_free(m->a);
    buf_free(&m->out);
    free(m);
}

struct tree *mktar_tree(struct mktar *m)
{
    struct err err = {0};
    struct tree *t = NULL;
    size_t len;
    const void *tar = mktar_done(m, &len);
    if (tree_read(tar, len, &t, &err) < 0)
        fail_msg("%s", err.msg);
    return t;
}

const char *mktar_fault(struct mktar *m)
{
    static struct err err;
    struct tree *t = NULL;
    size_t len;
    const void *tar = mktar_done(m, &len);
    err = (struct err){0};
    assert_int_equal(tree_read(tar, len, &t, &err), -1);
    assert_null(t);
    return err.msg;
}
