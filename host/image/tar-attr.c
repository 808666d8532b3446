/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata of one tar entry: owner, mode, times, devices, links, xattrs, ACLs. */
#include "host/image/tar-attr.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define TAR_BLOCK 512

static int set_owner(struct archive_entry *entry, struct tree_inode *i, struct err *err)
{
    int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
    if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
        return err_set(err, ERANGE, "owner %lld:%lld", (long long)uid, (long long)gid);
    i->uid = (uint32_t)uid;
    i->gid = (uint32_t)gid;
    return 0;
}

/* A number in a tar header: octal digits, blanks around; 0 when it is something else. */
static uint64_t header_octal(const unsigned char *p, size_t len)
{
    uint64_t v = 0;
    size_t k = 0;
    while (k < len && p[k] == ' ')
        k++;
    for (; k < len && p[k] >= '0' && p[k] <= '7'; k++)
        v = v << 3 | (uint64_t)(p[k] - '0');
    return v;
}

/* Is the value of the record "LEN mtime=VALUE\n" in the pax body negative? */
static bool pax_mtime_negative(const unsigned char *p, uint64_t len)
{
    bool negative = false;
    while (len) {
        uint64_t n = 0, k = 0;
        for (; k < len && p[k] >= '0' && p[k] <= '9' && n <= len; k++)
            n = n * 10 + (uint64_t)(p[k] - '0');
        if (n <= k || n > len)
            return negative;
        if (n - k > 8 && memcmp(p + k, " mtime=", 7) == 0)
            negative = p[k + 7] == '-';
        p += n;
        len -= n;
    }
    return negative;
}

/*
 * libarchive reads sign and fraction of a pax time apart: "-1.25" comes as -1 s and +250000000 ns,
 * and
 * "-0.25" as +250000000 ns. The sign is in the extension header that precedes the entry.
 */
static bool mtime_is_negative(const struct tar_place *place)
{
    bool negative = false;
    uint64_t at = place->header;
    while (at + TAR_BLOCK <= place->len) {
        const unsigned char *h = place->tar + at;
        uint64_t size = header_octal(h + 124, 12);
        at += TAR_BLOCK;
        if (!strchr("xgLKX", h[156]) || h[156] == '\0' || size > place->len - at)
            break;
        if (h[156] == 'x' || h[156] == 'X')
            negative = pax_mtime_negative(place->tar + at, size);
        uint64_t padded = (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
        if (padded > place->len - at)
            break;
        at += padded;
    }
    return negative;
}

static void set_mtime(struct archive_entry *entry, const struct tar_place *place,
                      struct tree_inode *i)
{
    int64_t sec = archive_entry_mtime(entry);
    long nsec = archive_entry_mtime_nsec(entry);
    if (sec <= 0 && nsec > 0 && sec > INT64_MIN && mtime_is_negative(place)) {
        sec--;
        nsec = 1000000000 - nsec;
    }
    i->mtime = sec;
    i->mtime_nsec = nsec >= 0 && nsec < 1000000000 ? (uint32_t)nsec : 0;
}

static int set_device(struct archive_entry *entry, struct tree_inode *i, struct err *err)
{
    if (!S_ISCHR(i->mode) && !S_ISBLK(i->mode))
        return 0;
    uint64_t devmajor = archive_entry_rdevmajor(entry), devminor = archive_entry_rdevminor(entry);
    if (devmajor > TREE_DEV_MAJOR_MAX || devminor > TREE_DEV_MINOR_MAX)
        return err_set(err, ERANGE, "device number %llu:%llu", (unsigned long long)devmajor,
                       (unsigned long long)devminor);
    i->devmajor = (uint32_t)devmajor;
    i->devminor = (uint32_t)devminor;
    return 0;
}

static int set_link(struct builder *b, struct archive_entry *entry, struct tree_inode *i,
                    struct err *err)
{
    if (!S_ISLNK(i->mode))
        return 0;
    const char *target = archive_entry_symlink(entry);
    size_t len = target ? strlen(target) : 0;
    if (len == 0 || len > TREE_SYMLINK_MAX)
        return err_set(err, 0, "symlink target of %zu bytes (1 to %d are allowed)", len,
                       TREE_SYMLINK_MAX);
    if (builder_charge(b, len, err) < 0)
        return -1;
    i->link = arena_strndup(b->arena, target, len);
    i->size = len;
    return 0;
}

/* The xattrs of an entry while they are collected. */
struct xattrs {
    struct tree_xattr *v;
    size_t n, cap;
    size_t bytes;
};

static void xattrs_done(struct xattrs *x)
{
    free(x->v);
}

static int xattr_add(struct builder *b, struct xattrs *x, const char *name, const void *value,
                     size_t len, struct err *err)
{
    size_t name_len = strlen(name);
    if (name_len == 0 || name_len > TREE_XATTR_NAME_MAX)
        return err_set(err, ERANGE, "extended attribute with a name of %zu bytes", name_len);
    if (len > TREE_XATTR_VALUE_MAX)
        return err_set(err, E2BIG, "extended attribute %s of %zu bytes (%d are allowed)", name, len,
                       TREE_XATTR_VALUE_MAX);
    x->bytes += name_len + len + sizeof(struct tree_xattr);
    if (x->bytes > TREE_XATTRS_MAX)
        return err_set(err, E2BIG, "more than %u bytes of extended attributes", TREE_XATTRS_MAX);
    if (builder_charge(b, name_len + len + sizeof(struct tree_xattr), err) < 0)
        return -1;
    array_grow(&x->v, x->n, &x->cap, sizeof(*x->v));
    x->v[x->n++] = (struct tree_xattr){
        .name = arena_strndup(b->arena, name, name_len),
        .value = arena_memdup(b->arena, value, len),
        .name_len = (uint32_t)name_len,
        .value_len = (uint32_t)len,
    };
    return 0;
}

static void put_le(struct buf *out, uint32_t v, unsigned bytes)
{
    for (unsigned k = 0; k < bytes; k++)
        buf_addc(out, (char)(v >> (8 * k)));
}

/* One line of an ACL, in the order in which Linux wants them: by tag, then by number. */
struct ace {
    uint16_t tag;
    uint16_t perm;
    uint32_t id;
};

#define ACL_VERSION  2u
#define ACL_NO_ID    UINT32_MAX
#define ACL_ACES_MAX 4096

static int ace_cmp(const void *a, const void *b)
{
    const struct ace *x = a, *y = b;
    if (x->tag != y->tag)
        return x->tag < y->tag ? -1 : 1;
    return x->id == y->id ? 0 : x->id < y->id ? -1 : 1;
}

/* Fills *ret; false when the line can't be kept: it names somebody without a number. */
static bool ace_make(int tag, int perm, int id, struct ace *ret)
{
    static const struct {
        int tag;
        uint16_t code;
        bool named;
    } tags[] = {
        {ARCHIVE_ENTRY_ACL_USER_OBJ, 0x01, false},  {ARCHIVE_ENTRY_ACL_USER, 0x02, true},
        {ARCHIVE_ENTRY_ACL_GROUP_OBJ, 0x04, false}, {ARCHIVE_ENTRY_ACL_GROUP, 0x08, true},
        {ARCHIVE_ENTRY_ACL_MASK, 0x10, false},      {ARCHIVE_ENTRY_ACL_OTHER, 0x20, false},
    };
    for (size_t k = 0; k < ARRAY_SIZE(tags); k++) {
        if (tags[k].tag != tag)
            continue;
        *ret = (struct ace){.tag = tags[k].code,
                            .perm = (uint16_t)(perm & 7),
                            .id = tags[k].named ? (uint32_t)id : ACL_NO_ID};
        return !tags[k].named || id != -1;
    }
    return false;
}

/* Would Linux take the list? One line for owner, group and others; a mask where somebody is named.
 */
static bool acl_is_valid(const struct ace *aces, size_t n)
{
    size_t count[0x21] = {0};
    for (size_t k = 0; k < n; k++) {
        count[aces[k].tag]++;
        if (k && ace_cmp(&aces[k - 1], &aces[k]) == 0)
            return false;
    }
    return count[0x01] == 1 && count[0x04] == 1 && count[0x20] == 1 &&
           (count[0x10] == 1 || count[0x02] + count[0x08] == 0);
}

/*
 * The mode that goes with a valid access ACL: Linux shows the mask, or the owning group without
 * one, as the group's bits. libarchive has put the owning group's there.
 */
static void acl_mode(struct tree_inode *i, const struct ace *aces, size_t n)
{
    uint32_t bits[0x21] = {0};
    bool mask = false;
    for (size_t k = 0; k < n; k++) {
        bits[aces[k].tag] = aces[k].perm;
        mask |= aces[k].tag == 0x10;
    }
    i->mode = (i->mode & ~0777u) | bits[0x01] << 6 | bits[mask ? 0x10 : 0x04] << 3 | bits[0x20];
}

/* The ACL of one type as the value of the xattr that Linux keeps it in. */
static int add_acl(struct builder *b, struct archive_entry *entry, int want, const char *xattr,
                   struct tree_inode *i, struct xattrs *x, struct err *err)
{
    cleanup_free struct ace *aces = NULL;
    cleanup_with(buf_free) struct buf value = {0};
    size_t n = 0, cap = 0;
    int type, perm, tag, id;
    const char *name;
    if (archive_entry_acl_reset(entry, want) == 0)
        return 0;
    while (archive_entry_acl_next(entry, want, &type, &perm, &tag, &id, &name) == ARCHIVE_OK) {
        if (n >= ACL_ACES_MAX)
            return err_set(err, E2BIG, "access control list of more than %d lines", ACL_ACES_MAX);
        array_grow(&aces, n, &cap, sizeof(*aces));
        if (ace_make(tag, perm, id, &aces[n]))
            n++;
        else
            b->acl_lines_lost++;
    }
    if (n == 0)
        return 0;
    qsort(aces, n, sizeof(*aces), ace_cmp);
    if (!acl_is_valid(aces, n)) {
        b->acl_lines_lost += (uint32_t)n;
        return 0;
    }
    if (want == ARCHIVE_ENTRY_ACL_TYPE_ACCESS)
        acl_mode(i, aces, n);
    put_le(&value, ACL_VERSION, 4);
    for (size_t k = 0; k < n; k++) {
        put_le(&value, aces[k].tag, 2);
        put_le(&value, aces[k].perm, 2);
        put_le(&value, aces[k].id, 4);
    }
    return xattr_add(b, x, xattr, value.data, value.len, err);
}

static int xattr_cmp(const void *a, const void *b)
{
    const struct tree_xattr *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Sorted, and each name once: archives often carry the same attribute in two encodings. */
static void xattrs_settle(struct builder *b, struct xattrs *x, struct tree_inode *i)
{
    size_t kept = 0;
    if (x->n == 0)
        return;
    qsort(x->v, x->n, sizeof(*x->v), xattr_cmp);
    for (size_t k = 0; k < x->n; k++)
        if (kept == 0 || strcmp(x->v[kept - 1].name, x->v[k].name) != 0)
            x->v[kept++] = x->v[k];
    i->xattrs = arena_memdup(b->arena, x->v, kept * sizeof(*x->v));
    i->nxattrs = (uint32_t)kept;
}

static int set_xattrs(struct builder *b, struct archive_entry *entry, struct tree_inode *i,
                      struct err *err)
{
    cleanup_with(xattrs_done) struct xattrs x = {0};
    const char *name;
    const void *value;
    size_t len;
    if (archive_entry_xattr_reset(entry) > 0)
        while (archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK)
            if (xattr_add(b, &x, name, value, len, err) < 0)
                return -1;
    int acls = archive_entry_acl_types(entry);
    if ((acls & ARCHIVE_ENTRY_ACL_TYPE_ACCESS) &&
        add_acl(b, entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access", i, &x, err) < 0)
        return -1;
    if ((acls & ARCHIVE_ENTRY_ACL_TYPE_DEFAULT) &&
        add_acl(b, entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default", i, &x, err) <
            0)
        return -1;
    xattrs_settle(b, &x, i);
    return 0;
}

int tar_attributes(struct builder *b, struct archive_entry *entry, const struct tar_place *place,
                   struct tree_inode *i, struct err *err)
{
    i->mode = archive_entry_mode(entry) & (S_IFMT | 07777);
    if (S_ISLNK(i->mode))
        i->mode = S_IFLNK | 0777; /* whatever the archive says, Linux knows no other */
    set_mtime(entry, place, i);
    if (set_owner(entry, i, err) < 0 || set_device(entry, i, err) < 0 ||
        set_link(b, entry, i, err) < 0)
        return -1;
    return set_xattrs(b, entry, i, err);
}
