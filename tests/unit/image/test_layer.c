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
    bool as_images; /* composed as App Container images are */
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
        v[i] = (struct render_layer){
            .tree = s->trees[i], .blob = (uint32_t)i, .follow = !s->as_images};
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
}

static void test_following(void **state)
{
    (void)state;
    CHECK("/etc /etc/p /l ", "d:etc f:etc/p l:l=etc", "f:l/p");
    CHECK("/lib /usr /usr/lib /usr/lib/foo ", "d:usr d:usr/lib l:lib=usr/lib", "f:lib/foo");
    CHECK("/lib /usr /usr/lib /usr/lib/a /usr/lib/a/foo ", "d:usr/lib l:lib=/usr/lib",
          "f:lib/a/foo");
    CHECK("/lib /lib/foo /usr /usr/lib ", "d:usr/lib l:lib=usr/lib", "d:lib f:lib/foo");
    CHECK("/lib /usr /usr/lib ", "d:usr/lib l:lib=usr/lib", "f:usr/x", "f:.wh.x f:usr/.wh.x");
    /* Nothing is outside the root, and what is missing is made. */
    CHECK("/d /d/l /etc /etc/p ", "d:d l:d/l=../../../../etc", "f:d/l/p");
    CHECK("/e /e/f /e/f/p /l ", "l:l=//e/./f/", "f:l/p");
    CHECK("/l /p ", "l:l=/..", "f:l/p");
    CHECK("/a /b /c /c/p ", "l:a=b l:b=c", "f:a/p");
    CHECK("/a /b /b/c /d /d/p ", "l:a=b/c/. d:b l:b/c=../d d:d", "f:a/p");
    /* Whiteouts as well; they make nothing. */
    CHECK("/l /u /u/b ", "d:u f:u/a f:u/b l:l=u", "f:l/.wh.a");
    CHECK("/l /u /u/c ", "d:u f:u/a f:u/b l:l=u", "f:l/.wh..wh..opq f:l/c");
    CHECK("/l ", "l:l=u/v", "f:l/.wh.a");
    CHECK("/l /u ", "f:u l:l=u", "f:l/.wh.a");
    /* Two ways to one place: never its own names, and both directories' content. */
    CHECK("/l /u /u/a ", "d:u f:u/a l:l=u", "f:l/a f:u/.wh.a");
    CHECK("/l /u /u/a /u/b ", "d:u l:l=u", "f:l/a f:u/b");
    CHECK("/l /u /u/d /u/d/a /u/d/b ", "d:u l:l=u", "d:l/d f:l/d/a d:u/d f:u/d/b");
    /* The layer's own link replaces the one below. */
    CHECK("/l /m /m/a /u /u/b ", "d:u f:u/b l:l=u", "l:l=m f:m/a");
}

static void check_unmergeable(const char *below, const char *layer, const char *words)
{
    cleanup_with(stack_done) struct stack s = {0};
    struct err e;
    add_layer(&s, below);
    add_layer(&s, layer);
    assert_int_equal(merge(&s, &e), -1);
    if (!strstr(e.msg, words))
        fail_msg("%s", e.msg);
}

static void test_following_ends(void **state)
{
    (void)state;
    check_unmergeable("l:a=b l:b=a", "f:a/x", "/a: more than 40 symbolic links");
    check_unmergeable("l:a=b l:b=a f:x", "h:c=a/x", "a hard link to a/x: more than 40");
    check_unmergeable("l:a=a/a", "f:a/x", "more than 40 symbolic links");
    check_unmergeable("f:f l:a=f", "f:a/x", "f, where a symbolic link leads, is not a directory");
    /* A layer that takes away by one way what it puts by another. */
    check_unmergeable("d:d/e l:d/r=/", "f:d/r/d f:d/s", "/d is taken away");
    check_unmergeable("d:u l:l=u", "f:l/a f:u/.wh..wh..opq", "/u is taken away");
    check_unmergeable("l:l=/", "f:l/.wh..wh..opq f:a", "/ is taken away");
}

/* RENDER-08: the rule for App Container images. */
static void test_images_do_not_follow(void **state)
{
    (void)state;
    cleanup_with(stack_done) struct stack s = {.as_images = true};
    struct err e;
    add_layer(&s, "d:etc f:etc/p=1 l:l=etc");
    add_layer(&s, "f:l/p=22");
    assert_int_equal(merge(&s, &e), 0);
    assert_int_equal(tree_lookup(s.merged->root, "/etc/p")->inode->size, 1);
    assert_int_equal(tree_lookup(s.merged->root, "/l/p")->inode->size, 2);
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

static void test_links_by_links(void **state)
{
    (void)state;
    cleanup_with(stack_done) struct stack s = {0};
    struct err e;
    add_layer(&s, "d:u f:u/a=text l:l=u l:u/s=a");
    add_layer(&s, "h:b=l/a h:l/c=u/a h:t=l/s");
    assert_int_equal(merge(&s, &e), 0);
    assert_ptr_equal(at(&s, "/b")->inode, at(&s, "/u/a")->inode);
    assert_ptr_equal(at(&s, "/u/c")->inode, at(&s, "/u/a")->inode);
    assert_true(S_ISLNK(at(&s, "/t")->inode->mode)); /* the link itself is linked */
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
        cmocka_unit_test(test_whiteouts),      cmocka_unit_test(test_opaque),
        cmocka_unit_test(test_types),          cmocka_unit_test(test_links),
        cmocka_unit_test(test_links_by_links), cmocka_unit_test(test_following),
        cmocka_unit_test(test_following_ends), cmocka_unit_test(test_images_do_not_follow),
        cmocka_unit_test(test_bad_links),      cmocka_unit_test(test_bad_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
