/* SPDX-License-Identifier: Apache-2.0 */
/* Archives: magic numbers, image IDs, tar headers, runs of zeros, times, references, unpacking. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/aci.h"
#include "host/image/build.h"
#include "host/image/build_sparse.h"
#include "host/image/build_tar.h"
#include "host/image/imgref.h"
#include "host/image/import_unpack.h"

static enum aci_kind sniff(const void *data, size_t len, enum aci_compress *compress)
{
    return aci_sniff(data, len, compress);
}

static void test_sniff(void **state)
{
    (void)state;
    enum aci_compress c;
    char tar[ACI_SNIFF_LEN] = {0};
    memcpy(tar + 257, "ustar", 5);
    assert_int_equal(sniff(tar, sizeof(tar), &c), ACI_KIND_TAR);
    assert_int_equal(sniff(tar, 261, &c), ACI_KIND_OTHER);
    assert_int_equal(sniff("\x1f\x8b", 2, &c), ACI_KIND_COMPRESSED);
    assert_int_equal(c, ACI_GZIP);
    assert_int_equal(sniff("BZh9", 4, &c), ACI_KIND_COMPRESSED);
    assert_int_equal(c, ACI_BZIP2);
    assert_int_equal(sniff("\xfd"
                           "7zXZ\0",
                           6, &c),
                     ACI_KIND_COMPRESSED);
    assert_int_equal(c, ACI_XZ);
    assert_int_equal(sniff("\x28\xb5\x2f\xfd", 4, &c), ACI_KIND_COMPRESSED);
    assert_int_equal(c, ACI_ZSTD);
    assert_int_equal(sniff("\x8c\x0d\x04\x09", 4, &c), ACI_KIND_ENCRYPTED);
    assert_int_equal(sniff("\xc3\x0d\x04\x09", 4, &c), ACI_KIND_ENCRYPTED);
    assert_int_equal(sniff("\x85\x01\x0c\x03", 4, &c), ACI_KIND_ENCRYPTED);
    assert_int_equal(sniff("", 0, &c), ACI_KIND_OTHER);
    assert_int_equal(sniff("\x1f", 1, &c), ACI_KIND_OTHER);
}

static void test_ids(void **state)
{
    (void)state;
    struct aci_id id;
    uint8_t digest[ACI_DIGEST_LEN];
    memset(digest, 0xa5, sizeof(digest));
    aci_id_set(&id, digest);
    assert_int_equal(strlen(id.text), ACI_ID_LEN);
    assert_true(aci_id_valid(id.text));
    id.text[ACI_ID_LEN - 1] = 'g';
    assert_false(aci_id_valid(id.text));
    id.text[ACI_ID_LEN - 1] = '\0';
    assert_false(aci_id_valid(id.text));
    assert_true(aci_id_is_prefix(id.text));
    assert_false(aci_id_is_prefix("sha512-"));
    assert_false(aci_id_is_prefix("sha256-a5"));
    assert_false(aci_id_is_prefix("sha512-A5"));
}

/* The length counts its own digits, also where it gets one more by that. */
static void test_pax_record_lengths(void **state)
{
    (void)state;
    char value[1100];
    memset(value, 'v', sizeof(value));
    for (size_t len = 0; len < sizeof(value); len++) {
        cleanup_with(buf_free) struct buf b = {0};
        tar_pax_record(&b, "k", value, len);
        assert_int_equal(strtoul(b.data, NULL, 10), b.len);
        assert_int_equal(b.data[b.len - 1], '\n');
    }
}

static void test_tar_header(void **state)
{
    (void)state;
    cleanup_with(buf_free) struct buf b = {0};
    struct tar_entry e = {
        .type = TAR_FILE, .path = "rootfs/f", .mode = 0755, .size = 5, .mtime = 1};
    tar_header(&b, &e);
    assert_int_equal(b.len, ACI_TAR_BLOCK);
    assert_string_equal(b.data, "rootfs/f");
    assert_memory_equal(b.data + 257, "ustar\00000", 8);
    assert_string_equal(b.data + 124, "00000000005");
    unsigned sum = 0;
    for (size_t i = 0; i < ACI_TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)b.data[i];
    assert_int_equal(strtoul(b.data + 148, NULL, 8), sum);
    assert_int_equal(tar_padding(0), 0);
    assert_int_equal(tar_padding(1), 511);
    assert_int_equal(tar_padding(512), 0);
}

/* What does not fit the ustar fields goes to pax records. */
static void test_tar_header_extremes(void **state)
{
    (void)state;
    cleanup_with(buf_free) struct buf b = {0};
    struct tar_entry e = {.type = TAR_FILE,
                          .path = "rootfs/\xc3\xa4",
                          .uid = 3000000,
                          .size = 1ull << 40,
                          .mtime = -2,
                          .mtime_nsec = 500000000};
    tar_header(&b, &e);
    assert_int_equal(b.len, 3 * ACI_TAR_BLOCK);
    assert_int_equal(b.data[156], 'x');
    const char *records = b.data + ACI_TAR_BLOCK;
    assert_non_null(strstr(records, " path=rootfs/\xc3\xa4\n"));
    assert_non_null(strstr(records, " uid=3000000\n"));
    assert_non_null(strstr(records, " size=1099511627776\n"));
    assert_non_null(strstr(records, " mtime=-1.5\n"));
}

static int file_of(const void *data, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, data, len), 0);
    return fd;
}

/* All runs that are longer than the limit, and only those, are left out; by content alone. */
static void check_pieces(char *data, size_t size, const struct tar_piece *want, size_t n)
{
    for (int holes = 0; holes < 2; holes++) {
        cleanup_close int fd = file_of(data, size);
        cleanup_free struct tar_piece *got = NULL;
        size_t got_n;
        for (size_t at = 0; holes && at + SPARSE_BLOCK <= size; at += SPARSE_BLOCK)
            if (memcmp(data + at, data + at + 1, SPARSE_BLOCK - 1) == 0 && data[at] == 0)
                assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                           (off_t)at, SPARSE_BLOCK),
                                 0);
        assert_int_equal(sparse_scan(fd, size, &got, &got_n), 0);
        assert_int_equal(got_n, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(got[i].offset, want[i].offset);
            assert_int_equal(got[i].len, want[i].len);
        }
    }
}

static void test_sparse_scan(void **state)
{
    (void)state;
    size_t size = 1000001;
    cleanup_free char *data = xcalloc(1, size);
    check_pieces(data, 65535, NULL, 0);
    check_pieces(data, size, (struct tar_piece[]){{size, 0}}, 1);
    data[size - 1] = 'x';
    check_pieces(data, size, (struct tar_piece[]){{999424, size - 999424}}, 1);
    data[0] = 'x';
    check_pieces(data, size, (struct tar_piece[]){{0, 4096}, {999424, size - 999424}}, 2);
    data[size - 1] = 0;
    check_pieces(data, size, (struct tar_piece[]){{0, 4096}, {size, 0}}, 2);
    /* A short run of zeros stays data: 60 KiB between the two. */
    data[4096 * 16] = 'x';
    check_pieces(data, size, (struct tar_piece[]){{0, 4096 * 17}, {size, 0}}, 2);
    data[4096 * 16] = 0;
    data[4096 * 17] = 'x';
    check_pieces(data, size, (struct tar_piece[]){{0, 4096}, {4096 * 17, 4096}, {size, 0}}, 3);
    memset(data, 'x', size);
    check_pieces(data, size, NULL, 0);
}

static void test_time(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {
        {"0", 0},
        {"-1", -1},
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T01:30:00+01:30", 0},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2000-02-29T12:00:00-00:01", 951825660},
    };
    static const char *const bad[] = {"",
                                      "-",
                                      "1x",
                                      "2001-02-29T00:00:00Z",
                                      "1970-01-01t00:00:00Z",
                                      "1970-01-01T00:00:60Z",
                                      "99999999999999999999"};
    int64_t t;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(build_parse_time(good[i].text, &t), 0);
        assert_int_equal(t, good[i].seconds);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(build_parse_time(bad[i], &t), -1);
}

static void test_references(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum imgref_kind kind;
        const char *value;
    } good[] = {
        {"/a/b", IMGREF_FILE, "/a/b"},
        {"./a", IMGREF_FILE, "./a"},
        {"../a", IMGREF_FILE, "../a"},
        {"a.aci", IMGREF_FILE, "a.aci"},
        {"file:///a/b", IMGREF_FILE, "/a/b"},
        {"https://example.com/a.aci", IMGREF_URL, "https://example.com/a.aci"},
        {"/a://b", IMGREF_FILE, "/a://b"},
        {"https://example.com/a", IMGREF_URL, "https://example.com/a"},
        {"sha512-AbC", IMGREF_ID, "sha512-abc"},
        {"example.com/a", IMGREF_NAME, "example.com/a"},
        {"example.com/a:1.0.0,os=linux", IMGREF_NAME, "example.com/a"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        cleanup_with(imgref_done) struct imgref r = {0};
        struct err err;
        assert_int_equal(imgref_parse(good[i].text, &r, &err), 0);
        assert_int_equal(r.kind, good[i].kind);
        assert_string_equal(r.text, good[i].value);
    }
    static const char *const bad[] = {"", "sha512-", "sha512-xy", "A", "a..b", "a:b:c", "a,b"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct imgref r;
        struct err err;
        assert_int_equal(imgref_parse(bad[i], &r, &err), -1);
    }
}

static struct ac_pairs labels_of(struct ac_pair *v, const char *version, const char *os)
{
    struct ac_pairs p = {.v = v};
    if (version)
        v[p.n++] = (struct ac_pair){(char *)"version", (char *)version};
    if (os)
        v[p.n++] = (struct ac_pair){(char *)"os", (char *)os};
    return p;
}

/* Runs here, then semantic version, then time of import. */
static void test_better(void **state)
{
    (void)state;
    static const struct {
        const char *version_a, *os_a;
        int64_t time_a;
        const char *version_b, *os_b;
        int64_t time_b;
        int want;
    } rows[] = {
        {"1.10.0", NULL, 1, "1.9.0", NULL, 2, 1},
        {"1.0.0-rc.1", NULL, 2, "1.0.0", NULL, 1, -1},
        {"1.0.0", NULL, 2, "1.0.0", NULL, 1, 1},
        {"latest", NULL, 2, "0.0.1", NULL, 1, -1},
        {NULL, NULL, 1, "latest", NULL, 2, -1},
        {"1.0.0", "linux", 1, "9.0.0", "freebsd", 2, 1},
        {"1.0.0", NULL, 1, "9.0.0", "freebsd", 2, 1},
        {"1.0.0", NULL, 1, "1.0.0", NULL, 1, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ac_pair va[2], vb[2];
        struct ac_pairs a = labels_of(va, rows[i].version_a, rows[i].os_a);
        struct ac_pairs b = labels_of(vb, rows[i].version_b, rows[i].os_b);
        int forth = imgref_better(&a, rows[i].time_a, &b, rows[i].time_b);
        int back = imgref_better(&b, rows[i].time_b, &a, rows[i].time_a);
        assert_int_equal((forth > 0) - (forth < 0), rows[i].want);
        assert_int_equal((back > 0) - (back < 0), -rows[i].want);
    }
}

/* A tar by its magic alone: unpacking does not look further. */
static char *fake_tar(size_t len)
{
    char *data = xcalloc(1, len);
    for (size_t i = ACI_TAR_BLOCK; i < len; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    memcpy(data + 257, "ustar", 5);
    return data;
}

/* Lengths around the sizes of slots and of the ring. */
static void test_unpack_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = {ACI_TAR_BLOCK, 262143,  262144, 262145,
                                     2097152,       2097153, 5000000};
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        cleanup_free char *data = fake_tar(lengths[i]);
        cleanup_close int in = file_of(data, lengths[i]);
        cleanup_close int out = file_of("", 0);
        cleanup_free char *back = xmalloc(lengths[i] + 1);
        struct unpack_result r;
        struct err err;
        assert_int_equal(import_unpack(in, "t", out, &(struct unpack_options){0}, &r, &err), 0);
        assert_int_equal(r.tar_bytes, lengths[i]);
        assert_int_equal(r.archive_bytes, lengths[i]);
        assert_int_equal(r.compress, ACI_NONE);
        assert_true(aci_id_valid(r.id.text));
        assert_int_equal(pread(out, back, lengths[i] + 1, 0), (ssize_t)lengths[i]);
        assert_memory_equal(back, data, lengths[i]);
    }
}

static void test_unpack_id(void **state)
{
    (void)state;
    /* 512 zero bytes with "ustar" at 257, hashed with another tool. */
    cleanup_free char *data = fake_tar(ACI_TAR_BLOCK);
    cleanup_close int in = file_of(data, ACI_TAR_BLOCK);
    cleanup_close int out = file_of("", 0);
    struct unpack_result r;
    struct err err;
    assert_int_equal(import_unpack(in, "t", out, &(struct unpack_options){0}, &r, &err), 0);
    assert_string_equal(r.id.text,
                        "sha512-0220885001dfd7382e0c7d35d93981c064106782beafe81f99e989cc022d3472"
                        "f972570cc53d5c46cc7726335b676db9c8f25511a61551113de1d00c668a002e");
}

static void test_unpack_limits_and_full_disk(void **state)
{
    (void)state;
    size_t len = 6000000;
    cleanup_free char *data = fake_tar(len);
    cleanup_close int in = file_of(data, len);
    cleanup_close int out = file_of("", 0);
    cleanup_close int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct unpack_result r;
    struct err err;
    assert_int_equal(
        import_unpack(in, "t", out, &(struct unpack_options){.max_bytes = len - 1}, &r, &err), -1);
    assert_non_null(strstr(err.msg, "--max-size"));
    assert_int_equal(
        import_unpack(in, "t", out, &(struct unpack_options){.max_bytes = len}, &r, &err), 0);
    assert_true(full >= 0);
    assert_int_equal(import_unpack(in, "t", full, &(struct unpack_options){0}, &r, &err), -1);
    assert_non_null(strstr(err.msg, "can't store t"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sniff),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_pax_record_lengths),
        cmocka_unit_test(test_tar_header),
        cmocka_unit_test(test_tar_header_extremes),
        cmocka_unit_test(test_sparse_scan),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_better),
        cmocka_unit_test(test_unpack_lengths),
        cmocka_unit_test(test_unpack_id),
        cmocka_unit_test(test_unpack_limits_and_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
