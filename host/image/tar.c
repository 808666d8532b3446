/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree_read(): reads an image's tar through libarchive from a memory map.
 *
 * libarchive hands out pointers into the map, so a pointer minus the start of the map is the place
 * of the data in the tar. Names are cleaned as IMG-08 says before anything looks at them.
 */
#include "host/image/tar-read.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "schema/manifest.h"

#define USTAR_MAGIC_OFF 257
#define USTAR_MAGIC     "ustar"

static void reader_done(struct reader *r)
{
    archive_read_free(r->a);
    builder_done(&r->b);
    free(r->parts.v);
    free(r->links);
    free(r->extents);
    free(r->whiteouts);
    buf_free(&r->dir_path);
}

int parts_split(struct parts *out, const char *path, struct err *err)
{
    out->n = 0;
    if (*path == '/')
        return err_set(err, 0, "the name is absolute");
    while (*path) {
        size_t len = strcspn(path, "/");
        if (len == 2 && memcmp(path, "..", 2) == 0) {
            if (out->n == 0)
                return err_set(err, 0, "the name leaves the archive");
            out->n--;
        } else if (len > 0 && !(len == 1 && *path == '.')) {
            array_grow(&out->v, out->n, &out->cap, sizeof(*out->v));
            out->v[out->n++] = (struct part){.p = path, .len = len};
        }
        path += len;
        if (*path == '/')
            path++;
    }
    return 0;
}

static int check_part(const struct part *p, struct err *err)
{
    if (p->len > TREE_NAME_MAX)
        return err_set(err, ENAMETOOLONG, "a component has %zu bytes (%d are allowed)", p->len,
                       TREE_NAME_MAX);
    return 0;
}

static bool is_dir(const struct tree_node *n)
{
    return n->inode && S_ISDIR(n->inode->mode);
}

/* The directory that the parts before the last one name, made where no entry did so yet. */
static struct tree_node *walk_to_parent(struct reader *r, struct err *err)
{
    struct tree_node *n = r->root;
    for (size_t k = reader_base(r); k + 1 < r->parts.n; k++) {
        const struct part *p = &r->parts.v[k];
        if (check_part(p, err) < 0)
            return NULL;
        struct tree_node *child = builder_find(&r->b, n, p->p, p->len);
        if (!child)
            child = builder_add_dir(&r->b, n, p->p, p->len, err);
        if (!child)
            return NULL;
        if (!is_dir(child))
            return err_set(err, ENOTDIR, "it lies below %.*s, which is not a directory",
                           (int)p->len, p->p),
                   NULL;
        n = child;
    }
    return n;
}

/*
 * Finds or makes the node of the path in r->parts (at least two of them, the first is rootfs) for
 * an entry of its own. Two entries for one name are refused (IMG-03).
 */
static struct tree_node *claim_name(struct reader *r, struct tree_node *parent, bool dir,
                                    struct err *err)
{
    const struct part *last = &r->parts.v[r->parts.n - 1];
    if (check_part(last, err) < 0)
        return NULL;
    struct tree_node *n = builder_find(&r->b, parent, last->p, last->len);
    if (!n)
        return builder_add(&r->b, parent, last->p, last->len, err);
    if (!n->implied)
        return err_set(err, EEXIST, "the name occurs twice"), NULL;
    if (!dir)
        return err_set(err, ENOTDIR, "other entries lie below it, but it is not a directory"), NULL;
    n->implied = false;
    return n;
}

/*
 * The parent of a name. Archives list directories one after the other, so mostly it is the same as
 * that of the name before; the comparison is of the bytes as they are in the archive.
 */
static struct tree_node *parent_of(struct reader *r, const char *path, struct err *err)
{
    const struct part *last = &r->parts.v[r->parts.n - 1];
    size_t len = (size_t)(last->p - path);
    if (r->dir && len == r->dir_path.len && memcmp(path, r->dir_path.data, len) == 0)
        return r->dir;
    struct tree_node *dir = walk_to_parent(r, err);
    if (!dir)
        return NULL;
    buf_reset(&r->dir_path);
    buf_add(&r->dir_path, path, len);
    r->dir = dir;
    return dir;
}

static int archive_fault(struct reader *r, struct err *err)
{
    const char *text = archive_error_string(r->a);
    return err_set(err, 0, "the tar is damaged: %s", text ? text : "unknown error");
}

/* Adds a piece of data that libarchive found; pieces that touch become one. */
static int extent_add(struct reader *r, const void *data, size_t len, int64_t off, uint64_t size,
                      struct err *err)
{
    const unsigned char *p = data;
    struct tree_extent *last = r->nextents ? &r->extents[r->nextents - 1] : NULL;
    uint64_t end = last ? last->file_off + last->len : 0;
    if (len == 0)
        return 0;
    if (off < 0 || (uint64_t)off < end || (uint64_t)off > size || len > size - (uint64_t)off)
        return err_set(err, 0, "its sparse map is out of order or beyond its size");
    if (p < r->place.tar || (size_t)(p - r->place.tar) > r->place.len ||
        len > r->place.len - (size_t)(p - r->place.tar))
        return err_set(err, 0, "its data is not stored plainly in the tar");
    uint64_t tar_off = (uint64_t)(p - r->place.tar);
    if (last && end == (uint64_t)off && last->tar_off + last->len == tar_off) {
        last->len += len;
        return 0;
    }
    if (builder_charge(&r->b, sizeof(*last), err) < 0)
        return -1;
    array_grow(&r->extents, r->nextents, &r->extents_cap, sizeof(*r->extents));
    r->extents[r->nextents++] =
        (struct tree_extent){.file_off = (uint64_t)off, .tar_off = tar_off, .len = len};
    return 0;
}

/* Collects where the data of the entry lies, into r->extents. */
static int read_extents(struct reader *r, struct archive_entry *entry, uint64_t *ret_size,
                        struct err *err)
{
    r->nextents = 0;
    int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
    if (size < 0 || (uint64_t)size > TREE_FILE_MAX)
        return err_set(err, EFBIG, "size of %lld bytes", (long long)size);
    *ret_size = (uint64_t)size;
    while (size > 0) {
        const void *data;
        size_t len;
        int64_t off;
        int rc = archive_read_data_block(r->a, &data, &len, &off);
        if (rc == ARCHIVE_EOF)
            break;
        if (rc != ARCHIVE_OK)
            return archive_fault(r, err);
        if (extent_add(r, data, len, off, (uint64_t)size, err) < 0)
            return -1;
    }
    return 0;
}

static int read_manifest(struct reader *r, struct archive_entry *entry, struct err *err)
{
    uint64_t size;
    if (r->has_manifest)
        return err_set(err, EEXIST, "the name occurs twice");
    if (archive_entry_hardlink(entry) || archive_entry_filetype(entry) != AE_IFREG)
        return err_set(err, 0, "it must be a regular file");
    if (read_extents(r, entry, &size, err) < 0)
        return -1;
    if (size > AC_MANIFEST_MAX)
        return err_set(err, EFBIG, "it has %llu bytes (%u are allowed)", (unsigned long long)size,
                       AC_MANIFEST_MAX);
    if (r->nextents > 1 || (size && (r->nextents == 0 || r->extents[0].len != size)))
        return err_set(err, 0, "it must not be a sparse file");
    r->has_manifest = true;
    r->manifest_len = size;
    r->manifest_off = size ? r->extents[0].tar_off : 0;
    return 0;
}

static int read_hardlink(struct reader *r, struct archive_entry *entry, struct tree_node *n,
                         struct err *err)
{
    const char *target = archive_entry_hardlink(entry);
    size_t len = strlen(target);
    if (archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0)
        return err_set(err, 0, "a hard link with data of its own; make the archive without them");
    if (builder_charge(&r->b, len, err) < 0)
        return -1;
    array_grow(&r->links, r->nlinks, &r->links_cap, sizeof(*r->links));
    r->links[r->nlinks++] = (struct pending){
        .node = n,
        .path = arena_strndup(r->b.arena, target, len),
    };
    return 0;
}

static int check_kind(struct archive_entry *entry, struct err *err)
{
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
    case AE_IFDIR:
    case AE_IFLNK:
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
        return 0;
    default:
        return err_set(err, 0, "an entry of a kind that is not allowed (type %o)",
                       (unsigned)archive_entry_filetype(entry));
    }
}

/* An entry of its own (no hard link): n gets its inode, or an implied directory its metadata. */
static int read_inode(struct reader *r, struct archive_entry *entry, struct tree_node *n,
                      struct err *err)
{
    if (check_kind(entry, err) < 0)
        return -1;
    if (!n->inode)
        n->inode = builder_inode(&r->b);
    if (tar_attributes(&r->b, entry, &r->place, n->inode, err) < 0)
        return -1;
    if (!S_ISREG(n->inode->mode))
        return 0;
    if (read_extents(r, entry, &n->inode->size, err) < 0)
        return -1;
    n->inode->nextents = (uint32_t)r->nextents;
    n->inode->extents = arena_memdup(r->b.arena, r->extents, r->nextents * sizeof(*r->extents));
    for (size_t k = 0; k < r->nextents; k++)
        r->data_bytes += r->extents[k].len;
    return 0;
}

/* The entry `rootfs` itself: the root of the tree. */
static int read_rootfs(struct reader *r, struct archive_entry *entry, struct err *err)
{
    if (r->has_rootfs)
        return err_set(err, EEXIST, "the name occurs twice");
    if (archive_entry_hardlink(entry) || archive_entry_filetype(entry) != AE_IFDIR)
        return err_set(err, ENOTDIR, "rootfs must be a directory");
    r->has_rootfs = true;
    r->root->implied = false;
    return read_inode(r, entry, r->root, err);
}

static int read_below_rootfs(struct reader *r, struct archive_entry *entry, const char *path,
                             struct err *err)
{
    bool link = archive_entry_hardlink(entry) != NULL;
    bool dir = !link && archive_entry_filetype(entry) == AE_IFDIR;
    struct tree_node *parent = parent_of(r, path, err);
    if (parent && r->layer && reader_is_whiteout(r))
        return reader_whiteout(r, parent, err);
    struct tree_node *n = parent ? claim_name(r, parent, dir, err) : NULL;
    if (!n)
        return -1;
    return link ? read_hardlink(r, entry, n, err) : read_inode(r, entry, n, err);
}

/* IMG-05 to IMG-10: what may stand at the top. */
static int read_entry(struct reader *r, struct archive_entry *entry, const char *path,
                      struct err *err)
{
    struct parts *parts = &r->parts;
    if (parts_split(parts, path, err) < 0)
        return -1;
    if (parts->n == 0) {
        if (archive_entry_filetype(entry) != AE_IFDIR)
            return err_set(err, 0, "the top of the archive must be a directory");
        return 0;
    }
    if (parts->n == 1 && part_is(&parts->v[0], "manifest"))
        return read_manifest(r, entry, err);
    if (!part_is(&parts->v[0], "rootfs"))
        return err_set(err, 0, "only manifest and rootfs may be at the top of an image");
    return parts->n == 1 ? read_rootfs(r, entry, err) : read_below_rootfs(r, entry, path, err);
}

/* The same for a layer: everything is below the root, which may have an entry itself. */
static int read_layer_entry(struct reader *r, struct archive_entry *entry, const char *path,
                            struct err *err)
{
    if (parts_split(&r->parts, path, err) < 0)
        return -1;
    return r->parts.n == 0 ? read_rootfs(r, entry, err) : read_below_rootfs(r, entry, path, err);
}

/*
 * Names are bytes. In the C locale libarchive fails to convert what is not ASCII, warns, and hands
 * out the bytes as they are: just what is wanted (its hdrcharset option knows no "binary").
 */
static bool only_charset_warning(struct reader *r, int rc)
{
    const char *text = archive_error_string(r->a);
    return rc == ARCHIVE_WARN && text && strstr(text, "can't be converted from");
}

static int read_entries(struct reader *r, struct err *err)
{
    struct archive_entry *entry;
    for (;;) {
        int rc = archive_read_next_header(r->a, &entry);
        if (rc == ARCHIVE_EOF)
            return 0;
        const char *path = rc == ARCHIVE_FATAL ? NULL : archive_entry_pathname(entry);
        if (only_charset_warning(r, rc))
            rc = ARCHIVE_OK;
        if (rc != ARCHIVE_OK)
            archive_fault(r, err);
        if (rc != ARCHIVE_OK)
            return path ? err_prefix(err, "%.255s", path) : -1;
        if (!path || !*path)
            return err_set(err, 0, "the tar has an entry without a name");
        r->place.header = (uint64_t)archive_read_header_position(r->a);
        if ((r->layer ? read_layer_entry : read_entry)(r, entry, path, err) < 0)
            return err_prefix(err, "%.255s", path);
    }
}

static int reader_open(struct reader *r, const void *tar, size_t len, struct err *err)
{
    r->place = (struct tar_place){.tar = tar, .len = len};
    if (!r->layer && (len < USTAR_MAGIC_OFF + 6 || memcmp(r->place.tar + USTAR_MAGIC_OFF,
                                                          USTAR_MAGIC, strlen(USTAR_MAGIC)) != 0))
        return err_set(err, 0, "not a tar (no \"ustar\" in its first header)");
    builder_init(&r->b);
    r->root = r->b.nodes[0];
    r->a = archive_read_new();
    if (!r->a)
        die_oom();
    if (archive_read_support_format_tar(r->a) != ARCHIVE_OK ||
        (r->layer && archive_read_support_format_empty(r->a) != ARCHIVE_OK) ||
        archive_read_open_memory(r->a, tar, len) != ARCHIVE_OK)
        return archive_fault(r, err);
    return 0;
}

/* All that needs libarchive, in the C locale whatever the user's is. */
static int read_archive(struct reader *r, const void *tar, size_t len, struct err *err)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        die_oom();
    locale_t old = uselocale(c);
    int rc = reader_open(r, tar, len, err);
    if (rc == 0)
        rc = read_entries(r, err);
    uselocale(old);
    freelocale(c);
    return rc;
}

static struct tree *finish(struct reader *r)
{
    struct tree *t = xcalloc(1, sizeof(*t));
    t->tar = r->place.tar;
    t->tar_len = r->place.len;
    t->manifest_off = r->manifest_off;
    t->manifest_len = r->manifest_len;
    t->data_bytes = r->data_bytes;
    t->acl_lines_lost = r->b.acl_lines_lost;
    t->meta = r->b.meta;
    t->root = builder_finish(&r->b, &t->nnodes, &t->ninodes, &t->arena);
    return t;
}

int tree_read(const void *tar, size_t len, struct tree **ret, struct err *err)
{
    cleanup_with(reader_done) struct reader r = {0};
    if (read_archive(&r, tar, len, err) < 0 || reader_resolve_links(&r, NULL, err) < 0)
        return -1;
    if (!r.has_manifest)
        return err_set(err, 0, "the image has no manifest");
    if (!r.has_rootfs)
        return err_set(err, 0, "the image has no entry for the directory rootfs");
    *ret = finish(&r);
    return 0;
}

int tree_read_layer(const void *tar, size_t len, struct tree **ret, struct err *err)
{
    cleanup_with(reader_done) struct reader r = {.layer = true};
    size_t foreign;
    if (read_archive(&r, tar, len, err) < 0 || reader_resolve_links(&r, &foreign, err) < 0)
        return -1;
    struct tree *t = finish(&r);
    reader_finish_layer(&r, foreign, t);
    *ret = t;
    return 0;
}
