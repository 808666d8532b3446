/* SPDX-License-Identifier: Apache-2.0 */
/* tree_read(): the layout rules of an image, hard links, names, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/unit/image/mktar.h"

static struct tree_node *must_find(struct tree *t, const char *path)
{
    struct tree_node *n = tree_lookup(t->root, path);
    if (!n)
        fail_msg("%s is not in the tree", path);
    return n;
}

static void check_data(const struct tree *t, const struct tree_inode *i, const char *text)
{
    assert_int_equal(i->size, strlen(text));
    assert_int_equal(i->nextents, 1);
    assert_int_equal(i->extents[0].tar_off % 512, 0);
    assert_memory_equal(t->tar + i->extents[0].tar_off, text, i->size);
}

static void test_reads_all_kinds(void **state)
{
    (void)state;
    static const char *const formats[] = {"pax", "gnutar", "ustar"};
    for (size_t k = 0; k < ARRAY_SIZE(formats); k++) {
        struct mktar *m = mktar_new(formats[k], false);
        mktar_add(m, "rootfs/bin", 'd', 0711, NULL);
        mktar_add(m, "rootfs/bin/sh", '-', 04755, "#!");
        mktar_add(m, "rootfs/link", 'l', 0777, "bin/sh");
        mktar_add(m, "rootfs/null", 'c', 0666, NULL);
        mktar_add(m, "rootfs/pipe", 'p', 0600, NULL);
        mktar_add(m, "rootfs/empty", '-', 0, "");
        struct tree *t = mktar_tree(m);
        assert_int_equal(t->nnodes, 7);
        assert_memory_equal(t->tar + t->manifest_off, "{}", 2);
        assert_int_equal(t->manifest_len, 2);
        check_data(t, must_find(t, "/bin/sh")->inode, "#!");
        assert_int_equal(must_find(t, "bin/sh")->inode->mode, S_IFREG | 04755);
        assert_int_equal(must_find(t, "/bin/")->inode->mode, S_IFDIR | 0711);
        assert_string_equal(must_find(t, "/link")->inode->link, "bin/sh");
        assert_int_equal(must_find(t, "/null")->inode->mode, S_IFCHR | 0666);
        assert_int_equal(must_find(t, "/pipe")->inode->mode, S_IFIFO | 0600);
        assert_int_equal(must_find(t, "/empty")->inode->nextents, 0);
        assert_int_equal(must_find(t, "/empty")->inode->mtime, 1000);
        assert_int_equal(t->root->inode->nlink, 3);
        tree_free(t);
        mktar_free(m);
    }
}

static void test_order_is_by_bytes(void **state)
{
    (void)state;
    static const char *const want[] = {"/", "/a", "/a/x", "/a.b", "/b", "/\303\244"};
    struct mktar *m = mktar_new("pax", false);
    mktar_add(m, "rootfs/\303\244", '-', 0644, "");
    mktar_add(m, "rootfs/b", '-', 0644, "");
    mktar_add(m, "rootfs/a.b", '-', 0644, "");
    mktar_add(m, "rootfs/a/x", '-', 0644, "");
    struct tree *t = mktar_tree(m);
    size_t k = 0;
    for (struct tree_node *n = t->root; n; n = tree_next(t->root, n)) {
        struct buf path = {0};
        tree_path(n, &path);
        assert_string_equal(path.data, want[k++]);
        buf_free(&path);
    }
    assert_int_equal(k, ARRAY_SIZE(want));
    assert_true(must_find(t, "/a")->implied);
    assert_string_equal(tree_skip(t->root, must_find(t, "/a"))->name, "a.b");
    tree_free(t);
    mktar_free(m);
}

static void test_lookup_is_lexical(void **state)
{
    (void)state;
    struct mktar *m = mktar_new("pax", false);
    mktar_add(m, "rootfs/a/b", '-', 0644, "");
    mktar_add(m, "rootfs/l", 'l', 0777, "a");
    struct tree *t = mktar_tree(m);
    struct tree_node *b = must_find(t, "/a/b");
    assert_ptr_equal(tree_lookup(t->root, "//a/./x/../b/"), b);
    assert_ptr_equal(tree_lookup(t->root, "none/../a/b"), b);
    assert_null(tree_lookup(t->root, "/l/b"));
    assert_null(tree_lookup(t->root, "/../a/b"));
    assert_null(tree_lookup(t->root, "/a/b/c"));
    assert_ptr_equal(tree_lookup(t->root, "/"), t->root);
    assert_ptr_equal(tree_lookup(t->root, "/a/.."), t->root);
    tree_free(t);
    mktar_free(m);
}

/* IMG-08: names are cleaned, the order is free, an entry for a directory may come late. */
static void test_cleans_names(void **state)
{
    (void)state;
    struct mktar *m = mktar_new("pax", true);
    mktar_add(m, "./rootfs/d/f", '-', 0644, "f");
    mktar_add(m, ".", 'd', 0755, NULL);
    mktar_add(m, "./rootfs//d/", 'd', 0700, NULL);
    mktar_add(m, "rootfs/x/../y", '-', 0644, "y");
    mktar_add(m, "./rootfs/", 'd', 0750, NULL);
    mktar_add(m, "./manifest", '-', 0644, "{ }");
    struct tree *t = mktar_tree(m);
    assert_int_equal(t->root->inode->mode, S_IFDIR | 0750);
    assert_int_equal(must_find(t, "/d")->inode->mode, S_IFDIR | 0700);
    assert_false(must_find(t, "/d")->implied);
    must_find(t, "/y");
    assert_null(tree_lookup(t->root, "/x"));
    tree_free(t);
    mktar_free(m);
}

static void test_hardlinks(void **state)
{
    (void)state;
    struct mktar *m = mktar_new("pax", false);
    mktar_add(m, "rootfs/a", 'h', 0, "rootfs/b");
    mktar_add(m, "rootfs/b", 'h', 0, "./rootfs/d/../d/c");
    mktar_add(m, "rootfs/d/c", '-', 0600, "data");
    mktar_add(m, "rootfs/e", 'h', 0, "rootfs/a");
    mktar_add(m, "rootfs/s", 'l', 0777, "to");
    mktar_add(m, "rootfs/t", 'h', 0, "rootfs/s");
    struct tree *t = mktar_tree(m);
    struct tree_inode *i = must_find(t, "/d/c")->inode;
    assert_int_equal(i->nlink, 4);
    assert_ptr_equal(must_find(t, "/a")->inode, i);
    assert_ptr_equal(must_find(t, "/b")->inode, i);
    assert_ptr_equal(must_find(t, "/e")->inode, i);
    assert_int_equal(must_find(t, "/t")->inode->nlink, 2);
    assert_int_equal(t->ninodes, t->nnodes - 4);
    tree_free(t);
    mktar_free(m);
}

static void test_long_chain_of_hardlinks(void **state)
{
    (void)state;
    struct mktar *m = mktar_new("pax", false);
    char name[64], target[64];
    for (int k = 20000; k > 0; k--) {
        snprintf(name, sizeof(name), "rootfs/l%d", k);
        snprintf(target, sizeof(target), "rootfs/l%d", k - 1);
        mktar_add(m, name, 'h', 0, target);
    }
    mktar_add(m, "rootfs/l0", '-', 0644, "end");
    struct tree *t = mktar_tree(m);
    assert_int_equal(must_find(t, "/l20000")->inode->nlink, 20001);
    tree_free(t);
    mktar_free(m);
}

static void test_sparse(void **state)
{
    (void)state;
    static const uint64_t at[] = {8192, 65536, UINT64_MAX};
    struct mktar *m = mktar_new("pax", false);
    mktar_sparse(m, "rootfs/s", 1 << 20, at, 4096);
    struct tree *t = mktar_tree(m);
    const struct tree_inode *i = must_find(t, "/s")->inode;
    assert_int_equal(i->size, 1 << 20);
    assert_int_equal(i->nextents, 2);
    assert_int_equal(i->extents[0].file_off, 8192);
    assert_int_equal(i->extents[1].file_off, 65536);
    assert_int_equal(i->extents[1].len, 4096);
    assert_int_equal(t->tar[i->extents[1].tar_off], 'x');
    tree_free(t);
    mktar_free(m);
}

/* What is refused, and what the message must say. */
static const struct refused {
    const char *says;
    const char *name1;
    char type1;
    const char *text1;
    const char *name2;
    char type2;
    const char *text2;
} refused[] = {
    {"occurs twice", "rootfs/a", '-', "1", "rootfs/./a", '-', "2"},    /* IMG-03 */
    {"occurs twice", "rootfs/a", 'd', NULL, "rootfs/a/", 'd', NULL},   /* IMG-04 */
    {"occurs twice", "rootfs/", 'd', NULL, NULL, 0, NULL},             /* IMG-04 */
    {"occurs twice", "./manifest", '-', "{}", NULL, 0, NULL},          /* IMG-04 */
    {"at the top", "README", '-', "x", NULL, 0, NULL},                 /* IMG-05 */
    {"at the top", "manifest/x", '-', "x", NULL, 0, NULL},             /* IMG-05 */
    {"at the top", "rootfsX/a", '-', "x", NULL, 0, NULL},              /* IMG-10 */
    {"at the top", "rootfs/../x", '-', "x", NULL, 0, NULL},            /* IMG-09 */
    {"leaves the archive", "../x", '-', "x", NULL, 0, NULL},           /* IMG-09 */
    {"leaves the archive", "rootfs/../../x", '-', "x", NULL, 0, NULL}, /* IMG-09 */
    {"absolute", "/rootfs/x", '-', "x", NULL, 0, NULL},                /* IMG-09 */
    {"not a directory", "rootfs/f", '-', "x", "rootfs/f/g", '-', "y"},
    {"not a directory", "rootfs/l", 'l', "/etc", "rootfs/l/passwd", '-', "y"}, /* RENDER-24 */
    {"not a directory", "rootfs/h", 'h', "rootfs/d", "rootfs/h/g", '-', "y"},
    {"not a directory", "rootfs/f/g", '-', "x", "rootfs/f", '-', "y"},
    {"outside rootfs", "rootfs/h", 'h', "manifest", NULL, 0, NULL},
    {"leaves the archive", "rootfs/h", 'h', "../etc/passwd", NULL, 0, NULL},
    {"absolute", "rootfs/h", 'h', "/etc/passwd", NULL, 0, NULL},
    {"no such entry", "rootfs/h", 'h', "rootfs/none", NULL, 0, NULL},
    {"directory", "rootfs/d", 'd', NULL, "rootfs/h", 'h', "rootfs/d"},
    {"outside rootfs", "rootfs/h", 'h', "rootfs", NULL, 0, NULL},
    {"circle", "rootfs/h", 'h', "rootfs/h", NULL, 0, NULL},
    {"circle", "rootfs/h", 'h', "rootfs/i", "rootfs/i", 'h', "rootfs/h"},
};

static void test_refuses(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(refused); k++) {
        const struct refused *r = &refused[k];
        struct mktar *m = mktar_new("pax", false);
        mktar_add(m, r->name1, r->type1, 0644, r->text1);
        if (r->name2)
            mktar_add(m, r->name2, r->type2, 0644, r->text2);
        const char *msg = mktar_fault(m);
        if (!strstr(msg, r->says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", k, msg, r->says);
        mktar_free(m);
    }
}

static void check_bare(const char *says, const char *name, char type, const char *text)
{
    struct mktar *m = mktar_new("pax", true);
    mktar_add(m, name, type, 0755, text);
    const char *msg = mktar_fault(m);
    if (!strstr(msg, says))
        fail_msg("\"%s\" does not say \"%s\"", msg, says);
    mktar_free(m);
}

/* IMG-06, IMG-07 */
static void test_refuses_wrong_tops(void **state)
{
    (void)state;
    check_bare("regular file", "manifest", 'd', NULL);
    check_bare("regular file", "manifest", 'l', "x");
    check_bare("regular file", "manifest", 'h', "rootfs/x");
    check_bare("no entry for the directory rootfs", "manifest", '-', "{}");
    check_bare("no manifest", "rootfs", 'd', NULL);
    check_bare("must be a directory", "rootfs", '-', "x");
    check_bare("must be a directory", "rootfs", 'l', "/");
}

static void test_refuses_what_is_no_tar(void **state)
{
    (void)state;
    struct err err;
    struct tree *t;
    static char zeros[4096];
    assert_int_equal(tree_read(zeros, 0, &t, &err), -1);
    assert_int_equal(tree_read(zeros, sizeof(zeros), &t, &err), -1);
    assert_non_null(strstr(err.msg, "not a tar"));
}

/* Every prefix of an image is refused or is an image: no crash, no read beyond the end. */
static void test_truncated(void **state)
{
    (void)state;
    struct mktar *m = mktar_new("pax", false);
    static const uint64_t at[] = {4096, UINT64_MAX};
    mktar_add(m, "rootfs/\303\244", '-', 0644, "some data");
    mktar_sparse(m, "rootfs/s", 65536, at, 1000);
    size_t len;
    const char *tar = mktar_done(m, &len);
    for (size_t n = 0; n < len; n += 128) {
        char *copy = xmalloc(n);
        memcpy(copy, tar, n);
        struct tree *t = NULL;
        struct err err;
        if (tree_read(copy, n, &t, &err) == 0)
            tree_free(t);
        free(copy);
    }
    mktar_free(m);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    for (int levels = TREE_DEPTH_MAX; levels <= TREE_DEPTH_MAX + 1; levels++) {
        struct mktar *m = mktar_new("pax", false);
        struct buf name = {0};
        buf_adds(&name, "rootfs");
        for (int k = 0; k < levels; k++)
            buf_adds(&name, "/d");
        mktar_add(m, name.data, 'd', 0755, NULL);
        if (levels <= TREE_DEPTH_MAX) {
            struct tree *t = mktar_tree(m);
            assert_int_equal(t->nnodes, levels + 1);
            tree_free(t);
        } else {
            assert_non_null(strstr(mktar_fault(m), "deep"));
        }
        buf_free(&name);
        mktar_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_all_kinds),
        cmocka_unit_test(test_order_is_by_bytes),
        cmocka_unit_test(test_lookup_is_lexical),
        cmocka_unit_test(test_cleans_names),
        cmocka_unit_test(test_hardlinks),
        cmocka_unit_test(test_long_chain_of_hardlinks),
        cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_refuses_wrong_tops),
        cmocka_unit_test(test_refuses_what_is_no_tar),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
