/* SPDX-License-Identifier: Apache-2.0 */
/* schema/: the JSON of manifests and the place of faults (GEN-01 to GEN-14). */
#include "tests/unit/schema/util.h"

#include "base/buf.h"
#include "base/err.h"
#include "schema/locate.h"
#include "schema/types.h"

/* GEN-03: RFC 4627, nothing before, behind or inside. */
static void syntax_is_strict(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {IMAGE(""), NULL, NULL},
        {" \r\n\t" IMAGE("") " \n", NULL, NULL},
        {"", "", "not valid JSON"},
        {"{", "", "not valid JSON"},
        {"{'a':1,}", "", "not valid JSON"},
        {"[1,]", "", "not valid JSON"},
        {"{'a':01}", "", "not valid JSON"},
        {"{'a':+1}", "", "not valid JSON"},
        {"{'a':NaN}", "", "not valid JSON"},
        {"{'a':'\t'}", "", "not valid JSON"},
        {"{'a':'\xff'}", "", "not valid JSON"},
        {"{'a':'\\ud800'}", "", "not valid JSON"},
        {"{/**/}", "", "not valid JSON"},
        {"\xef\xbb\xbf" IMAGE(""), "", "byte order mark"},
        {IMAGE("") "x", "", "something follows"},
        {IMAGE("") "{}", "", "something follows"},
        {"{'a':'\\u0000'}", "", "NUL"},
        {"{'\\u0000':1}", "", "NUL"},
        {"[]", "$", "must be an object, not a list"},
    };
    check_images(rows);
}

/* GEN-03: raw NUL bytes hide nothing. */
static void nul_bytes_are_refused(void **state)
{
    (void)state;
    cleanup_free char *text = quoted(IMAGE(""));
    size_t len = strlen(text);
    struct ac_fault fault;
    struct ac_image_manifest *m;
    assert_int_equal(ac_image_manifest_parse(text, len + 1, &m, &fault), -1);
    assert_non_null(strstr(fault.msg, "NUL"));
    assert_int_equal(fault.line, 1);
    assert_int_equal(fault.column, len + 1);
    assert_int_equal(ac_image_manifest_parse("", 0, &m, &fault), -1);
    assert_int_equal(ac_image_manifest_parse(text, len, &m, NULL), 0);
    ac_image_manifest_free(m);
    assert_int_equal(ac_image_manifest_parse("[", 1, &m, NULL), -1);
    ac_image_manifest_free(NULL);
    ac_pod_manifest_free(NULL);
}

static void repeat(struct buf *b, const char *s, size_t n)
{
    while (n--)
        buf_adds(b, s);
}

static void expect_limit(struct buf *b, const char *msg)
{
    struct ac_fault fault;
    struct ac_image_manifest *m;
    assert_int_equal(ac_image_manifest_parse(b->data, b->len, &m, &fault), -1);
    if (!strstr(fault.msg, msg))
        fail_msg("%s", fault.msg);
    buf_free(b);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    struct buf b = {0};
    repeat(&b, "[", 129);
    expect_limit(&b, "nested deeper than 128");
    repeat(&b, "{\"a\":", 100000);
    expect_limit(&b, "nested deeper than 128");
    repeat(&b, " ", AC_MANIFEST_MAX + 1);
    expect_limit(&b, "limit");
    buf_adds(&b, "[");
    repeat(&b, "[],", 300000);
    expect_limit(&b, "more values");
    buf_adds(&b, "[");
    repeat(&b, "1,", 1100000);
    expect_limit(&b, "more values");
}

/* The deepest nesting that is allowed works all the way, brackets in strings do not count. */
static void depth_limit_is_exact(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "{'x':'[[\\\\','y':");
    repeat(&b, "[", 127);
    repeat(&b, "]", 127);
    buf_adds(&b, "," IMAGE_END);
    ac_image_manifest_free(image_of(b.data));
    buf_free(&b);
}

/* GEN-04, GEN-05, GEN-06, GEN-07 (A3, A4). */
static void members_are_found(void **state)
{
    (void)state;
    static const struct row valid[] = {
        {IMAGE("'app':null,'labels':null,'dependencies':null,'annotations':null,"), NULL, NULL},
        {IMAGE("'x-foo':{'name':[1,2.5,null]},'':0,"), NULL, NULL},
        {APP("'x-foo':{},'exec':null,'workingDirectory':null,'environment':null,"
             "'isolators':null,'ports':null,'userLabels':null,"),
         NULL, NULL},
        {"{'ACKIND':'ImageManifest','acversion':'0.8.11','Name':'a'}", NULL, NULL},
    };
    check_images(valid);
}

static void last_member_wins(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *name; /* NULL: invalid */
    } rows[] = {
        {"'name':'a','name':'b'", "b"},
        {"'name':'a','NAME':'b'", "a"},
        {"'NAME':'b','name':'a'", "a"},
        {"'NAME':'a','Name':'b'", "b"},
        {"'Name':'A B','NAME':'b'", "b"},
        {"'n\\u0061me':'a'", "a"},
        {"'name':'a','name':null", NULL},
        {"'name':null,'NAME':'a'", NULL},
        {"'nam':'a'", NULL},
        {"'names':'a'", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf b = {0};
        buf_printf(&b, "{'acKind':'ImageManifest','acVersion':'0.8.11',%s}", rows[i].json);
        struct row bad = {b.data, "$.name", "is required"};
        if (rows[i].name) {
            struct ac_image_manifest *m = image_of(b.data);
            assert_string_equal(m->name, rows[i].name);
            ac_image_manifest_free(m);
        } else {
            check_image_rows(&bad, 1);
        }
        buf_free(&b);
    }
}

/* GEN-04: both spellings that the specification uses. */
static void supplementary_gids_in_both_spellings(void **state)
{
    (void)state;
    static const char *const rows[] = {APP("'supplementaryGIDs':[400,500],"),
                                       APP("'supplementaryGids':[400,500],")};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ac_image_manifest *m = image_of(rows[i]);
        assert_int_equal(m->app.nsupplementary_gids, 2);
        assert_int_equal(m->app.supplementary_gids[0], 400);
        assert_int_equal(m->app.supplementary_gids[1], 500);
        ac_image_manifest_free(m);
    }
}

/* GEN-08. */
static void types_are_not_coerced(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {IMAGE("'app':{'user':0,'group':'0'},"), "$.app.user", "must be a string, not an integer"},
        {IMAGE("'app':[],"), "$.app", "must be an object, not a list"},
        {IMAGE("'labels':{'version':'1'},"), "$.labels", "must be a list, not an object"},
        {IMAGE("'labels':[null],"), "$.labels[0]", "must be an object, not null"},
        {IMAGE("'labels':['a'],"), "$.labels[0]", "must be an object, not a string"},
        {APP("'exec':'/bin/true',"), "$.app.exec", "must be a list, not a string"},
        {APP("'exec':['/bin/true',null],"), "$.app.exec[1]", "must be a string, not null"},
        {APP("'exec':[true],"), "$.app.exec[0]", "must be a string, not a boolean"},
        {APP("'ports':[{'name':'a','protocol':'tcp','port':80.0}],"), "$.app.ports[0].port",
         "must be an integer, not a number with a fraction"},
        {APP("'ports':[{'name':'a','protocol':'tcp','port':8e1}],"), "$.app.ports[0].port",
         "must be an integer"},
        {APP("'ports':[{'name':'a','protocol':'tcp','port':'80'}],"), "$.app.ports[0].port",
         "must be an integer, not a string"},
        {APP("'mountPoints':[{'name':'a','path':'/a','readOnly':'true'}],"),
         "$.app.mountPoints[0].readOnly", "must be true or false, not a string"},
        {APP("'mountPoints':[{'name':'a','path':'/a','readOnly':1}],"),
         "$.app.mountPoints[0].readOnly", "must be true or false"},
    };
    check_images(rows);
}

/* GEN-09 and the rest: line and column, from 1, columns in characters. */
static void faults_have_positions(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *path;
        size_t line, column;
    } rows[] = {
        {"{\n\n  x\n}", "", 3, 3},
        {"{'acKind':\n", "", 2, 1},
        {"{\n 'acKind': 'Foo'}", "$.acKind", 2, 12},
        {" {}", "$.acKind", 1, 2},
        {"{'acKind':'Foo',\n'acKind':'Bar'}", "$.acKind", 2, 10},
        {"{'ACKIND':'Foo',\n'acKINd':'Bar'}", "$.acKINd", 2, 10},
        {"{'acKind':\n'Foo','ACKIND':'Bar'}", "$.acKind", 2, 1},
        {"{'\\u0061c\\u004bind' : 5}", "$.acKind", 1, 23},
        {"{'x':'\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80','acKind':5}", "$.acKind", 1, 21},
        {"{'x':[1,[2,{'acKind':3}],'}]'],'acKind':\t5}", "$.acKind", 1, 42},
        {IMAGE("'labels':[{'name':'a'},\n {'name':'b'},\n {'value':'', 'name':'a'}],"),
         "$.labels[2].name", 3, 22},
        {IMAGE("'annotations':[\n{},{}],"), "$.annotations[0].name", 2, 1},
        {IMAGE(
             "'app':{'user':'0','group':'0','userLabels':{'a b\\n':'x',\n'\\u00e4\\t\\u2028':5}},"),
         "$.app.userLabels[\"\xc3\xa4?\xe2\x80\xa8\"]", 2, 18},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_free char *text = quoted(rows[i].json);
        struct ac_fault fault;
        struct ac_image_manifest *m;
        assert_int_equal(ac_image_manifest_parse(text, strlen(text), &m, &fault), -1);
        if (strcmp(fault.path, rows[i].path) != 0 || fault.line != rows[i].line ||
            fault.column != rows[i].column)
            fail_msg("row %zu: %s at %zu:%zu: %s", i, fault.path, fault.line, fault.column,
                     fault.msg);
    }
}

static void faults_become_one_line(void **state)
{
    (void)state;
    struct ac_fault f = {.path = "$.app", .line = 3, .column = 7, .msg = "is wrong"};
    struct err e;
    ac_fault_to_err(&f, "pod.json", &e);
    assert_string_equal(e.msg, "pod.json: $.app: 3:7: is wrong");
    f.path[0] = '\0';
    ac_fault_to_err(&f, "pod.json", &e);
    assert_string_equal(e.msg, "pod.json: 3:7: is wrong");
    f.line = 0;
    ac_fault_to_err(&f, "pod.json", &e);
    assert_string_equal(e.msg, "pod.json: is wrong");
}

/* What a fault quotes can't be used to paint on a terminal, and is cut at whole characters. */
static void faults_are_clean_text(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'acKind':'\\u001b[2J\\u0085\\u009b'}", "$.acKind", "not \"?[2J????\""},
    };
    check_images(rows);
    struct buf b = {0};
    buf_adds(&b, "{'acKind':'x");
    repeat(&b, "\xe2\x82\xac", 100);
    buf_adds(&b, "'}");
    cleanup_free char *text = quoted(b.data);
    struct ac_fault fault;
    struct ac_image_manifest *m;
    assert_int_equal(ac_image_manifest_parse(text, strlen(text), &m, &fault), -1);
    json_t *v = json_string(fault.msg);
    assert_non_null(v);
    json_decref(v);
    buf_free(&b);
}

/* The scanner is given valid JSON only, but must stay within any text. */
static void locating_is_bounded(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",         " ",        "{", "{\"a",     "{\"a\"",
        "{\"a\":",  "{\"a\":[", "[", "[1",       "[1,",
        "{\"\\u00", "{\"\\",    "}", "{\"a\":}", "{\"\\u0061\":[[],[\"]\",{}]]}"};
    static const struct locate_step steps[] = {{"a", 0}, {NULL, 1}, {NULL, 0}};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        size_t len = strlen(texts[i]), line, column;
        cleanup_free char *copy = malloc(len ? len : 1);
        memcpy(copy, texts[i], len);
        locate(copy, len, steps, ARRAY_SIZE(steps), &line, &column);
        assert_int_equal(line, 1);
        assert_true(column >= 1 && column <= len + 1);
    }
    size_t line, column;
    const char *last = texts[ARRAY_SIZE(texts) - 1];
    locate(last, strlen(last), steps, ARRAY_SIZE(steps), &line, &column);
    assert_int_equal(column, 16);
}

/* GEN-10 to GEN-14. */
static void versions(void **state)
{
    (void)state;
#define V(version)  "{'acKind':'ImageManifest','acVersion':" version ",'name':'a'}"
#define PV(version) "{'acKind':'PodManifest'," version "'apps':[" PODAPP("") "]}"
    static const struct row images[] = {
        {V("'0.8.11'"), NULL, NULL},
        {V("'0.1.0'"), NULL, NULL},
        {V("'0.5.1+git'"), NULL, NULL},
        {V("'0.9.0'"), NULL, NULL},
        {V("'0.0.0'"), "$.acVersion", "must not be 0.0.0"},
        {V("''"), "$.acVersion", "is not a semantic version"},
        {V("'1.2'"), "$.acVersion", "is not a semantic version"},
        {V("null"), "$.acVersion", "is required, but null"},
        {V("'1.0.0'"), "$.acVersion", "another major version"},
        {"{'acKind':'ImageManifest','name':'a'}", "$.acVersion", "is required, but missing"},
    };
    static const struct row pods[] = {
        {PV("'acVersion':'0.8.11',"), NULL, NULL},
        {PV(""), "$.acVersion", "is required"},
    };
    check_images(images);
    check_pods(pods);
    assert_null(strchr(AC_VERSION, '+'));
    assert_true(ac_semver_valid(AC_VERSION));
    struct ac_pod_manifest *m = pod_template_of(PV(""));
    assert_string_equal(m->ac_version, AC_VERSION);
    ac_pod_manifest_free(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax_is_strict),
        cmocka_unit_test(nul_bytes_are_refused),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(depth_limit_is_exact),
        cmocka_unit_test(members_are_found),
        cmocka_unit_test(last_member_wins),
        cmocka_unit_test(supplementary_gids_in_both_spellings),
        cmocka_unit_test(types_are_not_coerced),
        cmocka_unit_test(faults_have_positions),
        cmocka_unit_test(faults_become_one_line),
        cmocka_unit_test(faults_are_clean_text),
        cmocka_unit_test(locating_is_bounded),
        cmocka_unit_test(versions),
    };
    return RUN(tests);
}
