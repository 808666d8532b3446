/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-blk: extents, and requests good and bad. */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "vmm/devices/blk.h"

#define HEADER (FRONT_GPA + FRONT_DATA)
#define STATUS (HEADER + 64)
#define DATA   (FRONT_GPA2 + 4096)
#define RANGES (HEADER + 128)

#define FLUSH_DISCARD_ZERO                                                                         \
    (1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES)

static int file_of(size_t size, uint8_t fill)
{
    int fd = memfd_create("disk", MFD_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = 0; i < size; i += 512) {
        uint8_t sector[512];
        memset(sector, fill, sizeof(sector));
        size_t n = size - i < 512 ? size - i : 512;
        assert_int_equal(pwrite_all(fd, sector, n, (off_t)i), 0);
    }
    return fd;
}

/*
 * A disk of 8 sectors: two of file a (from byte 100 on), one hole, four of file b, of which the
 * last one and a half are behind its end, and one of file a again.
 */
struct bench {
    struct blk blk;
    int a, b;
    struct front f;
};

static struct bench *bench_new(bool read_only, uint64_t features)
{
    struct bench *t = test_calloc(1, sizeof(*t));
    struct err err;
    t->a = file_of(4096, 'a');
    t->b = file_of(1280, 'b');
    t->blk.read_only = read_only;
    memcpy(t->blk.serial, "disk-1", 6);
    const struct blk_extent_spec specs[] = {
        {t->a, 100, 1024}, {-1, 0, 512}, {t->b, 0, 2048}, {t->a, 2048, 512}};
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
        assert_int_equal(blk_add_extent(&t->blk, &specs[i], &err), 0);
    assert_int_equal(blk_init(&t->blk, 1, &err), 0);
    front_start(&t->f, &t->blk.dev);
    front_negotiate(&t->f, features);
    front_queues(&t->f, 1);
    return t;
}

static void bench_end(struct bench *t)
{
    if (front_end(&t->f))
        fail_msg("the device gave up: %s", t->f.err.msg);
    blk_free(&t->blk);
    close(t->a);
    close(t->b);
    test_free(t);
}

/* One request with data in `n` equal buffers; returns the status and the used length. */
static uint8_t request(struct bench *t, uint32_t type, uint64_t sector, uint32_t len, unsigned n,
                       bool in, uint32_t *ret_used)
{
    struct front_buf bufs[64] = {{HEADER, sizeof(struct virtio_blk_outhdr), false}};
    struct virtio_blk_outhdr h = {.type = type, .sector = sector};
    uint32_t used;
    memcpy(front_at(&t->f, HEADER), &h, sizeof(h));
    *(uint8_t *)front_at(&t->f, STATUS) = 0xee;
    for (unsigned i = 0; i < n; i++)
        bufs[1 + i] = (struct front_buf){DATA + i * (len / n), len / n, in};
    bufs[1 + n] = (struct front_buf){STATUS, 1, true};
    front_add(&t->f, 0, bufs, n + 2);
    front_kick(&t->f, 0);
    front_used(&t->f, 0, &used);
    if (ret_used)
        *ret_used = used;
    return *(uint8_t *)front_at(&t->f, STATUS);
}

static void assert_filled(struct front *f, uint32_t from, uint32_t to, uint8_t with)
{
    const uint8_t *p = front_at(f, DATA);
    for (uint32_t i = from; i < to; i++) {
        if (p[i] != with)
            fail_msg("byte %u is 0x%02x, not 0x%02x", i, p[i], with);
    }
}

static void reads_cross_extents(void **state)
{
    (void)state;
    struct bench *t = bench_new(false, FLUSH_DISCARD_ZERO);
    uint32_t used;
    memset(front_at(&t->f, DATA), 0xcc, 8192);
    for (unsigned n = 1; n <= 16; n *= 4) {
        assert_int_equal(request(t, VIRTIO_BLK_T_IN, 0, 4096, n, true, &used), VIRTIO_BLK_S_OK);
        assert_int_equal(used, 4097);
        assert_filled(&t->f, 0, 1024, 'a');
        assert_filled(&t->f, 1024, 1536, 0);
        assert_filled(&t->f, 1536, 1536 + 1280, 'b');
        assert_filled(&t->f, 1536 + 1280, 3584, 0);
        assert_filled(&t->f, 3584, 4096, 'a');
        assert_filled(&t->f, 4096, 8192, 0xcc);
    }
    /* Buffers that end in the middle of an extent. */
    assert_int_equal(request(t, VIRTIO_BLK_T_IN, 1, 1536, 3, true, NULL), VIRTIO_BLK_S_OK);
    assert_filled(&t->f, 0, 512, 'a');
    assert_filled(&t->f, 512, 1024, 0);
    assert_filled(&t->f, 1024, 1536, 'b');
    assert_int_equal(request(t, VIRTIO_BLK_T_IN, 7, 0, 1, true, NULL), VIRTIO_BLK_S_OK);
    bench_end(t);
}

static void ranges_outside_the_disk_fail(void **state)
{
    (void)state;
    static const struct {
        uint64_t sector;
        uint32_t len;
    } rows[] = {
        {8, 512},
        {7, 1024},
        {9, 0},
        {UINT64_MAX, 512},
        {UINT64_MAX / 512, 512},
        {UINT64_MAX / 512 + 1, 512},
        {1ULL << 55, 512},
        {0, 4608},
        {0, 100},
        {0, 513},
    };
    struct bench *t = bench_new(false, FLUSH_DISCARD_ZERO);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(request(t, VIRTIO_BLK_T_IN, rows[i].sector, rows[i].len, 1, true, NULL),
                         VIRTIO_BLK_S_IOERR);
        assert_int_equal(request(t, VIRTIO_BLK_T_OUT, rows[i].sector, rows[i].len, 1, false, NULL),
                         VIRTIO_BLK_S_IOERR);
    }
    bench_end(t);
}

static void writes_reach_the_files(void **state)
{
    (void)state;
    for (int through = 0; through < 2; through++) {
        struct bench *t = bench_new(false, through ? 0 : FLUSH_DISCARD_ZERO);
        uint8_t got[512], want[512];
        memset(front_at(&t->f, DATA), 'w', 4096);
        memset(want, 'w', sizeof(want));
        /* Sectors 3 to 7: all of b and one of a. The file grows. */
        assert_int_equal(request(t, VIRTIO_BLK_T_OUT, 3, 2560, 5, false, NULL), VIRTIO_BLK_S_OK);
        assert_int_equal(pread_all(t->b, got, 512, 1536), 0);
        assert_memory_equal(got, want, 512);
        assert_int_equal(pread_all(t->a, got, 512, 2048), 0);
        assert_memory_equal(got, want, 512);
        assert_int_equal(pread_all(t->a, got, 1, 2047), 0);
        assert_int_equal(got[0], 'a');
        assert_int_equal(pread_all(t->a, got, 1, 2560), 0);
        assert_int_equal(got[0], 'a');
        assert_int_equal(t->blk.files[0].dirty, !through);
        assert_int_equal(request(t, VIRTIO_BLK_T_FLUSH, 0, 0, 1, false, NULL), VIRTIO_BLK_S_OK);
        assert_false(t->blk.files[0].dirty);
        /* A hole takes nothing. */
        assert_int_equal(request(t, VIRTIO_BLK_T_OUT, 2, 512, 1, false, NULL), VIRTIO_BLK_S_IOERR);
        bench_end(t);
    }
}

static void read_only_disks_are_not_written(void **state)
{
    (void)state;
    struct bench *t = bench_new(true, 1ULL << VIRTIO_BLK_F_RO);
    struct virtio_blk_discard_write_zeroes *r = front_at(&t->f, DATA);
    uint8_t got[512];
    *r = (struct virtio_blk_discard_write_zeroes){.num_sectors = 1};
    static const uint32_t types[] = {VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_DISCARD,
                                     VIRTIO_BLK_T_WRITE_ZEROES};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        assert_int_equal(request(t, types[i], 0, i ? 16 : 512, 1, false, NULL), VIRTIO_BLK_S_IOERR);
    assert_int_equal(pread_all(t->a, got, 512, 100), 0);
    assert_int_equal(got[0], 'a');
    bench_end(t);
}

static void the_serial_is_told(void **state)
{
    (void)state;
    struct bench *t = bench_new(false, FLUSH_DISCARD_ZERO);
    uint32_t used;
    assert_int_equal(request(t, VIRTIO_BLK_T_GET_ID, 0, 20, 1, true, &used), VIRTIO_BLK_S_OK);
    assert_int_equal(used, 21);
    assert_memory_equal(front_at(&t->f, DATA), "disk-1\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    assert_int_equal(request(t, VIRTIO_BLK_T_GET_ID, 0, 19, 1, true, NULL), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(t, 99, 0, 0, 1, true, NULL), VIRTIO_BLK_S_UNSUPP);
    bench_end(t);
}

static uint8_t ranges(struct bench *t, uint32_t type,
                      const struct virtio_blk_discard_write_zeroes *r, size_t n)
{
    memcpy(front_at(&t->f, DATA), r, n * sizeof(*r));
    return request(t, type, 0, (uint32_t)(n * sizeof(*r)), 1, false, NULL);
}

static void ranges_are_zeroed_and_discarded(void **state)
{
    (void)state;
    static const uint32_t types[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
                                     VIRTIO_BLK_T_WRITE_ZEROES};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct bench *t = bench_new(false, FLUSH_DISCARD_ZERO);
        uint32_t flags = i == 2 ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
        struct virtio_blk_discard_write_zeroes r[2] = {{1, 3, flags}, {7, 1, flags}};
        assert_int_equal(ranges(t, types[i], r, 2), VIRTIO_BLK_S_OK);
        assert_int_equal(request(t, VIRTIO_BLK_T_IN, 0, 4096, 1, true, NULL), VIRTIO_BLK_S_OK);
        assert_filled(&t->f, 0, 512, 'a');
        assert_filled(&t->f, 512, 2048, 0);
        assert_filled(&t->f, 2048, 1536 + 1280, 'b');
        assert_filled(&t->f, 3584, 4096, 0);
        bench_end(t);
    }
}

static void hostile_ranges_fail(void **state)
{
    (void)state;
    static const struct {
        struct virtio_blk_discard_write_zeroes r;
        uint8_t discard, zero;
    } rows[] = {
        {{8, 1, 0}, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR},
        {{7, 2, 0}, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR},
        {{0, UINT32_MAX, 0}, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR},
        {{UINT64_MAX, 1, 0}, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR},
        {{0, 1, 1}, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_OK},
        {{0, 1, 2}, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_UNSUPP},
        {{0, 0, 0}, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_OK},
    };
    struct bench *t = bench_new(false, FLUSH_DISCARD_ZERO);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(ranges(t, VIRTIO_BLK_T_DISCARD, &rows[i].r, 1), rows[i].discard);
        assert_int_equal(ranges(t, VIRTIO_BLK_T_WRITE_ZEROES, &rows[i].r, 1), rows[i].zero);
    }
    struct virtio_blk_discard_write_zeroes many[17] = {{0}};
    assert_int_equal(ranges(t, VIRTIO_BLK_T_DISCARD, many, 17), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(t, VIRTIO_BLK_T_DISCARD, 0, 15, 1, false, NULL), VIRTIO_BLK_S_IOERR);
    bench_end(t);
}

/* Header in pieces, status in the same buffer as data, no header, no status: nothing breaks. */
static void odd_layouts_are_understood(void **state)
{
    (void)state;
    struct bench *t = bench_new(false, FLUSH_DISCARD_ZERO);
    struct virtio_blk_outhdr h = {.type = VIRTIO_BLK_T_IN, .sector = 0};
    uint32_t used;
    memcpy(front_at(&t->f, HEADER), &h, sizeof(h));
    const struct front_buf pieces[] = {{HEADER, 3, false},
                                       {HEADER + 3, 10, false},
                                       {HEADER + 13, 3, false},
                                       {DATA, 100, true},
                                       {DATA + 100, 413, true}};
    front_add(&t->f, 0, pieces, 5);
    front_kick(&t->f, 0);
    front_used(&t->f, 0, &used);
    assert_int_equal(used, 513);
    assert_filled(&t->f, 0, 512, 'a');
    assert_filled(&t->f, 512, 513, VIRTIO_BLK_S_OK);
    const struct front_buf no_status[] = {{HEADER, 16, false}};
    front_add(&t->f, 0, no_status, 1);
    front_kick(&t->f, 0);
    front_used(&t->f, 0, &used);
    assert_int_equal(used, 0);
    const struct front_buf short_header[] = {{HEADER, 15, false}, {STATUS, 1, true}};
    front_add(&t->f, 0, short_header, 2);
    front_kick(&t->f, 0);
    front_used(&t->f, 0, &used);
    assert_int_equal(*(uint8_t *)front_at(&t->f, STATUS), VIRTIO_BLK_S_IOERR);
    bench_end(t);
}

static void a_batch_is_one_interrupt(void **state)
{
    (void)state;
    struct bench *t = bench_new(false, FLUSH_DISCARD_ZERO | FRONT_EVENT_IDX);
    struct virtio_blk_outhdr h = {.type = VIRTIO_BLK_T_IN, .sector = 0};
    memcpy(front_at(&t->f, HEADER), &h, sizeof(h));
    const struct front_buf bufs[] = {{HEADER, 16, false}, {DATA, 512, true}, {STATUS, 1, true}};
    for (int i = 0; i < 32; i++)
        front_add(&t->f, 0, bufs, 3);
    front_kick(&t->f, 0);
    for (int i = 0; i < 32; i++)
        front_used(&t->f, 0, NULL);
    /* The first wait may have seen the index before the interrupt came. */
    front_sync(&t->f);
    assert_true(t->f.q[0].used->idx == 32);
    bench_end(t);
}

static void broken_rings_stop_the_device(void **state)
{
    (void)state;
    struct bench *t = bench_new(false, FLUSH_DISCARD_ZERO);
    t->f.q[0].avail_idx = 1000;
    front_kick(&t->f, 0);
    assert_int_equal(front_wait_end(&t->f), -1);
    assert_non_null(strstr(t->f.err.msg, "queue 0: 1000 requests in a ring of 256"));
    blk_free(&t->blk);
    close(t->a);
    close(t->b);
    test_free(t);
}

static void extents_are_parsed(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      ":",
                                      "3",
                                      "3:0",
                                      "3:0:",
                                      "3:0:511",
                                      "3:0:0",
                                      "3:0:512:",
                                      "a:0:512",
                                      "-1:0:512",
                                      "3:-1:512",
                                      "3:0:512 ",
                                      "zero:",
                                      "zero:100",
                                      "zero:0:512",
                                      "3:0:0x200",
                                      "3:0:99999999999999999999999",
                                      "3:9223372036854775807:512",
                                      "99999999999:0:512",
                                      "zero:9223372036854775808"};
    struct blk_extent_spec s;
    struct err err;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (!blk_extent_parse(bad[i], &s, &err))
            fail_msg("\"%s\" was accepted", bad[i]);
    }
    assert_int_equal(blk_extent_parse("3:100:1024", &s, &err), 0);
    assert_int_equal(s.fd, 3);
    assert_int_equal(s.offset, 100);
    assert_int_equal(s.length, 1024);
    assert_int_equal(blk_extent_parse("zero:512", &s, &err), 0);
    assert_int_equal(s.fd, -1);
}

static void bad_files_are_refused(void **state)
{
    (void)state;
    struct blk b = {0};
    struct err err;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int fd = file_of(512, 'x');
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int ro = open(path, O_RDONLY | O_CLOEXEC), wo = open(path, O_WRONLY | O_CLOEXEC);
    const struct blk_extent_spec bad[] = {
        {ends[0], 0, 512}, {ro, 0, 512}, {wo, 0, 512}, {9999, 0, 512}};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(blk_add_extent(&b, &bad[i], &err), -1);
    assert_int_equal(blk_init(&b, 1, &err), -1);
    const struct blk_extent_spec large = {-1, 0, INT64_MAX - 511};
    assert_int_equal(blk_add_extent(&b, &large, &err), 0);
    assert_int_equal(blk_add_extent(&b, &large, &err), -1);
    b.read_only = true;
    const struct blk_extent_spec good = {ro, 0, 512};
    assert_int_equal(blk_add_extent(&b, &good, &err), -1); /* no room behind the first */
    free(b.extents);
    free(b.files);
    close(ro);
    close(wo);
    close(fd);
    close(ends[0]);
    close(ends[1]);
}

/* Thousands of extents of one sector in reverse order of the file. */
static void many_extents_are_found(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct blk b = {.read_only = true};
    struct err err;
    cleanup_close int fd = memfd_create("disk", MFD_CLOEXEC);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t sector[128];
        for (size_t k = 0; k < 128; k++)
            sector[k] = i;
        assert_int_equal(pwrite_all(fd, sector, sizeof(sector), i * 512), 0);
    }
    for (uint32_t i = 0; i < N; i++) {
        const struct blk_extent_spec s = {fd, (N - 1 - i) * 512, 512};
        assert_int_equal(blk_add_extent(&b, &s, &err), 0);
    }
    assert_int_equal(b.nfiles, 1);
    uint32_t *all = test_malloc((size_t)N * 512);
    struct iovec v[3] = {
        {all, 700}, {(char *)all + 700, 12345}, {(char *)all + 13045, N * 512 - 13045}};
    assert_int_equal(blk_read(&b, (struct iovs){v, 3, (size_t)N * 512}, 0), 0);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(all[i * 128 + 5], N - 1 - i);
    test_free(all);
    free(b.extents);
    free(b.files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_cross_extents),
        cmocka_unit_test(ranges_outside_the_disk_fail),
        cmocka_unit_test(writes_reach_the_files),
        cmocka_unit_test(read_only_disks_are_not_written),
        cmocka_unit_test(the_serial_is_told),
        cmocka_unit_test(ranges_are_zeroed_and_discarded),
        cmocka_unit_test(hostile_ranges_fail),
        cmocka_unit_test(odd_layouts_are_understood),
        cmocka_unit_test(a_batch_is_one_interrupt),
        cmocka_unit_test(broken_rings_stop_the_device),
        cmocka_unit_test(extents_are_parsed),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(many_extents_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
