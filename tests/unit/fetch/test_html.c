/* SPDX-License-Identifier: Apache-2.0 */
/* Meta tags in all sorts of pages, and what discovery makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "fetch/discover.h"
#include "fetch/html.h"
#include "schema/value.h"

#define TAG(prefix, template) "<meta name=\"ac-discovery\" content=\"" prefix " " template "\">"

static size_t count(const char *page)
{
    struct html_tags t;
    html_find_tags(page, strlen(page), &t);
    size_t n = t.n;
    html_tags_done(&t);
    return n;
}

static void first(const char *page, const char *prefix, const char *target)
{
    struct html_tags t;
    html_find_tags(page, strlen(page), &t);
    assert_true(t.n >= 1);
    assert_string_equal(t.v[0].prefix, prefix);
    assert_string_equal(t.v[0].target, target);
    html_tags_done(&t);
}

/* DISC-02, DISC-23, DISC-24 */
static void test_forms(void **state)
{
    (void)state;
    first("<html><head>" TAG("example.com", "https://s/{name}.{ext}") "</head></html>",
          "example.com", "https://s/{name}.{ext}");
    first("<META CONTENT='  e.com   https://s/{ext}  ' NAME=ac-discovery>", "e.com",
          "https://s/{ext}");
    first("<meta name=\"ac-discovery\" content=\"e.com https://s/?a=1&amp;b=2\"/>", "e.com",
          "https://s/?a=1&b=2");
    first("<!DOCTYPE html><body><p>text<div>" TAG("e.com", "https://s/{ext}"), "e.com",
          "https://s/{ext}");
    first("<meta name=ac-discovery content='e.com https://s/1'>"
          "<meta name=ac-discovery content='e.com https://s/2'>",
          "e.com", "https://s/1");
    struct html_tags t;
    static const char keys[] = "<meta name='ac-discovery-pubkeys' content='e.com https://e.com/k'>";
    html_find_tags(keys, strlen(keys), &t);
    assert_int_equal(t.n, 1);
    assert_true(t.v[0].pubkeys);
    html_tags_done(&t);
}

static void test_not_tags(void **state)
{
    (void)state;
    static const char *const pages[] = {
        "",
        "plain text",
        "<!-- " TAG("e.com", "https://s/{ext}") " -->",
        "<script>'" TAG("e.com", "https://s/{ext}") "'</script>",
        "<style>" TAG("e.com", "https://s/{ext}") "</style>",
        "<form><textarea>" TAG("e.com", "https://s/{ext}") "</textarea></form>",
        "<title>" TAG("e.com", "https://s/{ext}") "</title>",
        "<noscript>" TAG("e.com", "https://s/{ext}") "</noscript>",
        "<meta name='ac-discovery' content='e.com'>",
        "<meta name='ac-discovery' content='   '>",
        "<meta name='ac-discovery' content='e.com\thttps://s'>",
        "<meta name='ac-discovery'>",
        "<meta content='e.com https://s'>",
        "<meta name='AC-Discovery' content='e.com https://s'>",
        "<meta name='ac-discovery-other' content='e.com https://s'>",
        "&lt;meta name='ac-discovery' content='e.com https://s'&gt;",
    };
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        assert_int_equal(count(pages[i]), 0);
}

/* A page as content management systems make them. */
static void test_real_world(void **state)
{
    (void)state;
    static const char page[] =
        "\xef\xbb\xbf<!doctype html>\n<html lang=en class=\"no-js\" data-x='{\"a\": \"<b>\"}'>\n"
        "<head><meta charset=utf-8><title>A &amp; B</title>\n"
        "<link rel=preload href=/x.css as=style onload=\"this.onload=null\">\n"
        "<script>if (a < b && c > d) document.write(\"<meta>\");</script>\n"
        "<meta property=\"og:title\" content=\"x\">\n"
        "<meta name=\"ac-discovery\"\n      content=\"example.com https://s/{name}.{ext}\">\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\"><path d=\"M0 0\"/></svg>\n"
        "</head><body><br/><p>unclosed <b>tags <i>everywhere</b></i>\n"
        "<meta name=ac-discovery content=\"example.com https://t/{name}.{ext}\"></html>trailing";
    struct html_tags t;
    html_find_tags(page, strlen(page), &t);
    assert_int_equal(t.n, 2);
    assert_string_equal(t.v[1].target, "https://t/{name}.{ext}");
    html_tags_done(&t);
}

static void repeat(struct buf *b, const char *text, size_t bytes)
{
    while (b->len < bytes)
        buf_adds(b, text);
}

/* Each of these makes a naive parser slow or deep; the time limit of the test program is the check.
 */
static void test_bombs(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "<div>",   "<a b=c ", "<!--", "<![CDATA[",       "&amp",
        "<p></x>", "<b></p>", "\"'<", "<table><tr><td>", "<meta name=ac-discovery content='a b'>"};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct buf b = {0};
        struct html_tags t;
        repeat(&b, pieces[i], HTML_PAGE_MAX + 5000);
        html_find_tags(b.data, b.len, &t);
        assert_true(t.n <= HTML_TAGS_MAX);
        html_tags_done(&t);
        buf_free(&b);
    }
    struct buf b = {0}; /* one element with as many different attributes as fit */
    buf_adds(&b, "<p");
    for (unsigned i = 0; b.len < HTML_PAGE_MAX - 100; i++)
        buf_printf(&b, " a%x", i);
    buf_adds(&b, ">" TAG("e.com", "https://s/{ext}"));
    struct html_tags t;
    html_find_tags(b.data, b.len, &t);
    html_tags_done(&t);
    buf_free(&b);
}

/* A tag before a bomb counts: real pages have it in their head. */
static void test_tag_before_bomb(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, TAG("e.com", "https://s/{ext}"));
    repeat(&b, "<div>", 2 * HTML_PAGE_MAX);
    assert_int_equal(count(b.data), 1);
    buf_free(&b);
}

static unsigned page_finds(const char *page, const char *name, unsigned kinds, struct discover *d,
                           char **outcome)
{
    struct ac_pairs labels = {0};
    unsigned found;
    ac_pairs_add(&labels, "os", "linux");
    *d = (struct discover){0};
    discover_page(page, strlen(page), name, &labels, false, d, kinds, &found, outcome);
    ac_pairs_done(&labels);
    return found;
}

/* DISC-06, DISC-13, DISC-21, DISC-33 */
static void test_page_choice(void **state)
{
    (void)state;
    struct discover d;
    char *outcome;
    static const char page[] =
        TAG("example.org", "https://wrong/{name}.{ext}") TAG("example.com", "hdfs://s/{name}.{ext}")
            TAG("example.com", "https://s/{arch}.{ext}") TAG("example.com", "http://s/{name}.{ext}")
                TAG("example.com", "https://s/{name}.{ext}");
    assert_int_equal(page_finds(page, "example.com/x", DISCOVER_IMAGES, &d, &outcome),
                     DISCOVER_IMAGES);
    assert_int_equal(d.nendpoints, 4);
    assert_non_null(strstr(d.endpoints[0].problem, "scheme"));
    assert_non_null(strstr(d.endpoints[1].problem, "variable"));
    assert_non_null(strstr(d.endpoints[2].problem, "https"));
    assert_null(d.endpoints[3].problem);
    assert_string_equal(d.endpoints[3].signature, "https://s/example.com/x.aci.asc");
    free(outcome);
    discover_done(&d);
    assert_int_equal(page_finds(page, "example.community/x", DISCOVER_IMAGES, &d, &outcome), 0);
    assert_non_null(strstr(outcome, "prefix"));
    free(outcome);
    discover_done(&d);
}

/* DISC-04: the URL of keys is no template. */
static void test_page_keys(void **state)
{
    (void)state;
    struct discover d;
    char *outcome;
    static const char page[] =
        "<meta name=ac-discovery-pubkeys content='example.com https://s/{name}'>"
        "<meta name=ac-discovery-pubkeys content='example.com http://s/plain'>";
    assert_int_equal(page_finds(page, "example.com/x", DISCOVER_KEYS, &d, &outcome), DISCOVER_KEYS);
    assert_int_equal(d.keys.n, 1);
    assert_string_equal(d.keys.v[0], "https://s/{name}");
    free(outcome);
    discover_done(&d);
}

/* DISC-01, DISC-27 */
static void test_discovery_url(void **state)
{
    (void)state;
    cleanup_free char *a = discover_url("example.com/x", true, 0);
    cleanup_free char *b = discover_url("example.com", false, 8080);
    assert_string_equal(a, "https://example.com/x?ac-discovery=1");
    assert_string_equal(b, "http://example.com:8080/?ac-discovery=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),           cmocka_unit_test(test_not_tags),
        cmocka_unit_test(test_real_world),      cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_tag_before_bomb), cmocka_unit_test(test_page_choice),
        cmocka_unit_test(test_page_keys),       cmocka_unit_test(test_discovery_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
