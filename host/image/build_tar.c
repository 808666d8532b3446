/* SPDX-License-Identifier: Apache-2.0 */
/* Tar headers: POSIX pax, with GNU's sparse format 1.0. */
#include "host/image/build_tar.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define BLOCK           512
#define OCTAL_12_MAX    077777777777ULL /* eleven digits and a NUL */
#define OCTAL_8_MAX     07777777ULL
#define PAX_HEADER_NAME "././@PaxHeader"
#define SPARSE_NAME     "GNUSparseFile.0/data" /* the real one is in GNU.sparse.name */

/* The header block (POSIX.1-2017, pax, "ustar Interchange Format"). */
struct ustar {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char uname[32];
    char gname[32];
    char devmajor[8];
    char devminor[8];
    char prefix[155];
    char pad[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "a tar header is one block");

size_t tar_padding(uint64_t len)
{
    return (size_t)(-len % BLOCK);
}

static void pad(struct buf *b, uint64_t len)
{
    static const char zeros[BLOCK];
    buf_add(b, zeros, tar_padding(len));
}

void tar_pax_record(struct buf *b, const char *key, const void *value, size_t len)
{
    /* The length counts its own digits. */
    size_t rest = strlen(key) + len + 3;
    size_t total = rest + 1;
    for (;;) {
        char digits[32];
        size_t n = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", total);
        if (n == total)
            break;
        total = n;
    }
    buf_printf(b, "%zu %s=", total, key);
    buf_add(b, value, len);
    buf_addc(b, '\n');
}

static void record_text(struct buf *b, const char *key, const char *value)
{
    tar_pax_record(b, key, value, strlen(value));
}

static void record_u64(struct buf *b, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    record_text(b, key, text);
}

static void octal(char *field, size_t size, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "%0*" PRIo64, (int)size - 1, value);
    memcpy(field, text, size);
}

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

/* Puts a path into name, or into prefix and name; false when it does not fit. */
static bool set_name(struct ustar *h, const char *path)
{
    size_t len = strlen(path);
    if (!is_ascii(path))
        return false;
    if (len <= sizeof(h->name)) {
        memcpy(h->name, path, len);
        return true;
    }
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t head = (size_t)(slash - path), tail = len - head - 1;
        if (head > sizeof(h->prefix))
            return false;
        if (tail == 0 || tail > sizeof(h->name) || head == 0)
            continue;
        memcpy(h->prefix, path, head);
        memcpy(h->name, slash + 1, tail);
        return true;
    }
    return false;
}

/* Fits or goes to a pax record, and the field is then filled as far as it holds. */
static void set_path(struct ustar *h, struct buf *pax, const char *path)
{
    if (set_name(h, path))
        return;
    record_text(pax, "path", path);
    memcpy(h->name, path, strnlen(path, sizeof(h->name)));
}

static void set_link(struct ustar *h, struct buf *pax, const char *link)
{
    size_t len = strlen(link);
    if (len > sizeof(h->link) || !is_ascii(link))
        record_text(pax, "linkpath", link);
    memcpy(h->link, link, len < sizeof(h->link) ? len : sizeof(h->link));
}

static void set_number(char *field, size_t size, uint64_t max, uint64_t value, const char *key,
                       struct buf *pax)
{
    if (value > max)
        record_u64(pax, key, value);
    octal(field, size, value > max ? 0 : value);
}

/* Seconds and nanoseconds as a decimal number; before 1970 it counts down from the next second. */
static void pax_mtime(struct buf *pax, int64_t sec, uint32_t nsec)
{
    char text[64];
    bool negative = sec < 0;
    if (negative && nsec) {
        sec++;
        nsec = 1000000000 - nsec;
    }
    uint64_t whole = negative ? -(uint64_t)sec : (uint64_t)sec;
    int n = snprintf(text, sizeof(text), "%s%" PRIu64 ".%09u", negative ? "-" : "", whole, nsec);
    while (text[n - 1] == '0')
        text[--n] = '\0';
    if (text[n - 1] == '.')
        text[--n] = '\0';
    record_text(pax, "mtime", text);
}

static void set_mtime(struct ustar *h, struct buf *pax, const struct tar_entry *e)
{
    bool fits = e->mtime >= 0 && (uint64_t)e->mtime <= OCTAL_12_MAX;
    if (!fits || e->mtime_nsec)
        pax_mtime(pax, e->mtime, e->mtime_nsec);
    octal(h->mtime, sizeof(h->mtime), fits ? (uint64_t)e->mtime : 0);
}

static void finish(struct ustar *h, char type)
{
    unsigned sum = 0;
    h->type = type;
    memcpy(h->magic, "ustar", 6);
    memcpy(h->version, "00", 2);
    memset(h->checksum, ' ', sizeof(h->checksum));
    for (size_t i = 0; i < sizeof(*h); i++)
        sum += ((const unsigned char *)h)[i];
    snprintf(h->checksum, sizeof(h->checksum), "%06o", sum);
}

static void add_pax_header(struct buf *out, const struct buf *pax)
{
    struct ustar h = {.name = PAX_HEADER_NAME};
    octal(h.mode, sizeof(h.mode), 0644);
    octal(h.uid, sizeof(h.uid), 0);
    octal(h.gid, sizeof(h.gid), 0);
    octal(h.size, sizeof(h.size), pax->len);
    octal(h.mtime, sizeof(h.mtime), 0);
    finish(&h, 'x');
    buf_add(out, &h, sizeof(h));
    buf_add(out, pax->data, pax->len);
    pad(out, pax->len);
}

/* The number of pieces and their offsets and lengths, a line each. */
static void sparse_map(struct buf *map, const struct tar_entry *e)
{
    buf_printf(map, "%zu\n", e->npieces);
    for (size_t i = 0; i < e->npieces; i++)
        buf_printf(map, "%" PRIu64 "\n%" PRIu64 "\n", e->pieces[i].offset, e->pieces[i].len);
    pad(map, map->len);
}

static uint64_t sparse_records(struct buf *pax, struct buf *map, const struct tar_entry *e)
{
    sparse_map(map, e);
    record_text(pax, "GNU.sparse.major", "1");
    record_text(pax, "GNU.sparse.minor", "0");
    record_text(pax, "GNU.sparse.name", e->path);
    record_u64(pax, "GNU.sparse.realsize", e->size);
    uint64_t stored = map->len;
    for (size_t i = 0; i < e->npieces; i++)
        stored += e->pieces[i].len;
    return stored;
}

static const char *slashed(const struct tar_entry *e, struct buf *tmp)
{
    buf_printf(tmp, "%s/", e->path);
    return tmp->data;
}

void tar_header(struct buf *out, const struct tar_entry *e)
{
    cleanup_with(buf_free) struct buf pax = {0};
    cleanup_with(buf_free) struct buf map = {0};
    cleanup_with(buf_free) struct buf path = {0};
    struct ustar h = {0};
    uint64_t size = e->type == TAR_FILE ? e->size : 0;
    if (e->pieces) {
        size = sparse_records(&pax, &map, e);
        memcpy(h.name, SPARSE_NAME, sizeof(SPARSE_NAME));
    } else {
        set_path(&h, &pax, e->type == TAR_DIR ? slashed(e, &path) : e->path);
    }
    if (e->link)
        set_link(&h, &pax, e->link);
    octal(h.mode, sizeof(h.mode), e->mode & 07777);
    set_number(h.uid, sizeof(h.uid), OCTAL_8_MAX, e->uid, "uid", &pax);
    set_number(h.gid, sizeof(h.gid), OCTAL_8_MAX, e->gid, "gid", &pax);
    set_number(h.size, sizeof(h.size), OCTAL_12_MAX, size, "size", &pax);
    set_mtime(&h, &pax, e);
    octal(h.devmajor, sizeof(h.devmajor), e->devmajor);
    octal(h.devminor, sizeof(h.devminor), e->devminor);
    if (e->pax)
        buf_add(&pax, e->pax->data, e->pax->len);
    finish(&h, e->type);
    if (pax.len)
        add_pax_header(out, &pax);
    buf_add(out, &h, sizeof(h));
    buf_add(out, map.data, map.len);
}
