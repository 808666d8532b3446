/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks of sparse files, the index's frame, and extraction. tests/image has the large truth test.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "host/image/erofs-plan.h"
#include "host/image/extract.h"
#include "tests/unit/image/mktar.h"

/* A small generator, so that a failure can be run again. */
static uint32_t seed;

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* Pieces at random places, mostly aligned. */
static void random_file(struct tree_inode *i, struct tree_extent *e)
{
    uint64_t at = 0, tar = 512;
    i->nextents = random_below(6);
    i->extents = e;
    for (uint32_t k = 0; k < i->nextents; k++) {
        bool odd = random_below(4) == 0;
        at += odd ? random_below(5000) : 512 * random_below(20);
        e[k].file_off = at;
        e[k].tar_off = tar;
        e[k].len = 1 + (odd ? random_below(3000) : 512 * (1 + random_below(30)) - 1);
        at += e[k].len;
        tar += e[k].len + (random_below(3) ? 0 : 512) + (random_below(5) ? 0 : 7);
    }
    i->size = at + (random_below(2) ? 0 : random_below(100000));
    i->size += i->size == 0;
}

/* The walk agrees with a byte by byte look, and with what was counted beforehand. */
static void check_chunks(const struct tree_inode *i)
{
    uint8_t bits;
    uint64_t blocks = 0, copied = 0, at = 0;
    bool uses = false, used = false;
    enum erofs_chunk_kind kind;
    erofs_chunk_choose(i, &bits, &blocks, &uses);
    struct erofs_chunk_walk w = {.inode = i, .bits = bits};
    while (erofs_chunk_next(&w, &kind)) {
        assert_int_equal(w.chunk_off, at);
        at += w.chunk_len;
        used |= kind == EROFS_CHUNK_TAR;
        if (kind == EROFS_CHUNK_COPY)
            copied += (w.chunk_len + 511) / 512;
        for (uint32_t k = 0; k < i->nextents; k++) {
            const struct tree_extent *e = &i->extents[k];
            if (e->file_off + e->len <= w.chunk_off || e->file_off >= w.chunk_off + w.chunk_len)
                continue;
            assert_int_not_equal(kind, EROFS_CHUNK_HOLE);
            if (kind == EROFS_CHUNK_COPY)
                continue;
            assert_true(e->file_off <= w.chunk_off);
            assert_true(e->file_off + e->len >= w.chunk_off + w.chunk_len);
            assert_int_equal(w.tar_off, e->tar_off + (w.chunk_off - e->file_off));
            assert_int_equal(w.tar_off % 512, 0);
        }
    }
    assert_int_equal(at, i->size);
    assert_int_equal(copied, blocks);
    assert_int_equal(used, uses);
}

static void test_chunks(void **state)
{
    (void)state;
    for (seed = 1; seed < 3000000; seed += 997) {
        struct tree_extent e[6];
        struct tree_inode i = {.mode = S_IFREG};
        uint32_t begin = seed;
        random_file(&i, e);
        check_chunks(&i);
        seed = begin;
    }
}

static void test_huge_files_have_small_maps(void **state)
{
    (void)state;
    uint8_t bits;
    uint64_t blocks;
    bool uses;
    struct tree_extent e = {.file_off = (1ull << 42) + 4096, .tar_off = 1024, .len = 4096};
    struct tree_inode i = {.mode = S_IFREG, .size = TREE_FILE_MAX, .extents = &e, .nextents = 1};
    erofs_chunk_choose(&i, &bits, &blocks, &uses);
    assert_true(4 * (i.size >> (bits + 9)) + blocks * 512 <= 32u << 20);
    i.nextents = 0;
    erofs_chunk_choose(&i, &bits, &blocks, &uses);
    assert_true(i.size >> (bits + 9) <= 16 && blocks == 0 && !uses);
    struct tree_extent all = {.tar_off = 512, .len = TREE_FILE_MAX};
    i.extents = &all;
    i.nextents = 1;
    assert_true(erofs_is_flat(&i));
}

static struct render *render_one(struct tree *t)
{
    struct err err;
    struct render *r;
    const struct render_layer layer = {.tree = t};
    if (render_compose(&layer, 1, &r, &err) < 0)
        fail_msg("%s", err.msg);
    return r;
}

/* Only blobs that something points into are part of the device. */
static void test_parts(void **state)
{
    (void)state;
    struct mktar *a = mktar_new("pax", false), *b = mktar_new("pax", false);
    mktar_add(a, "rootfs/f", '-', 0644, "below");
    mktar_add(b, "rootfs/f", '-', 0644, "above");
    struct tree *ta = mktar_tree(a), *tb = mktar_tree(b);
    const struct render_layer layers[] = {{.tree = ta, .blob = 0}, {.tree = tb, .blob = 1}};
    struct err err;
    struct render *r;
    struct erofs_index x;
    assert_int_equal(render_compose(layers, 2, &r, &err), 0);
    cleanup_close int fd = memfd_create("index", MFD_CLOEXEC);
    assert_int_equal(erofs_write(r, fd, &x, &err), 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, x.length);
    assert_int_equal(x.length % EROFS_INDEX_ALIGN, 0);
    assert_int_equal(x.nparts, 1);
    assert_int_equal(x.parts[0].blob, 1);
    assert_int_equal(x.parts[0].offset, x.length);
    assert_true(x.parts[0].length >= tb->tar_len && x.parts[0].length % EROFS_INDEX_ALIGN == 0);
    assert_int_equal(x.total, x.length + x.parts[0].length);
    erofs_index_done(&x);
    render_free(r);
    tree_free(ta);
    tree_free(tb);
    mktar_free(a);
    mktar_free(b);
}

static void test_write_error_is_told(void **state)
{
    (void)state;
    struct mktar *m = mktar_new("pax", false);
    struct tree *t = mktar_tree(m);
    struct render *r = render_one(t);
    struct erofs_index x = {0};
    struct err err;
    cleanup_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(erofs_write(r, fd, &x, &err), -1);
    assert_non_null(strstr(err.msg, "can't write"));
    assert_null(x.parts);
    render_free(r);
    tree_free(t);
    mktar_free(m);
}

static void count_calls(void *arg, const struct extract_progress *p)
{
    struct extract_progress *last = arg;
    assert_true(p->entries <= p->entries_total && p->bytes <= p->bytes_total);
    *last = *p;
}

static void test_extract(void **state)
{
    (void)state;
    struct mktar *m = mktar_new("pax", false);
    mktar_add(m, "rootfs/closed", 'd', 0500, NULL);
    mktar_add(m, "rootfs/closed/f", '-', 0640, "text");
    mktar_add(m, "rootfs/z", 'h', 0, "rootfs/closed/f");
    mktar_add(m, "rootfs/l", 'l', 0777, "/etc/passwd");
    mktar_add(m, "rootfs/null", 'c', 0666, NULL);
    struct tree *t = mktar_tree(m);
    struct render *r = render_one(t);
    char dir[] = "/tmp/appc-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct extract_progress last = {0};
    struct extract_report rep;
    struct err err;
    const struct extract_options opt = {
        .unprivileged = true, .progress = count_calls, .arg = &last};
    if (extract_render(r, fd, &opt, &rep, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(last.entries, 5);
    assert_int_equal(last.bytes, 4);
    assert_int_equal(rep.skipped_devices, 1);
    cleanup_free char *text = extract_report_text(&rep);
    assert_non_null(strstr(text, "1 devices"));
    struct stat f, z;
    assert_int_equal(fstatat(fd, "closed/f", &f, 0), 0);
    assert_int_equal(fstatat(fd, "z", &z, 0), 0);
    assert_int_equal(f.st_ino, z.st_ino);
    assert_int_equal(f.st_mode, S_IFREG | 0640);
    assert_int_equal(f.st_mtime, 1000);
    assert_int_equal(fstatat(fd, "closed", &z, 0), 0);
    assert_int_equal(z.st_mode, S_IFDIR | 0500);
    assert_int_equal(z.st_mtime, 1000);
    assert_int_equal(extract_render(r, fd, &opt, &rep, &err), -1);
    assert_non_null(strstr(err.msg, "can't extract over"));
    fchmodat(fd, "closed", 0700, 0);
    unlinkat(fd, "closed/f", 0);
    unlinkat(fd, "closed", AT_REMOVEDIR);
    unlinkat(fd, "z", 0);
    unlinkat(fd, "l", 0);
    assert_int_equal(rmdir(dir), 0);
    render_free(r);
    tree_free(t);
    mktar_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),  cmocka_unit_test(test_huge_files_have_small_maps),
        cmocka_unit_test(test_parts),   cmocka_unit_test(test_write_error_is_told),
        cmocka_unit_test(test_extract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
