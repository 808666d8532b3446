/* SPDX-License-Identifier: Apache-2.0 */
/* schema/types.h: the scalar types (TYPE-01 to TYPE-19). */
#include "tests/unit/schema/util.h"

#include "base/str.h"
#include "schema/types.h"

static void check_all(bool (*valid)(const char *), const char *const *good, const char *const *bad)
{
    for (; *good; good++)
        if (!valid(*good))
            fail_msg("\"%s\" is refused", *good);
    for (; *bad; bad++)
        if (valid(*bad))
            fail_msg("\"%s\" is accepted", *bad);
}

/* TYPE-01, TYPE-02 (A1): by the regular expression, not by the looser code. */
static void identifiers(void **state)
{
    (void)state;
    static const char *const good[] = {"a",
                                       "0",
                                       "a.b/c~d_e-f",
                                       "example.com/database",
                                       "a1/b2/c3",
                                       "sub-domain.example.com/org/product/release",
                                       "example.com/~user/app_v1",
                                       NULL};
    static const char *const bad[] = {"",          "A",
                                      "-a",        "a-",
                                      "a/",        "/a",
                                      "a b",       "a:b",
                                      "a%20",      "a--b",
                                      "a..b",      "a//b",
                                      "a/../b",    "a./b",
                                      "a\xc3\xa4", "a\n",
                                      "a,b",       "a=b",
                                      ".",         "..",
                                      "~a",        "example.com/../etc",
                                      "a/~",       "a/~/b",
                                      "a/~~b",     "/~b",
                                      "a~/b",      "a/~.b",
                                      NULL};
    check_all(ac_identifier_valid, good, bad);
}

/* TYPE-03, TYPE-04. */
static void names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "my-app", "0-1", "product-database-release", NULL};
    static const char *const bad[] = {"",   "my_app", "my.app", "a/b", "a~b", "-a",
                                      "a-", "A",      "a--b",   "a b", "a\n", NULL};
    check_all(ac_name_valid, good, bad);
}

/* TYPE-05, TYPE-06. */
static void sanitisers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *identifier;
    } rows[] = {
        {"Foo_Bar!", "foo-bar", "foo_bar"},
        {"___", NULL, NULL},
        {"", NULL, NULL},
        {"Example.COM/My App/", "example-com-my-app", "example.com/my-app"},
        {"a", "a", "a"},
        {"--a--b--", "a-b", "a-b"},
        {"a/../b", "a-b", "a/b"},
        {"\xc3\xa4x\xc3\xb6", "x", "x"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_free char *name = ac_name_sanitise(rows[i].text);
        cleanup_free char *identifier = ac_identifier_sanitise(rows[i].text);
        if (!str_eq(name, rows[i].name) || !str_eq(identifier, rows[i].identifier))
            fail_msg("\"%s\" gave %s and %s", rows[i].text, name, identifier);
        assert_true(!name || ac_name_valid(name));
        assert_true(!identifier || ac_identifier_valid(identifier));
    }
}

/* TYPE-07, TYPE-08. */
static void kinds(void **state)
{
    (void)state;
#define IMAGE_KIND(kind) "{" kind "'acVersion':'0.8.11','name':'a'}"
#define POD_KIND(kind)   "{" kind "'acVersion':'0.8.11','apps':[" PODAPP("") "]}"
    static const struct row images[] = {
        {IMAGE_KIND("'acKind':'ImageManifest',"), NULL, NULL},
        {IMAGE_KIND("'acKind':'PodManifest',"), "$.acKind", "must be \"ImageManifest\""},
        {IMAGE_KIND("'acKind':'imagemanifest',"), "$.acKind", "must be \"ImageManifest\""},
        {IMAGE_KIND("'acKind':'',"), "$.acKind", "must be"},
        {IMAGE_KIND("'acKind':'Foo',"), "$.acKind", "not \"Foo\""},
        {IMAGE_KIND(""), "$.acKind", "is required"},
    };
    static const struct row pods[] = {
        {POD_KIND("'acKind':'PodManifest',"), NULL, NULL},
        {POD_KIND("'acKind':'ImageManifest',"), "$.acKind", "must be \"PodManifest\""},
        {POD_KIND("'acKind':'podManifest',"), "$.acKind", "must be"},
        {POD_KIND(""), "$.acKind", "is required"},
    };
    check_images(images);
    check_pods(pods);
}

/* TYPE-09, TYPE-10. */
static void semantic_versions(void **state)
{
    (void)state;
    static const char *const good[] = {"0.8.11",
                                       "1.0.0-rc.1+b5",
                                       "0.0.0",
                                       "1.2.3-0",
                                       "1.2.3-a-b.-1",
                                       "1.0.0+01.a-b",
                                       "1.0.0-0a.1",
                                       "10.20.30",
                                       "1.0.0-alpha",
                                       "99999999999999999999.0.0",
                                       NULL};
    static const char *const bad[] = {
        "1.2",    "v1.0.0",         "",         "01.2.3",     "1.02.3",   "1.2.03",
        "1.2.3-", "1.2.3+",         "1.2.3-01", "1.2.3-a..b", "1.2.3 ",   "1.2.3.4",
        "1..3",   "1.2.3-\xc3\xa4", "-1.2.3",   "1.2.3+a+b",  "1.2.3-a.", NULL};
    check_all(ac_semver_valid, good, bad);
}

static int sign(int c)
{
    return (c > 0) - (c < 0);
}

/* Precedence: the order of the specification of semantic versions, section 11. */
static void version_order(void **state)
{
    (void)state;
    static const char *const order[] = {
        "0.8.9",
        "0.8.11",
        "0.10.0",
        "1.0.0-1",
        "1.0.0-9",
        "1.0.0-10",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "2.0.0",
        "2.1.0",
        "2.1.1",
        "18446744073709551616.0.0",
        "18446744073709551617.0.0",
    };
    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        for (size_t k = 0; k < ARRAY_SIZE(order); k++) {
            assert_true(ac_semver_valid(order[i]));
            if (sign(ac_semver_compare(order[i], order[k])) != (i > k) - (i < k))
                fail_msg("%s and %s", order[i], order[k]);
        }
    assert_int_equal(ac_semver_compare("1.0.0+a", "1.0.0+b"), 0);
    assert_int_equal(ac_semver_compare("1.0.0-a+1", "1.0.0-a"), 0);
}

/* GEN-11, GEN-12. */
static void version_series(void **state)
{
    (void)state;
    assert_int_equal(ac_semver_series("0.1.0", "0.8.11"), 0);
    assert_true(ac_semver_series("0.9.0", "1.0.0") < 0);
    assert_true(ac_semver_series("1.0.0", "0.8.11") > 0);
    assert_true(ac_semver_series("10.0.0", "9.0.0") > 0);
}

/* TYPE-11, TYPE-12 (A6). */
static void image_ids(void **state)
{
    (void)state;
    static const char *const good[] = {ID, "sha512-" HEX64 "0123456789ABCDEF" HEX16 HEX16 HEX16,
                                       NULL};
    static const char *const bad[] = {"",
                                      "sha512",
                                      "sha512-",
                                      "sha512-a-b",
                                      "sha512-" HEX64,
                                      "sha256-" HEX64,
                                      "sha256-" HEX64 HEX64,
                                      "SHA512-" HEX64 HEX64,
                                      "sha512-" HEX64 HEX64 "0",
                                      "sha512-" HEX64 HEX16 HEX16 HEX16 "0123456789abcdeg",
                                      " " ID,
                                      ID "\n",
                                      NULL};
    check_all(ac_image_id_valid, good, bad);
    cleanup_free char *id = ac_image_id_canonical(good[1]);
    assert_string_equal(id, ID);
    assert_int_equal(strlen(id), AC_IMAGE_ID_LEN);
    assert_null(ac_image_id_canonical("sha512-" HEX64));
}

static void image_id_prefixes(void **state)
{
    (void)state;
    cleanup_free char *some = ac_image_id_prefix("sha512-0A");
    cleanup_free char *all = ac_image_id_prefix(ID);
    assert_string_equal(some, "sha512-0a");
    assert_string_equal(all, ID);
    assert_null(ac_image_id_prefix(ID "0"));
    assert_null(ac_image_id_prefix("sha512-"));
    assert_null(ac_image_id_prefix("sha512-0g"));
    assert_null(ac_image_id_prefix("0a"));
}

/* TYPE-15, TYPE-16. */
static void dates(void **state)
{
    (void)state;
    static const char *const good[] = {"2015-05-18T13:49:28.3-04:00",
                                       "2014-10-27T19:32:27.67021798Z",
                                       "2015-05-18T13:49:28.351729952-04:00",
                                       "2016-02-29T23:59:59Z",
                                       "2000-02-29T00:00:00+23:59",
                                       "2015-01-01T00:00:00.00000000000000000000000001Z",
                                       NULL};
    static const char *const bad[] = {"",
                                      "2015-05-18",
                                      "2015-05-18 13:49:28Z",
                                      "2015-05-18t13:49:28Z",
                                      "2015-05-18T13:49:28z",
                                      "2015-05-18T13:49:28",
                                      "2015-05-18T13:49:60Z",
                                      "2015-05-18T24:00:00Z",
                                      "2015-05-18T13:60:00Z",
                                      "2015-02-29T13:49:28Z",
                                      "1900-02-29T13:49:28Z",
                                      "2015-13-01T13:49:28Z",
                                      "2015-00-01T13:49:28Z",
                                      "2015-04-31T13:49:28Z",
                                      "2015-04-00T13:49:28Z",
                                      "2015-05-18T13:49:28.Z",
                                      "2015-05-18T13:49:28,3Z",
                                      "2015-05-18T13:49:28+0400",
                                      "2015-05-18T13:49:28+24:00",
                                      "2015-05-18T13:49:28+04:60",
                                      "2015-05-18T13:49:28Z ",
                                      "15-05-18T13:49:28Z",
                                      "2015-5-18T13:49:28Z",
                                      NULL};
    check_all(ac_date_valid, good, bad);
}

/* TYPE-17, TYPE-18. */
static void uuids(void **state)
{
    (void)state;
    static const char canonical[] = "6733c088-a507-4694-aabf-edbe4fc5266f";
    static const char *const good[] = {"6733C088A5074694AABFEDBE4FC5266F", canonical,
                                       "6-7-33c088a5074694aabfedbe4fc5266f---"};
    static const char *const bad[] = {"",
                                      "6733c088-a507-4694-aabf-edbe4fc5266",
                                      "6733c088-a507-4694-aabf-edbe4fc5266f0",
                                      "6733c088-a507-4694-aabf-edbe4fc5266f\n",
                                      "6733c088-a507-4694-aabf-edbe4fc5266g",
                                      "{6733c088-a507-4694-aabf-edbe4fc5266f}",
                                      "00000000-0000-0000-0000-000000000000"};
    uint8_t uuid[AC_UUID_SIZE];
    char text[AC_UUID_TEXT];
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(ac_uuid_parse(good[i], uuid), 0);
        ac_uuid_format(uuid, text);
        assert_string_equal(text, canonical);
    }
    memset(uuid, 7, sizeof(uuid));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(ac_uuid_parse(bad[i], uuid), -1);
    for (size_t i = 0; i < sizeof(uuid); i++)
        assert_int_equal(uuid[i], 7);
}

/* POD-43: version and variant bits. */
static void new_uuids(void **state)
{
    (void)state;
    uint8_t bits[AC_UUID_SIZE], uuid[AC_UUID_SIZE];
    char text[AC_UUID_TEXT];
    memset(bits, 0, sizeof(bits));
    ac_uuid_v4(bits, uuid);
    ac_uuid_format(uuid, text);
    assert_string_equal(text, "00000000-0000-4000-8000-000000000000");
    memset(bits, 0xff, sizeof(bits));
    ac_uuid_v4(bits, bits);
    ac_uuid_format(bits, text);
    assert_string_equal(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

/* TYPE-19. */
static void urls(void **state)
{
    (void)state;
    static const char *const good[] = {"http://example.com",
                                       "HTTPS://x",
                                       "https://example.com/docs?a=b#c",
                                       "https://user:pw@example.com:8443/",
                                       "https://[::1]:80/a%20b",
                                       "http://a/with space",
                                       NULL};
    static const char *const bad[] = {"",
                                      "ftp://x",
                                      "example.com",
                                      "http:",
                                      "http:/x",
                                      "http://",
                                      "http:///x",
                                      "https://?a",
                                      "https://:80/",
                                      "https://user@/",
                                      "https://a b/",
                                      "https://a/%2",
                                      "https://a/%zz",
                                      "https://a/\n",
                                      "https://<a>/",
                                      " https://a",
                                      "httpss://a",
                                      "javascript:http://a",
                                      NULL};
    check_all(ac_url_valid, good, bad);
}

static void paths(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"/a/b", "/a/b"},
        {"a/b", "/a/b"},
        {"/a//b/", "/a/b"},
        {"/", "/"},
        {"", "/"},
        {".", "/"},
        {"..", "/"},
        {"/../../x", "/x"},
        {"/a/./b/../c", "/a/c"},
        {"/a/..", "/"},
        {"/...", "/..."},
        {"/..a/.b", "/..a/.b"},
        {"/etc/systemd/system/", "/etc/systemd/system"},
        {"//", "/"},
        {"/a/b/../../..", "/"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_free char *path = ac_path_clean(rows[i].in);
        assert_string_equal(path, rows[i].out);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(identifiers),
        cmocka_unit_test(names),
        cmocka_unit_test(sanitisers),
        cmocka_unit_test(kinds),
        cmocka_unit_test(semantic_versions),
        cmocka_unit_test(version_order),
        cmocka_unit_test(version_series),
        cmocka_unit_test(image_ids),
        cmocka_unit_test(image_id_prefixes),
        cmocka_unit_test(dates),
        cmocka_unit_test(uuids),
        cmocka_unit_test(new_uuids),
        cmocka_unit_test(urls),
        cmocka_unit_test(paths),
    };
    return RUN(tests);
}
