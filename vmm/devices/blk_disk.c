/* SPDX-License-Identifier: Apache-2.0 */
/* The disk of virtio-blk: extents of files, and input and output on them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "vmm/devices/blk.h"

static int parse_part(const char **text, char end, uint64_t max, uint64_t *ret)
{
    const char *stop = strchrnul(*text, end);
    char digits[24];
    size_t len = (size_t)(stop - *text);
    if (*stop != end || len >= sizeof(digits))
        return -1;
    memcpy(digits, *text, len);
    digits[len] = 0;
    *text = stop + (end ? 1 : 0);
    return parse_u64(digits, max, ret);
}

int blk_extent_parse(const char *text, struct blk_extent_spec *ret, struct err *err)
{
    uint64_t fd = 0, offset = 0, length;
    const char *p = text;
    bool hole = str_starts(text, "zero:");
    if (hole)
        p += strlen("zero:");
    else if (parse_part(&p, ':', INT32_MAX, &fd) || parse_part(&p, ':', INT64_MAX, &offset))
        return err_set(err, 0, "extent \"%s\": give FD:OFFSET:LENGTH or zero:LENGTH", text);
    if (parse_part(&p, 0, INT64_MAX, &length) || offset > INT64_MAX - length)
        return err_set(err, 0, "extent \"%s\": the length is not a number of bytes", text);
    if (!length || length % BLK_SECTOR)
        return err_set(err, 0, "extent \"%s\": the length is not a multiple of %d bytes", text,
                       BLK_SECTOR);
    *ret = (struct blk_extent_spec){hole ? -1 : (int)fd, offset, length};
    return 0;
}

/* The index of the file in b->files, to which it is added when it is new; or -1. */
static int file_index(struct blk *b, int fd, struct err *err)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &st))
        return err_set(err, errno, "extent: cannot use descriptor %d", fd);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(err, 0, "extent: descriptor %d is neither a file nor a disk", fd);
    int mode = flags & O_ACCMODE;
    if (mode == O_WRONLY || (!b->read_only && mode != O_RDWR))
        return err_set(err, 0, "extent: descriptor %d is open %s", fd,
                       mode == O_WRONLY ? "for writing only" : "read-only but the disk is not");
    for (size_t i = 0; i < b->nfiles; i++) {
        if (b->files[i].dev == st.st_dev && b->files[i].ino == st.st_ino)
            return (int)i;
    }
    array_grow(&b->files, b->nfiles, &b->files_cap, sizeof(*b->files));
    b->files[b->nfiles] = (struct blk_file){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
    return (int)b->nfiles++;
}

int blk_add_extent(struct blk *b, const struct blk_extent_spec *spec, struct err *err)
{
    if (b->nextents == BLK_EXTENTS_MAX)
        return err_set(err, 0, "more than %d extents", BLK_EXTENTS_MAX);
    if (spec->length > INT64_MAX - b->capacity)
        return err_set(err, 0, "the extents are together larger than a disk can be");
    int file = spec->fd < 0 ? -1 : file_index(b, spec->fd, err);
    if (file < 0 && spec->fd >= 0)
        return -1;
    array_grow(&b->extents, b->nextents, &b->extents_cap, sizeof(*b->extents));
    b->extents[b->nextents++] = (struct blk_extent){
        .start = b->capacity,
        .length = spec->length,
        .offset = spec->offset,
        .file = file,
    };
    b->capacity += spec->length;
    return 0;
}

/* The extent that holds byte `pos` of the disk, which is inside it. */
static const struct blk_extent *extent_at(const struct blk *b, uint64_t pos)
{
    size_t low = 0, high = b->nextents;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (b->extents[mid].start <= pos)
            low = mid;
        else
            high = mid;
    }
    return &b->extents[low];
}

/* The part of a range that lies in one extent of the disk. */
struct span {
    const struct blk_extent *extent;
    struct blk_file *file; /* NULL for a hole */
    uint64_t offset;       /* into the file */
    uint64_t len;
};

static struct span span_at(struct blk *b, uint64_t pos, uint64_t len)
{
    const struct blk_extent *e = extent_at(b, pos);
    uint64_t into = pos - e->start;
    return (struct span){
        .extent = e,
        .file = e->file < 0 ? NULL : &b->files[e->file],
        .offset = e->offset + into,
        .len = len < e->length - into ? len : e->length - into,
    };
}

static int read_span(const struct span *s, struct iovs *data)
{
    uint64_t left = s->len, off = s->offset;
    while (left && s->file) {
        struct iovs_limit token;
        unsigned n = iovs_limit(data, left, &token);
        ssize_t got = preadv(s->file->fd, data->v, (int)n, (off_t)off);
        iovs_unlimit(&token);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (!got)
            break;
        iovs_drop(data, (size_t)got);
        left -= (uint64_t)got;
        off += (uint64_t)got;
    }
    iovs_zero(data, left);
    return 0;
}

int blk_read(struct blk *b, struct iovs data, uint64_t pos)
{
    while (data.len) {
        struct span s = span_at(b, pos, data.len);
        if (read_span(&s, &data))
            return -1;
        pos += s.len;
    }
    return 0;
}

static int write_span(const struct span *s, struct iovs *data, bool sync)
{
    uint64_t left = s->len, off = s->offset;
    s->file->dirty |= !sync;
    while (left) {
        struct iovs_limit token;
        unsigned n = iovs_limit(data, left, &token);
        ssize_t done = sync ? pwritev2(s->file->fd, data->v, (int)n, (off_t)off, RWF_DSYNC)
                            : pwritev(s->file->fd, data->v, (int)n, (off_t)off);
        iovs_unlimit(&token);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        iovs_drop(data, (size_t)done);
        left -= (uint64_t)done;
        off += (uint64_t)done;
    }
    return 0;
}

int blk_write(struct blk *b, struct iovs data, uint64_t pos, bool sync)
{
    while (data.len) {
        struct span s = span_at(b, pos, data.len);
        if (!s.file) {
            errno = EROFS;
            return -1;
        }
        if (write_span(&s, &data, sync))
            return -1;
        pos += s.len;
    }
    return 0;
}

int blk_flush(struct blk *b)
{
    for (size_t i = 0; i < b->nfiles; i++) {
        struct blk_file *f = &b->files[i];
        if (!f->dirty)
            continue;
        if (fdatasync(f->fd))
            return -1;
        f->dirty = false;
    }
    return 0;
}

static int fallocate_span(const struct span *s, int mode)
{
    int r;
    do
        r = fallocate(s->file->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)s->offset, (off_t)s->len);
    while (r && errno == EINTR);
    if (!r)
        s->file->dirty = true;
    return r;
}

int blk_discard(struct blk *b, uint64_t pos, uint64_t len)
{
    while (len) {
        struct span s = span_at(b, pos, len);
        if (s.file && fallocate_span(&s, FALLOC_FL_PUNCH_HOLE))
            return -1;
        pos += s.len;
        len -= s.len;
    }
    return 0;
}

static int write_zeros(const struct span *s)
{
    static uint8_t zeros[65536];
    uint64_t left = s->len, off = s->offset;
    s->file->dirty = true;
    while (left) {
        size_t n = left < sizeof(zeros) ? left : sizeof(zeros);
        struct iovec v = {zeros, n};
        ssize_t done = pwritev(s->file->fd, &v, 1, (off_t)off);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        left -= (uint64_t)done;
        off += (uint64_t)done;
    }
    return 0;
}

static int zero_span(const struct span *s, bool unmap)
{
    if (!unmap && !fallocate_span(s, FALLOC_FL_ZERO_RANGE))
        return 0;
    if ((unmap || errno == EOPNOTSUPP) && !fallocate_span(s, FALLOC_FL_PUNCH_HOLE))
        return 0;
    return errno == EOPNOTSUPP ? write_zeros(s) : -1;
}

int blk_zero(struct blk *b, uint64_t pos, uint64_t len, bool unmap)
{
    while (len) {
        struct span s = span_at(b, pos, len);
        if (s.file && zero_span(&s, unmap))
            return -1;
        pos += s.len;
        len -= s.len;
    }
    return 0;
}
