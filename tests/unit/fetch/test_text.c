/* SPDX-License-Identifier: Apache-2.0 */
/* URLs, headers, templates and prefixes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fetch/header.h"
#include "fetch/template.h"
#include "fetch/url.h"
#include "schema/value.h"

static void test_url_parts(void **state)
{
    (void)state;
    struct url u;
    struct err e;
    assert_int_equal(url_parse("HTTPS://Example.COM/a/b.aci?x=1#frag", &u, &e), 0);
    assert_string_equal(u.host, "example.com");
    assert_int_equal(u.port, 443);
    assert_true(u.https);
    assert_null(strchr(u.text, '#'));
    url_done(&u);
    assert_int_equal(url_parse("http://h:8080/x", &u, &e), 0);
    assert_int_equal(u.port, 8080);
    assert_false(u.https);
    url_done(&u);
}

static void test_url_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "example.com/x",
                                      "hdfs://h/x",
                                      "file:///etc/passwd",
                                      "https://",
                                      "https://u:secret@h/x",
                                      "https://h/a b",
                                      "https://h/a\nb",
                                      "https://h\\x/",
                                      "https://h:0/",
                                      "https://h:99999/",
                                      "ftp://h/x",
                                      "gopher://h/"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct url u;
        struct err e = {0};
        assert_int_equal(url_parse(bad[i], &u, &e), -1);
        assert_null(strstr(e.msg, "secret"));
    }
}

static void test_url_resolve(void **state)
{
    (void)state;
    struct url base, u;
    assert_int_equal(url_parse("https://h/a/b?q=1", &base, NULL), 0);
    static const char *const v[][2] = {
        {"/c", "https://h/c"},        {"c", "https://h/a/c"},        {"//m/c", "https://m/c"},
        {"http://m/c", "http://m/c"}, {"?z=2", "https://h/a/b?z=2"},
    };
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        assert_int_equal(url_resolve(&base, v[i][0], &u, NULL), 0);
        assert_string_equal(u.text, v[i][1]);
        url_done(&u);
    }
    assert_int_equal(url_resolve(&base, "file:///etc/passwd", &u, NULL), -1);
    assert_int_equal(url_resolve(&base, "https://u:p@h/", &u, NULL), -1);
    url_done(&base);
}

/* IMG-18 */
static void test_url_signature(void **state)
{
    (void)state;
    struct url u;
    assert_int_equal(url_parse("https://h/a.aci?token=1", &u, NULL), 0);
    cleanup_free char *s = url_signature(&u), *leaf = url_leaf(&u);
    assert_string_equal(s, "https://h/a.aci.asc?token=1");
    assert_string_equal(leaf, "a.aci");
    url_done(&u);
    assert_true(url_foreign_scheme("hdfs://h/x"));
    assert_false(url_foreign_scheme("HTTPS://h/x"));
    assert_false(url_foreign_scheme("nothing"));
}

static void feed(struct headers *h, const char *line)
{
    headers_note(h, line, strlen(line), 1000000);
}

static void test_headers(void **state)
{
    (void)state;
    struct headers h = {0};
    feed(&h, "ETag:  \"abc\" \r\n");
    feed(&h, "cache-control: public, Max-Age=60\r\n");
    feed(&h, "Content-Range: bytes 10-19/20\r\n");
    feed(&h, "Retry-After: 7\r\n");
    feed(&h, "LOCATION: /x\r\n");
    assert_string_equal(h.etag, "\"abc\"");
    assert_int_equal(h.max_age, 60);
    assert_true(h.has_range && h.range_first == 10 && h.range_total == 20);
    assert_true(h.has_retry_after && h.retry_after == 7);
    assert_string_equal(h.location, "/x");
    assert_string_equal(headers_range_validator(&h), "\"abc\"");
    headers_done(&h);
    feed(&h, "ETag: W/\"weak\"\r\n");
    feed(&h, "Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT\r\n");
    assert_null(headers_range_validator(&h)); /* a weak tag says that bytes may differ */
    headers_done(&h);
}

static void test_headers_hostile(void **state)
{
    (void)state;
    struct headers h = {0};
    static const char *const ranges[] = {"Content-Range: bytes 5-3/20",
                                         "Content-Range: bytes 0-9/5",
                                         "Content-Range: bytes -9/20",
                                         "Content-Range: items 0-9/20",
                                         "Content-Range: bytes 0-99999999999999999999/1",
                                         "Content-Range: bytes 1/2-3"};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        feed(&h, ranges[i]);
        assert_false(h.has_range);
    }
    feed(&h, "Cache-Control: max-age=99999999999999999999999");
    assert_int_equal(h.max_age, HEADER_AGE_MAX);
    feed(&h, "Cache-Control: no-cache, max-age=60");
    assert_int_equal(h.max_age, 0);
    feed(&h, "Retry-After: never");
    assert_false(h.has_retry_after);
    feed(&h, "no colon");
    char big[HEADER_VALUE_MAX + 100] = "ETag: ";
    memset(big + 6, 'x', sizeof(big) - 7);
    headers_note(&h, big, sizeof(big) - 1, 0);
    assert_null(h.etag);
    headers_note(&h, "ETag: a\0b", 9, 0);
    assert_null(h.etag);
    feed(&h, "ETag: \"a\"\rX-Injected: yes\r\n"); /* it would go back in a request */
    assert_null(h.etag);
    headers_done(&h);
}

/* DISC-06, DISC-21 */
static void test_prefix(void **state)
{
    (void)state;
    assert_true(template_prefix_matches("example.com", "example.com"));
    assert_true(template_prefix_matches("example.com", "example.com/x"));
    assert_true(template_prefix_matches("example.com/", "example.com/x"));
    assert_true(template_prefix_matches("example.com/x", "example.com/x"));
    assert_false(template_prefix_matches("example.com", "example.community/x"));
    assert_false(template_prefix_matches("example.com/x", "example.com/xy"));
    assert_false(template_prefix_matches("example.com/x/y", "example.com/x"));
    assert_false(template_prefix_matches("", "example.com"));
}

static struct ac_pairs labels_of(const char *const v[][2], size_t n)
{
    struct ac_pairs p = {0};
    for (size_t i = 0; i < n; i++)
        ac_pairs_add(&p, v[i][0], v[i][1]);
    return p;
}

/* DISC-05, DISC-07 to DISC-10, DISC-12, DISC-22 */
static void test_template(void **state)
{
    (void)state;
    static const char *const l[][2] = {
        {"version", "1.0.0"}, {"os", "linux"}, {"arch", "amd64"}, {"env", "a b/c,d"}};
    struct ac_pairs labels = labels_of(l, 4);
    char *image, *sig;
    assert_int_equal(template_expand("https://s.example.com/{os}/{arch}/{name}-{version}.{ext}",
                                     "example.com/reduce-worker", &labels, &image, &sig),
                     TEMPLATE_OK);
    assert_string_equal(image,
                        "https://s.example.com/linux/amd64/example.com/reduce-worker-1.0.0.aci");
    assert_string_equal(
        sig, "https://s.example.com/linux/amd64/example.com/reduce-worker-1.0.0.aci.asc");
    free(image);
    free(sig);
    assert_int_equal(template_expand("https://s/{env}.{ext}", "a", &labels, &image, &sig),
                     TEMPLATE_OK);
    assert_string_equal(image, "https://s/a%20b%2Fc%2Cd.aci");
    free(image);
    free(sig);
    static const char *const leftovers[] = {"https://s/{x}.{ext}", "https://s/{+name}.{ext}",
                                            "https://s/{?q}.{ext}", "https://s/{}.{ext}",
                                            "https://s/{{name}}.{ext}"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(template_expand(leftovers[i], "a", &labels, &image, &sig),
                         TEMPLATE_LEFTOVER);
    assert_int_equal(template_expand("https://s/{name}.aci", "a", &labels, &image, &sig),
                     TEMPLATE_NO_EXT);
    ac_pairs_done(&labels);
}

static void test_template_latest(void **state)
{
    (void)state;
    static const char *const l[][2] = {{"version", ""}};
    struct ac_pairs none = {0}, empty = labels_of(l, 1);
    const struct ac_pairs *both[] = {&none, &empty};
    for (size_t i = 0; i < 2; i++) {
        char *image, *sig;
        assert_int_equal(template_expand("https://s/{version}.{ext}", "a", both[i], &image, &sig),
                         TEMPLATE_OK);
        assert_string_equal(image, "https://s/latest.aci");
        free(image);
        free(sig);
    }
    ac_pairs_done(&empty);
}

static void test_template_bound(void **state)
{
    (void)state;
    struct ac_pairs labels = {0};
    char big[4000], *image, *sig;
    memset(big, '/', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    ac_pairs_add(&labels, "v", big);
    assert_int_equal(template_expand("https://s/{v}{v}{v}{v}.{ext}", "a", &labels, &image, &sig),
                     TEMPLATE_TOO_LONG);
    ac_pairs_done(&labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_parts),       cmocka_unit_test(test_url_refusals),
        cmocka_unit_test(test_url_resolve),     cmocka_unit_test(test_url_signature),
        cmocka_unit_test(test_headers),         cmocka_unit_test(test_headers_hostile),
        cmocka_unit_test(test_prefix),          cmocka_unit_test(test_template),
        cmocka_unit_test(test_template_latest), cmocka_unit_test(test_template_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
