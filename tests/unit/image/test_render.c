/* SPDX-License-Identifier: Apache-2.0 */
/* Composition of images: override order, whitelists, dependency graphs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/unit/image/mktar.h"

/* An image of a test graph: dependencies and whitelist as words with blanks between them. */
struct image {
    const char *name;
    const char *deps;
    const char *list;
    struct mktar *tar;
    struct tree *tree;
    struct ac_image_manifest manifest;
};

static void split(const char *words, struct ac_strings *out)
{
    char *copy = xstrdup(words), *save = NULL;
    size_t cap = 0;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        array_grow(&out->v, out->n, &cap, sizeof(*out->v));
        out->v[out->n++] = xstrdup(w);
    }
    free(copy);
}

static void strings_free(struct ac_strings *s)
{
    for (size_t k = 0; k < s->n; k++)
        free(s->v[k]);
    free(s->v);
}

/* Every image has /NAME, and the files that the test added to its tar. */
static void image_open(struct image *i)
{
    char path[64];
    struct ac_strings deps = {0};
    if (!i->tar)
        i->tar = mktar_new("pax", false);
    snprintf(path, sizeof(path), "rootfs/%s", i->name);
    mktar_add(i->tar, path, '-', 0644, i->name);
    i->tree = mktar_tree(i->tar);
    i->manifest.name = (char *)i->name;
    split(i->list, &i->manifest.path_whitelist);
    split(i->deps, &deps);
    i->manifest.dependencies = xcalloc(deps.n, sizeof(struct ac_dependency));
    i->manifest.ndependencies = deps.n;
    for (size_t k = 0; k < deps.n; k++)
        i->manifest.dependencies[k].image_name = xstrdup(deps.v[k]);
    strings_free(&deps);
}

static void image_close(struct image *i)
{
    tree_free(i->tree);
    mktar_free(i->tar);
    strings_free(&i->manifest.path_whitelist);
    for (size_t k = 0; k < i->manifest.ndependencies; k++)
        free(i->manifest.dependencies[k].image_name);
    free(i->manifest.dependencies);
}

struct graph {
    struct image *images;
    size_t n;
};

static int resolve(void *arg, const struct render_image *parent, const struct ac_dependency *dep,
                   struct render_image *ret, struct err *err)
{
    struct graph *g = arg;
    (void)parent;
    for (size_t k = 0; k < g->n; k++) {
        if (strcmp(g->images[k].name, dep->image_name) != 0)
            continue;
        *ret = (struct render_image){dep->image_name, &g->images[k].manifest, g->images[k].tree};
        return 0;
    }
    return err_set(err, 0, "no image %s", dep->image_name);
}

static int plan(struct graph *g, struct render_plan **ret, struct err *err)
{
    const struct image *top = &g->images[0];
    const struct render_image root = {top->name, &top->manifest, top->tree};
    return render_plan_make(&root, resolve, g, ret, err);
}

/* Opens the images, checks the order of layers ("B D C A"), composes. */
static struct render *compose(struct graph *g, const char *order)
{
    struct err err;
    struct render_plan *p;
    struct render *r;
    char got[256] = "";
    for (size_t k = 0; k < g->n; k++)
        image_open(&g->images[k]);
    if (plan(g, &p, &err) < 0)
        fail_msg("%s", err.msg);
    for (size_t k = 0; k < p->nlayers; k++) {
        size_t at = strlen(got);
        snprintf(got + at, sizeof(got) - at, "%s%s", at ? " " : "",
                 p->images[p->layers[k].blob].manifest->name);
    }
    assert_string_equal(got, order);
    if (render_compose(p->layers, p->nlayers, &r, &err) < 0)
        fail_msg("%s", err.msg);
    render_plan_free(p);
    return r;
}

static void done(struct graph *g, struct render *r)
{
    render_free(r);
    for (size_t k = 0; k < g->n; k++)
        image_close(&g->images[k]);
}

static bool has(const struct render *r, const char *path)
{
    return tree_lookup(r->root, path) != NULL;
}

/* The text of a file, to see whose it is. */
static const char *text(const struct render *r, const char *path)
{
    static char buf[64];
    const struct tree_node *n = tree_lookup(r->root, path);
    assert_non_null(n);
    assert_int_equal(n->inode->nextents, 1);
    snprintf(buf, sizeof(buf), "%.*s", (int)n->inode->size,
             (const char *)r->blobs[n->inode->blob]->tar + n->inode->extents[0].tar_off);
    return buf;
}

static struct mktar *tar_with(const char *name, const char *content)
{
    struct mktar *m = mktar_new("pax", false);
    mktar_add(m, name, '-', 0644, content);
    return m;
}

static void test_override_order(void **state) /* RENDER-05 */
{
    (void)state;
    struct image images[] = {
        {.name = "A", .deps = "B C", .list = ""},
        {.name = "B", .deps = "", .list = "", .tar = tar_with("rootfs/f", "B")},
        {.name = "C", .deps = "D", .list = "", .tar = tar_with("rootfs/f", "C")},
        {.name = "D", .deps = "", .list = "", .tar = tar_with("rootfs/f", "D")},
    };
    struct graph g = {images, ARRAY_SIZE(images)};
    struct render *r = compose(&g, "B D C A");
    assert_string_equal(text(r, "/f"), "C");
    assert_string_equal(text(r, "/D"), "D");
    assert_int_equal(r->nnodes, 6);
    done(&g, r);
}

static void test_diamond_with_whitelists(void **state) /* RENDER-06, DEP-06 */
{
    (void)state;
    struct image images[] = {
        {.name = "A", .deps = "B C", .list = ""},
        {.name = "B", .deps = "D", .list = "/x /B"},
        {.name = "C", .deps = "D", .list = "/y"},
        {.name = "D", .deps = "", .list = "", .tar = tar_with("rootfs/x", "x")},
    };
    mktar_add(images[3].tar, "rootfs/y", '-', 0644, "y");
    mktar_add(images[3].tar, "rootfs/z", '-', 0644, "z");
    struct graph g = {images, ARRAY_SIZE(images)};
    struct render *r = compose(&g, "D B D C A");
    assert_true(has(r, "/x") && has(r, "/y") && has(r, "/A"));
    assert_true(has(r, "/B")); /* RENDER-16: C's list is none of B's business */
    assert_false(has(r, "/z") || has(r, "/C") || has(r, "/D"));
    done(&g, r);
}

static void test_whitelists_intersect(void **state) /* RENDER-15 */
{
    (void)state;
    struct image images[] = {
        {.name = "A", .deps = "B", .list = "/x /y"},
        {.name = "B", .deps = "C", .list = "/x /z"},
        {.name = "C", .deps = "", .list = "", .tar = tar_with("rootfs/x", "x")},
    };
    mktar_add(images[2].tar, "rootfs/y", '-', 0644, "y");
    mktar_add(images[2].tar, "rootfs/z", '-', 0644, "z");
    struct graph g = {images, ARRAY_SIZE(images)};
    struct render *r = compose(&g, "C B A");
    assert_true(has(r, "/x"));
    assert_int_equal(r->nnodes, 2);
    done(&g, r);
}

static void test_whitelist_is_exact(void **state) /* RENDER-09, RENDER-13 */
{
    (void)state;
    struct image images[] = {{.name = "A", .deps = "", .list = "/etc/systemd/system/ d/f /../q"}};
    images[0].tar = mktar_new("pax", false);
    mktar_add(images[0].tar, "rootfs/etc", 'd', 0750, NULL);
    mktar_add(images[0].tar, "rootfs/etc/systemd/system/unit", '-', 0644, "u");
    mktar_add(images[0].tar, "rootfs/d", 'd', 0711, NULL);
    mktar_add(images[0].tar, "rootfs/d/f", '-', 0644, "f");
    mktar_add(images[0].tar, "rootfs/d/g", '-', 0644, "g");
    mktar_add(images[0].tar, "rootfs/q", '-', 0644, "q");
    mktar_add(images[0].tar, "rootfs/unlisted", 'd', 0755, NULL);
    struct graph g = {images, ARRAY_SIZE(images)};
    struct render *r = compose(&g, "A");
    assert_true(has(r, "/etc/systemd/system") && has(r, "/d/f"));
    assert_int_equal(r->nnodes, 6); /* the root, etc, systemd, system, d, f */
    assert_int_equal(tree_lookup(r->root, "/etc")->inode->mode, S_IFDIR | 0750);
    assert_int_equal(tree_lookup(r->root, "/d")->inode->mode, S_IFDIR | 0711);
    done(&g, r);
}

static void test_replaces_kinds(void **state) /* RENDER-07, -08, -17, -22 */
{
    (void)state;
    struct image images[] = {
        {.name = "A", .deps = "B", .list = ""},
        {.name = "B", .deps = "", .list = ""},
    };
    struct mktar *a = images[0].tar = mktar_new("pax", false);
    struct mktar *b = images[1].tar = mktar_new("pax", false);
    mktar_add(b, "rootfs/lib", 'l', 0777, "/outside");
    mktar_add(a, "rootfs/lib/file", '-', 0644, "A");
    mktar_add(b, "rootfs/dir/deep/f", '-', 0644, "B");
    mktar_add(a, "rootfs/dir", '-', 0644, "now a file");
    mktar_add(b, "rootfs/file", '-', 0644, "B");
    mktar_add(a, "rootfs/file", 'd', 0700, NULL);
    struct graph g = {images, ARRAY_SIZE(images)};
    struct render *r = compose(&g, "B A");
    assert_string_equal(text(r, "/lib/file"), "A");
    assert_int_equal(tree_lookup(r->root, "/lib")->inode->mode, S_IFDIR | 0755);
    assert_string_equal(text(r, "/dir"), "now a file");
    assert_false(has(r, "/dir/deep"));
    assert_int_equal(tree_lookup(r->root, "/file")->inode->mode, S_IFDIR | 0700);
    done(&g, r);
}

static void test_directory_again_after_a_file(void **state)
{
    (void)state;
    struct image images[] = {
        {.name = "A", .deps = "B C", .list = "", .tar = tar_with("rootfs/d/new", "A")},
        {.name = "B", .deps = "", .list = "", .tar = tar_with("rootfs/d/old", "B")},
        {.name = "C", .deps = "", .list = "", .tar = tar_with("rootfs/d", "C")},
    };
    struct graph g = {images, ARRAY_SIZE(images)};
    struct render *r = compose(&g, "B C A");
    assert_true(has(r, "/d/new"));
    assert_false(has(r, "/d/old"));
    done(&g, r);
}

static void test_directory_metadata(void **state) /* RENDER-18 */
{
    (void)state;
    struct image images[] = {
        {.name = "A", .deps = "B", .list = ""},
        {.name = "B", .deps = "", .list = ""},
    };
    images[0].tar = tar_with("rootfs/implied/a", "A");
    images[1].tar = mktar_new("pax", false);
    mktar_add(images[0].tar, "rootfs/both", 'd', 0700, NULL);
    mktar_add(images[1].tar, "rootfs/both", 'd', 0711, NULL);
    mktar_add(images[1].tar, "rootfs/implied", 'd', 0710, NULL);
    struct graph g = {images, ARRAY_SIZE(images)};
    struct render *r = compose(&g, "B A");
    assert_int_equal(tree_lookup(r->root, "/both")->inode->mode, S_IFDIR | 0700);
    assert_int_equal(tree_lookup(r->root, "/implied")->inode->mode, S_IFDIR | 0710);
    done(&g, r);
}

static void test_hardlink_without_target(void **state) /* RENDER-23 */
{
    (void)state;
    struct image images[] = {
        {.name = "A", .deps = "", .list = "/link /other", .tar = tar_with("rootfs/target", "data")},
    };
    mktar_add(images[0].tar, "rootfs/link", 'h', 0, "rootfs/target");
    mktar_add(images[0].tar, "rootfs/other", 'h', 0, "rootfs/target");
    struct graph g = {images, ARRAY_SIZE(images)};
    struct render *r = compose(&g, "A");
    assert_false(has(r, "/target"));
    assert_string_equal(text(r, "/link"), "data");
    assert_int_equal(tree_lookup(r->root, "/link")->inode->nlink, 2);
    assert_ptr_equal(tree_lookup(r->root, "/link")->inode, tree_lookup(r->root, "/other")->inode);
    done(&g, r);
}

static void check_fault(struct image *images, size_t n, const char *says)
{
    struct graph g = {images, n};
    struct err err;
    struct render_plan *p = NULL;
    for (size_t k = 0; k < n; k++)
        image_open(&images[k]);
    assert_int_equal(plan(&g, &p, &err), -1);
    assert_null(p);
    if (!strstr(err.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
    for (size_t k = 0; k < n; k++)
        image_close(&images[k]);
}

static void test_cycles(void **state) /* DEP-07 */
{
    (void)state;
    struct image self[] = {{.name = "A", .deps = "A", .list = ""}};
    check_fault(self, ARRAY_SIZE(self), "A -> A");
    struct image ring[] = {
        {.name = "A", .deps = "B", .list = ""},
        {.name = "B", .deps = "C", .list = ""},
        {.name = "C", .deps = "B", .list = ""},
    };
    check_fault(ring, ARRAY_SIZE(ring), "B -> C -> B");
    struct image lost[] = {{.name = "A", .deps = "Z", .list = ""}};
    check_fault(lost, ARRAY_SIZE(lost), "no image Z");
}

/* Makes a chain, or with two links from each to the next a graph of 2^n visits. */
static void check_bound(size_t n, bool twice, const char *says) /* DEP-08 */
{
    struct image *images = xcalloc(n, sizeof(*images));
    char(*names)[32] = xcalloc(n + 1, sizeof(*names));
    char(*deps)[80] = xcalloc(n, sizeof(*deps));
    for (size_t k = 0; k <= n; k++)
        snprintf(names[k], sizeof(names[k]), "i%zu", k);
    for (size_t k = 0; k < n; k++) {
        if (k + 1 < n)
            snprintf(deps[k], sizeof(deps[k]), "%s %s", names[k + 1], twice ? names[k + 1] : "");
        images[k] = (struct image){.name = names[k], .deps = deps[k], .list = ""};
    }
    check_fault(images, n, says);
    free(images);
    free(names);
    free(deps);
}

static void test_bounds(void **state)
{
    (void)state;
    check_bound(RENDER_DEPTH_MAX + 1, false, "deep");
    check_bound(40, true, "visited more than");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_override_order),
        cmocka_unit_test(test_diamond_with_whitelists),
        cmocka_unit_test(test_whitelists_intersect),
        cmocka_unit_test(test_whitelist_is_exact),
        cmocka_unit_test(test_replaces_kinds),
        cmocka_unit_test(test_directory_again_after_a_file),
        cmocka_unit_test(test_directory_metadata),
        cmocka_unit_test(test_hardlink_without_target),
        cmocka_unit_test(test_cycles),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
