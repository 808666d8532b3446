/* SPDX-License-Identifier: Apache-2.0 */
/* References, documents and challenges of OCI images. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "fetch/oci/challenge.h"
#include "fetch/oci/digest.h"
#include "fetch/oci/document.h"
#include "fetch/oci/ref.h"
#include "fetch/oci/registry.h"

#define HEX    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX

static void check_ref(const char *text, const char *full, const char *leaf)
{
    struct oci_ref r;
    struct err e;
    assert_true(oci_ref_is(text));
    assert_int_equal(oci_ref_parse(text, &r, &e), 0);
    cleanup_free char *have = oci_ref_text(&r);
    cleanup_free char *have_leaf = oci_ref_leaf(&r);
    assert_string_equal(have, full);
    assert_string_equal(have_leaf, leaf);
    oci_ref_done(&r);
}

static void test_references(void **state)
{
    (void)state;
    check_ref("docker://redis", "docker://registry-1.docker.io/library/redis:latest", "redis");
    check_ref("docker://redis:7-alpine", "docker://registry-1.docker.io/library/redis:7-alpine",
              "redis");
    check_ref("docker://me/x", "docker://registry-1.docker.io/me/x:latest", "x");
    check_ref("docker://docker.io/redis", "docker://registry-1.docker.io/library/redis:latest",
              "redis");
    check_ref("docker://index.docker.io/a/b:c", "docker://registry-1.docker.io/a/b:c", "b");
    check_ref("docker://localhost/a", "docker://localhost/a:latest", "a");
    check_ref("docker://Example.COM:5000/a/b_c/d--e:T.1",
              "docker://example.com:5000/a/b_c/d--e:T.1", "d--e");
    check_ref("docker://[::1]:5000/a", "docker://[::1]:5000/a:latest", "a");
    check_ref("docker://x@" DIGEST, "docker://registry-1.docker.io/library/x@" DIGEST, "x");
    check_ref("docker://x:1@" DIGEST, "docker://registry-1.docker.io/library/x:1@" DIGEST, "x");
    check_ref("oci:/a/b", "oci:/a/b", "b");
    check_ref("oci:a/b/:v1", "oci:a/b/:v1", "b");
    check_ref("oci:b:docker.io/library/redis:7", "oci:b:docker.io/library/redis:7", "b");
    check_ref("oci:b@" DIGEST, "oci:b@" DIGEST, "b");
    check_ref("oci:a@b", "oci:a@b", "a@b");
    check_ref("oci-archive:x.tar.gz:t", "oci-archive:x.tar.gz:t", "x");
    check_ref("docker-archive:/x/y.tar:n:t", "docker-archive:/x/y.tar:n:t", "y");
}

static void test_bad_references(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "oci:",
        "oci::t",
        "oci:x:",
        "docker://",
        "docker://A",
        "docker://a:",
        "docker://a/",
        "docker:///a",
        "docker://a..b",
        "docker://a___b",
        "docker://-a",
        "docker://a-",
        "docker://a@x",
        "docker://a:-t",
        "docker://u@h.x/a",
        "docker://h.x/../a",
        "docker://a b",
        "docker://a\nb",
        "oci:\x01",
        "docker://h.x?/a",
        "docker://h:99999/a",
        "docker://a@" DIGEST "0",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct oci_ref r;
        struct err e;
        assert_int_equal(oci_ref_parse(bad[i], &r, &e), -1);
    }
    assert_false(oci_ref_is("example.com/oci:1"));
    assert_false(oci_ref_is("docker:x"));
}

static void test_digests(void **state)
{
    (void)state;
    char out[OCI_DIGEST_MAX + 1];
    oci_digest_of("", 0, out);
    assert_string_equal(out,
                        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_true(oci_digest_matches(out, "", 0));
    assert_false(oci_digest_matches(out, "x", 1));
    assert_true(oci_digest_valid("sha512:" HEX HEX));
    assert_false(oci_digest_valid("sha512:" HEX));
    assert_false(oci_digest_valid("sha256:" HEX HEX));
    assert_false(oci_digest_valid("md5:" HEX));
    assert_false(oci_digest_valid("sha256:../../etc/passwd"));
    struct oci_hasher *h = oci_hasher_new(out);
    oci_hasher_add(h, "x", 1);
    oci_hasher_reset(h);
    assert_true(oci_hasher_end(h));
    oci_hasher_free(h);
}

static void check_challenge(const char *value, const char *realm, const char *service,
                            const char *scope)
{
    struct oci_challenge c = {0};
    assert_true(oci_challenge_parse(value, &c));
    assert_string_equal(c.realm, realm);
    assert_string_equal(c.service ? c.service : "-", service);
    assert_string_equal(c.scope ? c.scope : "-", scope);
    oci_challenge_done(&c);
}

static void test_challenges(void **state)
{
    (void)state;
    check_challenge("Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull,push\"",
                    "https://a/t", "s", "repository:x:pull,push");
    check_challenge("bearer Realm = https://a/t , Service=s", "https://a/t", "s", "-");
    check_challenge("Basic realm=\"no\", Bearer realm=\"yes\"", "yes", "-", "-");
    check_challenge("Negotiate, Digest abc==, Bearer realm=\"a\\\"b\"", "a\"b", "-", "-");
    check_challenge("Bearer realm=\"one\", realm=\"two\"", "one", "-", "-");
    static const char *const bad[] = {
        "",    "Basic realm=\"x\"",   "Bearer", "Bearer realm", "Bearer realm=\"x",
        ",,,", "Bearer service=\"x\""};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct oci_challenge c = {0};
        assert_false(oci_challenge_parse(bad[i], &c));
    }
}

#define ENTRY(platform) "{\"digest\": \"" DIGEST "\", \"size\": 1" platform "}"
#define PLATFORM(os, arch, more)                                                                   \
    ", \"platform\": {\"os\": \"" os "\", \"architecture\": \"" arch "\"" more "}"

static const struct oci_descriptor *choose(const char *list, struct oci_document *d)
{
    struct err e;
    cleanup_free char *text = xasprintf("{\"schemaVersion\": 2, \"manifests\": [%s]}", list);
    assert_int_equal(oci_document_parse(text, strlen(text), "x", d, &e), 0);
    assert_true(d->index);
    return oci_document_choose(d, "linux", "amd64");
}

static void test_platforms(void **state)
{
    (void)state;
    struct oci_document d;
    const struct oci_descriptor *c = choose(
        ENTRY(PLATFORM("linux", "arm64", "")) "," ENTRY("") "," ENTRY(PLATFORM(
            "linux", "amd64", ", \"variant\": \"v3\"")) "," ENTRY(PLATFORM("linux", "amd64", "")),
        &d);
    assert_ptr_equal(c, &d.v[3]);
    cleanup_free char *all = oci_document_platforms(&d);
    assert_string_equal(all, "linux/arm64, linux/amd64/v3, linux/amd64");
    oci_document_done(&d);
    c = choose(ENTRY("") "," ENTRY(PLATFORM("windows", "amd64", "")), &d);
    assert_ptr_equal(c, &d.v[0]);
    oci_document_done(&d);
    assert_null(choose(ENTRY(PLATFORM("linux", "riscv64", "")), &d));
    oci_document_done(&d);
    assert_string_equal(oci_arch("arm64", "v8"), "aarch64");
    assert_string_equal(oci_arch("arm", "v6"), "armv6l");
    assert_string_equal(oci_arch("arm", NULL), "armv7l");
    assert_null(oci_arch("mips", NULL));
    assert_null(oci_arch(NULL, NULL));
}

static void test_config(void **state)
{
    (void)state;
    struct oci_config c;
    struct err e;
    static const char text[] =
        "{\"os\": \"linux\", \"architecture\": \"amd64\", \"config\": {\"Env\": null, \"Cmd\": "
        "[\"a\", \"b\"], \"Volumes\": {\"/b\": {}, \"/a\": {}}, \"Labels\": {\"y\": \"1\", \"x\": "
        "\"2\"}}, \"rootfs\": {\"diff_ids\": [\"" DIGEST "\"]}}";
    assert_int_equal(oci_config_parse(text, strlen(text), "x", &c, &e), 0);
    assert_int_equal(c.cmd.n, 2);
    assert_string_equal(c.volumes.v[0], "/a");
    assert_string_equal(c.labels.v[0].name, "x");
    assert_int_equal(c.diff_ids.n, 1);
    assert_null(c.user);
    oci_config_done(&c);
    static const char *const bad[] = {"{}",
                                      "[]",
                                      "{\"rootfs\": {\"diff_ids\": [\"x\"]}}",
                                      "{\"config\": {\"Cmd\": \"sh\"}, \"rootfs\": {}}",
                                      "{\"config\": {\"Env\": [1]}, \"rootfs\": {}}",
                                      "{\"config\": [], \"rootfs\": {}}",
                                      "{\"config\": {\"Labels\": {\"a\": 1}}, \"rootfs\": {}}"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(oci_config_parse(bad[i], strlen(bad[i]), "x", &c, &e), -1);
}

static void test_tokens(void **state)
{
    (void)state;
    struct err e;
    static const char a[] = "{\"token\": \"abc\"}", b[] = "{\"access_token\": \"x.y\"}";
    static const char c[] = "{\"token\": \"a b\"}";
    cleanup_free char *one = registry_parse_token(a, strlen(a), "x", &e);
    cleanup_free char *two = registry_parse_token(b, strlen(b), "x", &e);
    assert_string_equal(one, "abc");
    assert_string_equal(two, "x.y");
    assert_null(registry_parse_token(c, strlen(c), "x", &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references), cmocka_unit_test(test_bad_references),
        cmocka_unit_test(test_digests),    cmocka_unit_test(test_challenges),
        cmocka_unit_test(test_platforms),  cmocka_unit_test(test_config),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
