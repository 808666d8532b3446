/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the uncompressed bytes of an archive file.
 *
 * bzip2, xz and zstd go through libarchive's filters. gzip goes to ISA-L directly: it is several
 * times as fast, and libarchive does not check gzip's checksum, so that a flipped bit in a
 * file's content would pass unseen.
 */
#include "host/image/import_source.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"

#define INPUT_BYTES (256u << 10)

struct import_source {
    int fd;
    uint64_t at, end; /* what of the file is still to be read */
    char *name;
    enum aci_compress compress;
    uint64_t consumed;

    struct archive *archive; /* bzip2, xz, zstd; reads from input */
    struct err read_error;   /* of the file, while libarchive read it */

    struct inflate_state *inflate; /* gzip */
    uint8_t *input;                /* INPUT_BYTES, for all but a plain tar */
    bool between;                  /* between two members, or behind the last */
    bool padding;                  /* the zeros behind the last member have begun */
    bool input_ended;
};

static ssize_t read_some(struct import_source *s, void *data, size_t cap, struct err *err)
{
    if (cap > s->end - s->at)
        cap = (size_t)(s->end - s->at);
    for (;;) {
        ssize_t n = pread(s->fd, data, cap, (off_t)s->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, errno, "can't read %s", s->name);
        s->at += (uint64_t)n;
        s->consumed += (uint64_t)n;
        return n;
    }
}

static ssize_t read_plain(struct import_source *s, char *data, size_t cap, struct err *err)
{
    size_t len = 0;
    while (len < cap) {
        ssize_t n = read_some(s, data + len, cap - len, err);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static la_ssize_t feed_archive(struct archive *a, void *arg, const void **ret)
{
    struct import_source *s = arg;
    ssize_t n = read_some(s, s->input, INPUT_BYTES, &s->read_error);
    if (n < 0)
        archive_set_error(a, s->read_error.errnum, "%s", s->read_error.msg);
    *ret = s->input;
    return n;
}

static ssize_t read_archive(struct import_source *s, char *data, size_t cap, struct err *err)
{
    size_t len = 0;
    while (len < cap) {
        la_ssize_t n = archive_read_data(s->archive, data + len, cap - len);
        if (n < 0)
            return err_set(err, 0, "%s is damaged or cut off: %s", s->name,
                           archive_error_string(s->archive));
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* Makes sure that there is input; 0 at the end of the file. */
static int refill(struct import_source *s, struct err *err)
{
    struct inflate_state *z = s->inflate;
    if (z->avail_in > 0 || s->input_ended)
        return z->avail_in > 0;
    ssize_t n = read_some(s, s->input, INPUT_BYTES, err);
    if (n < 0)
        return -1;
    s->input_ended = n == 0;
    z->next_in = s->input;
    z->avail_in = (uint32_t)n;
    return n > 0;
}

/*
 * Behind a member: another one, the end, or zeros up to the end, as some writers pad to whole
 * blocks. 1 when a member begins, 0 at the end.
 */
static int next_member(struct import_source *s, struct err *err)
{
    struct inflate_state *z = s->inflate;
    for (;;) {
        int more = refill(s, err);
        if (more <= 0)
            return more;
        if (*z->next_in == 0) {
            s->padding = true;
            z->next_in++;
            z->avail_in--;
            continue;
        }
        if (s->padding || *z->next_in != 0x1f)
            return err_set(err, 0, "%s is damaged: there is something behind the compressed data",
                           s->name);
        isal_inflate_reset(z);
        z->crc_flag = ISAL_GZIP;
        s->between = false;
        return 1;
    }
}

static int inflate_failure(struct import_source *s, int code, struct err *err)
{
    return err_set(err, 0, "%s is damaged: %s", s->name,
                   code == ISAL_INCORRECT_CHECKSUM ? "its gzip checksum is wrong"
                                                   : "its gzip data is invalid");
}

static ssize_t read_gzip(struct import_source *s, uint8_t *data, size_t cap, struct err *err)
{
    struct inflate_state *z = s->inflate;
    z->next_out = data;
    z->avail_out = (uint32_t)cap;
    while (z->avail_out > 0) {
        int more = s->between ? next_member(s, err) : refill(s, err);
        if (more < 0)
            return -1;
        if (more == 0 && s->between)
            break;
        uint32_t out_before = z->avail_out;
        int r = isal_inflate(z);
        if (r != ISAL_DECOMP_OK && r != ISAL_END_INPUT && r != ISAL_OUT_OVERFLOW)
            return inflate_failure(s, r, err);
        if (z->block_state == ISAL_BLOCK_FINISH)
            s->between = true;
        else if (more == 0 && z->avail_out == out_before)
            return err_set(err, 0, "%s is cut off: its gzip data does not end", s->name);
    }
    return (ssize_t)(cap - z->avail_out);
}

static int open_gzip(struct import_source *s)
{
    s->inflate = xcalloc(1, sizeof(*s->inflate));
    s->input = xmalloc(INPUT_BYTES);
    isal_inflate_init(s->inflate);
    s->inflate->crc_flag = ISAL_GZIP;
    return 0;
}

static int add_filter(struct archive *a, enum aci_compress compress)
{
    switch (compress) {
    case ACI_BZIP2:
        return archive_read_support_filter_bzip2(a);
    case ACI_XZ:
        return archive_read_support_filter_xz(a);
    case ACI_ZSTD:
        return archive_read_support_filter_zstd(a);
    case ACI_GZIP:
    case ACI_NONE:
        break;
    }
    return ARCHIVE_FATAL;
}

/* The raw format takes what the one filter gives as one nameless entry. */
static int open_archive(struct import_source *s, struct err *err)
{
    struct archive_entry *entry;
    s->archive = archive_read_new();
    s->input = xmalloc(INPUT_BYTES);
    if (!s->archive)
        die_oom();
    if (add_filter(s->archive, s->compress) != ARCHIVE_OK ||
        archive_read_support_format_raw(s->archive) != ARCHIVE_OK ||
        archive_read_open(s->archive, s, NULL, feed_archive, NULL) != ARCHIVE_OK ||
        archive_read_next_header(s->archive, &entry) != ARCHIVE_OK)
        return err_set(err, 0, "%s is damaged or cut off: %s", s->name,
                       archive_error_string(s->archive));
    return 0;
}

/* With `any`, what is no archive at all is read as it is. */
static int choose(struct import_source *s, bool any, struct err *err)
{
    char head[ACI_SNIFF_LEN];
    size_t cap = s->end - s->at < sizeof(head) ? (size_t)(s->end - s->at) : sizeof(head);
    ssize_t n = pread(s->fd, head, cap, (off_t)s->at);
    if (n < 0)
        return err_set(err, errno, "can't read %s", s->name);
    enum aci_kind kind = aci_sniff(head, (size_t)n, &s->compress);
    if (!any && aci_check_kind(kind, s->name, err) < 0)
        return -1;
    (void)posix_fadvise(s->fd, (off_t)s->at, 0, POSIX_FADV_SEQUENTIAL);
    if (s->compress == ACI_NONE)
        return 0;
    return s->compress == ACI_GZIP ? open_gzip(s) : open_archive(s, err);
}

static int open_source(int fd, uint64_t at, uint64_t end, bool any, const char *name,
                       struct import_source **ret, struct err *err)
{
    struct import_source *s = xcalloc(1, sizeof(*s));
    s->fd = fd;
    s->at = at;
    s->end = end;
    s->name = xstrdup(name);
    if (choose(s, any, err) < 0) {
        import_source_free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

int import_source_open(int fd, const char *name, struct import_source **ret, struct err *err)
{
    return open_source(fd, 0, INT64_MAX, false, name, ret, err);
}

int import_source_open_range(int fd, uint64_t offset, uint64_t size, const char *name,
                             struct import_source **ret, struct err *err)
{
    return open_source(fd, offset, offset + size, true, name, ret, err);
}

ssize_t import_source_read(struct import_source *s, void *data, size_t cap, struct err *err)
{
    if (s->archive)
        return read_archive(s, data, cap, err);
    if (s->inflate)
        return read_gzip(s, data, cap, err);
    return read_plain(s, data, cap, err);
}

uint64_t import_source_consumed(const struct import_source *s)
{
    return s->consumed;
}

enum aci_compress import_source_compress(const struct import_source *s)
{
    return s->compress;
}

void import_source_free(struct import_source *s)
{
    if (!s)
        return;
    if (s->archive)
        archive_read_free(s->archive);
    free(s->inflate);
    free(s->input);
    free(s->name);
    free(s);
}
