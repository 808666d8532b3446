/* SPDX-License-Identifier: Apache-2.0 */
/* Dependencies, circles, policies and judgement, with a store in memory and no network. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/fetch.h"
#include "fetch/want.h"
#include "schema/label.h"
#include "schema/value.h"

/* An image of the store: "NAME DEP DEP…"; its ID is made of its place in the list. */
struct store {
    const char *const *images;
    size_t n;
    unsigned finds; /* how many were handed out */
};

static void id_of(size_t i, char out[136])
{
    snprintf(out, 136, "sha512-%0128zx", i);
}

static struct ac_image_manifest *manifest_of(const char *line)
{
    cleanup_free char *copy = xstrdup(line);
    cleanup_with(buf_free) struct buf b = {0};
    char *save, *name = strtok_r(copy, " ", &save), *dep;
    struct ac_image_manifest *m;
    struct ac_fault f;
    buf_printf(&b,
               "{\"acKind\":\"ImageManifest\",\"acVersion\":\"0.8.11\",\"name\":\"%s\","
               "\"labels\":[{\"name\":\"version\",\"value\":\"1.0.0\"}],\"dependencies\":[",
               name);
    for (bool first = true; (dep = strtok_r(NULL, " ", &save)); first = false)
        buf_printf(&b, "%s{\"imageName\":\"%s\"}", first ? "" : ",", dep);
    buf_adds(&b, "]}");
    assert_int_equal(ac_image_manifest_parse(b.data, b.len, &m, &f), 0);
    return m;
}

static int find(void *arg, const struct fetch_want *want, struct fetch_image *ret, struct err *err)
{
    struct store *s = arg;
    (void)err;
    for (size_t i = 0; i < s->n; i++) {
        char id[136];
        id_of(i, id);
        struct ac_image_manifest *m = manifest_of(s->images[i]);
        bool fits = want->image_id
                        ? str_eq(want->image_id, id)
                        : str_eq(want->name, m->name) && ac_labels_match(&want->labels, &m->labels);
        if (fits) {
            *ret = (struct fetch_image){.id = xstrdup(id), .manifest = m};
            s->finds++;
            return 0;
        }
        ac_image_manifest_free(m);
    }
    return 1;
}

static int no_import(void *arg, int fd, const struct fetch_origin *o, struct fetch_check *c,
                     struct fetch_image *ret, struct err *err)
{
    (void)arg, (void)fd, (void)o, (void)c, (void)ret;
    return err_set(err, 0, "not expected");
}

static int get(const char *const *images, size_t n, const char *name, enum fetch_pull pull,
               unsigned *ret_finds, struct err *e)
{
    struct store s = {images, n, 0};
    struct net *net;
    struct net_options no = {.back_off_ms = UINT64_MAX};
    struct trust trust = {0};
    struct fetch_sink sink = {.arg = &s, .find = find, .import = no_import};
    char dir[] = "/tmp/appc-fetch-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct fetch_options opt = {.pull = pull, .data_dir = dir, .os = "linux", .arch = "amd64"};
    struct fetch_want want = {.name = xstrdup(name)};
    struct fetch_image image = {0};
    *e = (struct err){0};
    assert_int_equal(net_new(&no, NULL, &net, e), 0);
    int r = fetch_images(net, &trust, &opt, &sink, &want, 1, &image, e);
    if (r == 0)
        assert_string_equal(image.manifest->name, name);
    fetch_image_done(&image);
    fetch_want_done(&want);
    net_free(net);
    cleanup_free char *cmd = xasprintf("rm -rf '%s'", dir);
    assert_int_equal(system(cmd), 0);
    if (ret_finds)
        *ret_finds = s.finds;
    return r;
}

/* DEP-06: a diamond is legal, and each image is looked at once. */
static void test_diamond(void **state)
{
    (void)state;
    static const char *const v[] = {"a b c", "b d", "c d", "d"};
    struct err e;
    unsigned finds;
    assert_int_equal(get(v, 4, "a", FETCH_NEVER, &finds, &e), 0);
    assert_int_equal(finds, 4);
}

/* DEP-07 */
static void test_circles(void **state)
{
    (void)state;
    static const char *const self[] = {"a a"};
    static const char *const two[] = {"a b", "b a"};
    static const char *const far[] = {"a b", "b c d", "c", "d e", "e b"};
    struct err e;
    assert_int_equal(get(self, 1, "a", FETCH_NEVER, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "circle: a -> a"));
    assert_int_equal(get(two, 2, "a", FETCH_NEVER, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "circle: a -> b -> a"));
    assert_int_equal(get(far, 5, "a", FETCH_NEVER, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "e -> b -> d -> e"));
    assert_null(strstr(e.msg, "-> c ->")); /* it is no part of the circle */
}

static void test_missing(void **state)
{
    (void)state;
    static const char *const v[] = {"a b", "b c"};
    struct err e;
    assert_int_equal(get(v, 2, "a", FETCH_NEVER, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "a -> b -> c"));
    assert_non_null(strstr(e.msg, "--pull=never"));
}

/* DEP-08: a chain that never ends, and one that is too wide. */
static void test_bounds(void **state)
{
    (void)state;
    enum { N = FETCH_IMAGES_MAX + 10 };
    static const char *chain[N];
    struct buf wide = {0};
    struct err e;
    buf_adds(&wide, "a");
    for (size_t i = 0; i < N; i++) {
        chain[i] = xasprintf("n%zu n%zu", i, i + 1);
        buf_printf(&wide, " n%zu", i);
    }
    assert_int_equal(get(chain, N, "n0", FETCH_NEVER, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "levels of dependencies"));
    const char *const one[] = {wide.data};
    assert_int_equal(get(one, 1, "a", FETCH_NEVER, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "more than 256 images"));
    for (size_t i = 0; i < N; i++)
        free((char *)(uintptr_t)chain[i]);
    buf_free(&wide);
}

static int judge(const struct fetch_want *w, const char *labels, const char *id)
{
    struct ac_image_manifest *m;
    struct ac_fault f;
    cleanup_free char *text =
        xasprintf("{\"acKind\":\"ImageManifest\",\"acVersion\":\"0.8.11\",\"name\":\"e.com/x\","
                  "\"labels\":[%s]}",
                  labels);
    if (ac_image_manifest_parse(text, strlen(text), &m, &f) < 0)
        fail_msg("%s", f.msg);
    int r = want_check(w, "linux", "amd64", id, m, NULL);
    ac_image_manifest_free(m);
    return r;
}

#define L(name, value) "{\"name\":\"" name "\",\"value\":\"" value "\"}"

/* SIG-03 to SIG-06, DEP-02, DEP-04, A15, A17 */
static void test_judgement(void **state)
{
    (void)state;
    struct fetch_want w = {.name = xstrdup("e.com/x")}, dep = {.name = xstrdup("e.com/x")};
    struct fetch_want other = {.name = xstrdup("e.com/y")};
    dep.dependency = true;
    assert_int_equal(judge(&w, L("version", "1"), "i"), 0);
    assert_int_equal(judge(&w, "", "i"), 0); /* built for any machine */
    assert_int_equal(judge(&w, L("os", "linux") "," L("arch", "amd64"), "i"), 0);
    assert_int_equal(judge(&w, L("os", "linux") "," L("arch", "aarch64"), "i"), -1);
    assert_int_equal(judge(&dep, L("os", "linux") "," L("arch", "aarch64"), "i"), 0);
    assert_int_equal(judge(&other, "", "i"), -1);
    ac_pairs_add(&w.labels, "version", "1");
    assert_int_equal(judge(&w, L("version", "1"), "i"), 0);
    assert_int_equal(judge(&w, L("version", "2"), "i"), -1);
    assert_int_equal(judge(&w, "", "i"), -1);
    w.image_id = xstrdup("sha512-ab");
    assert_int_equal(judge(&w, L("version", "1"), "sha512-AB"), 0);
    assert_int_equal(judge(&w, L("version", "1"), "sha512-ac"), -1);
    fetch_want_done(&w);
    fetch_want_done(&dep);
    fetch_want_done(&other);
}

static void test_keys_of_requests(void **state)
{
    (void)state;
    struct fetch_want a = {.name = xstrdup("x")}, b = {.name = xstrdup("x")};
    ac_pairs_add(&a.labels, "k", "1");
    ac_pairs_add(&a.labels, "l", "2");
    ac_pairs_add(&b.labels, "l", "2");
    ac_pairs_add(&b.labels, "k", "1");
    cleanup_free char *ka = want_key(&a), *kb = want_key(&b);
    assert_string_equal(ka, kb);
    ac_pairs_set(&b.labels, "k", "1l2");
    cleanup_free char *kc = want_key(&b);
    assert_string_not_equal(ka, kc);
    fetch_want_done(&a);
    fetch_want_done(&b);
}

static void test_options(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "h",
                                      "h:443",
                                      "h:443:",
                                      ":443:1.2.3.4",
                                      "h:0:1.2.3.4",
                                      "h:x:1.2.3.4",
                                      "h:443:1.2.3.4:",
                                      "h:443:1.2.3.4:70000"};
    static const char *const good[] = {"h:443:1.2.3.4", "h:443:1.2.3.4:8443", "h:443:[::1]:8443",
                                       "h:443:[::1]"};
    struct net *n;
    struct err e;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct net_options o = {.resolve = &bad[i], .nresolve = 1};
        assert_int_equal(net_new(&o, NULL, &n, &e), -1);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct net_options o = {.resolve = &good[i], .nresolve = 1};
        assert_int_equal(net_new(&o, NULL, &n, &e), 0);
        net_free(n);
    }
    struct net_options o = {.ca_file = "/nonexistent"};
    assert_int_equal(net_new(&o, NULL, &n, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_diamond),   cmocka_unit_test(test_circles),
        cmocka_unit_test(test_missing),   cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_judgement), cmocka_unit_test(test_keys_of_requests),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
