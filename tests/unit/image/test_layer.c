/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of OCI images: whiteouts, opaque directories, hard links to the layers below. */
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
#include "tests/unit/image/mktar.h"

#define LAYERS_MAX 8

/* Layers, each as words "type:name[=text]"; the text of a link is its target. */
struct stack {
    struct mktar *tars[LAYERS_MAX];
    struct tree *trees[LAYERS_MAX];
    size_t n;
    struct render *merged;
};

static void add_layer(struct stack *s, const char *words)
{
    struct mktar *m = mktar_new("pax", true);
    cleanup_free char *copy = strdup(words);
    char *save = NULL;
    size_t len;
    struct err e;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        char *text = strchr(w, '=');
        if (text)
            *text++ = '\0';
        mktar_add(m, w + 2, *w == 'f' ? '-' : *w, 0755, text ? text : "");
    }
    const void *tar = mktar_done(m, &len);
    assert_int_equal(tree_read_layer(tar, len, &s->trees[s->n], &e), 0);
    s->tars[s->n++] = m;
}

static int merge(struct stack *s, struct err *err)
{
    struct render_layer v[LAYERS_MAX] = {0};
    for (size_t i = 0; i < s->n; i++)
        v[i] = (struct render_layer){.tree = s->trees[i], .blob = (uint32_t)i};
    return render_compose(v, s->n, &s->merged, err);
}

static void stack_done(struct stack *s)
{
    render_free(s->merged);
    for (size_t i = 0; i < s->n; i++) {
        tree_free(s->trees[i]);
        mktar_free(s->tars[i]);
    }
}

/* All names of the merged tree, with blanks between. */
static void check(const char *const *layers, size_t n, const char *want)
{
    cleanup_with(stack_done) struct stack s = {0};
    cleanup_with(buf_free) struct buf have = {0};
    struct err e;
    for (size_t i = 0; i < n; i++)
        add_layer(&s, layers[i]);
    if (merge(&s, &e) < 0)
        fail_msg("%s", e.msg);
    for (struct tree_node *x = s.merged->root; x; x = tree_next(s.merged->root, x)) {
        if (x->parent) {
            tree_path(x, &have);
            buf_addc(&have, ' ');
        }
    }
    assert_string_equal(have.data ? have.data : "", want);
}

#define CHECK(want, ...)                                                                           \
    do {                                                                                           \
        static const char *const layers_[] = {__VA_ARGS__};                                        \
        check(layers_, ARRAY_SIZE(layers_), want);                                                 \
    } while (0)

static void test_whiteouts(void **state)
{
    (void)state;
    CHECK("/a /b ", "f:a f:b");
    CHECK("/b ", "f:a f:b", "f:.wh.a");
    CHECK("/a /b ", "f:a f:b", "f:.wh.a", "f:a");
    CHECK("/a ", "d:a f:a/x", "f:.wh.a f:a");
    CHECK("/a /a/z ", "d:a f:a/x d:a/y f:a/y/z", "f:a/.wh.x f:a/.wh.y f:a/z");
    CHECK("/a ", "f:a", "f:.wh.b f:c/.wh.d"); /* nothing there that they mean */
    CHECK("/a ", "f:a", "f:a/.wh.x");         /* no directory */
    CHECK("/l ", "l:l=/x", "f:l/.wh.x");      /* a link is no directory either */
    CHECK("/a /a/.whx ", "d:a f:a/.whx", "f:.wh..wh.plnk f:.wh..wh.aufs");
}

static void test_opaque(void **state)
{
    (void)state;
    CHECK("/a /a/z /b ", "d:a f:a/x d:a/y f:a/y/z f:b", "d:a f:a/.wh..wh..opq f:a/z");
    CHECK("/a /a/z /b ", "d:a f:a/x f:b", "d:a f:a/z f:a/.wh..wh..opq");
    CHECK("/a /a/y /a/y/n ", "d:a f:a/x d:a/y f:a/y/m", "f:a/.wh..wh..opq f:a/.wh.x d:a/y f:a/y/n");
    CHECK("/c ", "d:a f:a/x f:b", "f:.wh..wh..opq f:c");
    CHECK("/a /a/b /a/b/d ", "d:a d:a/b f:a/b/c", "f:a/b/.wh..wh..opq f:a/b/d");
    CHECK("/a /a/x ", "d:a f:a/x", "f:a/.wh..wh..opq", "f:a/x");
}

static void test_types(void **state)
{
    (void)state;
    CHECK("/a ", "d:a f:a/x", "f:a");
    CHECK("/a /a/x ", "f:a", "d:a f:a/x");
    CHECK("/etc /etc/p /l /l/p ", "d:etc f:etc/p l:l=etc", "f:l/p");
}

static const struct tree_node *at(const struct stack *s, const char *path)
{
    const struct tree_node *n = tree_lookup(s->merged->root, path);
    assert_non_null(n);
    return n;
}

static void test_links(void **state)
{
    (void)state;
    cleanup_with(stack_done) struct stack s = {0};
    struct err e;
    add_layer(&s, "f:a=text d:d f:d/b=more");
    add_layer(&s, "h:c=a f:.wh.a h:e=c h:x=./d/../d/b f:.wh.d");
    assert_int_equal(merge(&s, &e), 0);
    assert_null(tree_lookup(s.merged->root, "/a"));
    assert_null(tree_lookup(s.merged->root, "/d"));
    assert_ptr_equal(at(&s, "/c")->inode, at(&s, "/e")->inode);
    assert_int_equal(at(&s, "/c")->inode->nlink, 2);
    assert_int_equal(at(&s, "/c")->inode->blob, 0);
    assert_int_equal(at(&s, "/x")->inode->size, 4);
}

static void test_bad_links(void **state)
{
    (void)state;
    static const char *const bad[] = {"h:b=missing", "h:b=a/x", "h:b=d", "h:b=d/.wh.x"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        cleanup_with(stack_done) struct stack s = {0};
        struct err e;
        add_layer(&s, "f:a d:d");
        add_layer(&s, bad[i]);
        assert_int_equal(merge(&s, &e), -1);
        assert_non_null(strstr(e.msg, "hard link"));
    }
}

static void check_bad(const char *name, char type, const char *text, const char *words)
{
    struct mktar *m = mktar_new("pax", true);
    struct tree *t;
    struct err e;
    size_t len;
    mktar_add(m, "d", 'd', 0755, "");
    mktar_add(m, name, type, 0644, text);
    const void *tar = mktar_done(m, &len);
    assert_int_equal(tree_read_layer(tar, len, &t, &e), -1);
    assert_non_null(strstr(e.msg, words));
    mktar_free(m);
}

static void test_bad_layers(void **state)
{
    (void)state;
    struct tree *t;
    struct err e;
    check_bad("/x", '-', "", "absolute");
    check_bad("d/../../x", '-', "", "leaves");
    check_bad("d", '-', "", "twice");
    check_bad("x", 'h', "../x", "hard link");
    check_bad("x", 'h', "d", "hard link");
    check_bad("x", 'h', "x", "circle");
    check_bad("d/.wh.", '-', "", "whiteout of nothing");
    check_bad("d/.wh...", '-', "", "whiteout of nothing");
    assert_int_equal(tree_read_layer("x", 1, &t, &e), -1);
    assert_int_equal(tree_read_layer("", 0, &t, &e), 0); /* nothing is a layer without names */
    tree_free(t);
    static const char zeros[1024];
    assert_int_equal(tree_read_layer(zeros, sizeof(zeros), &t, &e), 0);
    tree_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whiteouts), cmocka_unit_test(test_opaque),
        cmocka_unit_test(test_types),     cmocka_unit_test(test_links),
        cmocka_unit_test(test_bad_links), cmocka_unit_test(test_bad_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
