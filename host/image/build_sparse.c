/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the runs of zeros in a file that are worth leaving out of an archive. */
#include "host/image/build_sparse.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define SCAN_BYTES (256u << 10)

struct scan {
    struct tar_piece *pieces;
    size_t n, cap;
    uint64_t zeros_from; /* start of the run of zeros that reaches up to `at` */
    uint64_t data_from;  /* start of the piece that is open */
    uint64_t at;
    bool open; /* a piece is open: data_from .. */
};

static void add_piece(struct scan *s, uint64_t offset, uint64_t len)
{
    array_grow(&s->pieces, s->n, &s->cap, sizeof(*s->pieces));
    s->pieces[s->n++] = (struct tar_piece){offset, len};
}

/* Zeros up to `end` follow. */
static void see_zeros(struct scan *s, uint64_t end)
{
    s->at = end;
}

/* Data from s->at to `end` follows: now we know whether the zeros before it were a hole. */
static void see_data(struct scan *s, uint64_t end)
{
    if (s->open && s->at - s->zeros_from >= SPARSE_HOLE_MIN) {
        add_piece(s, s->data_from, s->zeros_from - s->data_from);
        s->open = false;
    }
    if (!s->open) {
        /* A short run at the head of the file belongs to the first piece. */
        s->data_from = s->n == 0 && s->at < SPARSE_HOLE_MIN ? 0 : s->at;
        s->open = true;
    }
    s->at = end;
    s->zeros_from = end;
}

static bool all_zero(const char *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static void scan_bytes(struct scan *s, const char *p, size_t len)
{
    while (len) {
        size_t n = len < SPARSE_BLOCK ? len : SPARSE_BLOCK;
        if (all_zero(p, n))
            see_zeros(s, s->at + n);
        else
            see_data(s, s->at + n);
        p += n;
        len -= n;
    }
}

/* Reads from s->at to `end`, which is a multiple of SPARSE_BLOCK or the file's end. */
static int scan_range(int fd, struct scan *s, uint64_t end, char *tmp)
{
    while (s->at < end) {
        size_t want = end - s->at < SCAN_BYTES ? (size_t)(end - s->at) : SCAN_BYTES;
        size_t got = 0;
        while (got < want) {
            ssize_t n = pread(fd, tmp + got, want - got, (off_t)(s->at + got));
            if (n < 0 && errno == EINTR)
                continue;
            if (n == 0)
                errno = ESTALE; /* it became shorter */
            if (n <= 0)
                return -1;
            got += (size_t)n;
        }
        scan_bytes(s, tmp, got);
    }
    return 0;
}

static uint64_t round_up(uint64_t v)
{
    return (v + SPARSE_BLOCK - 1) / SPARSE_BLOCK * SPARSE_BLOCK;
}

/*
 * What the file system knows to be a hole need not be read: where the next data starts, and where
 * it ends. A file system without such knowledge says that all is data.
 */
static uint64_t next_data(int fd, uint64_t at, uint64_t size, uint64_t *ret_end)
{
    *ret_end = size;
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? size : at;
    off_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole > data && round_up((uint64_t)hole) < size)
        *ret_end = round_up((uint64_t)hole);
    return (uint64_t)data / SPARSE_BLOCK * SPARSE_BLOCK;
}

int sparse_scan(int fd, uint64_t size, struct tar_piece **ret, size_t *ret_n)
{
    *ret = NULL;
    *ret_n = 0;
    if (size < SPARSE_HOLE_MIN)
        return 0;
    cleanup_free char *tmp = xmalloc(SCAN_BYTES);
    struct scan s = {0};
    while (s.at < size) {
        uint64_t end;
        uint64_t data = next_data(fd, s.at, size, &end);
        if (data > s.at)
            see_zeros(&s, data < size ? data : size);
        if (s.at < size && scan_range(fd, &s, end, tmp) < 0) {
            free(s.pieces);
            return -1;
        }
    }
    bool hole_at_end = !s.open || size - s.zeros_from >= SPARSE_HOLE_MIN;
    if (s.open)
        add_piece(&s, s.data_from, (hole_at_end ? s.zeros_from : size) - s.data_from);
    if (hole_at_end)
        add_piece(&s, size, 0);
    if (s.n == 1 && s.pieces[0].offset == 0 && s.pieces[0].len == size) {
        free(s.pieces);
        return 0;
    }
    *ret = s.pieces;
    *ret_n = s.n;
    return 0;
}
