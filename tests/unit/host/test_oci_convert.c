/* SPDX-License-Identifier: Apache-2.0 */
/* Configs of OCI images become manifests; accounts of an image. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/oci/accounts.h"
#include "host/oci/convert.h"

static const char passwd[] = "# no line\nbroken:x:\nroot:x:0:0::/:\nme:x:7:8:Me:/:/bin/sh\n"
                             "wild:x:99999999999:1::/:\n12:x:13:14::/:\nlast:x:5:6";
static const char group[] = "root:x:0:\na:x:20:me,you\nb:x:x:me\nc:x:21:you,me\nd:x:22:mean";

static void test_accounts(void **state)
{
    (void)state;
    static const struct {
        const char *user, *name;
        uint32_t gid;
    } found[] = {
        {"me", "me", 8}, {"7", "me", 8}, {"12", "12", 14}, {"last", "last", 6}, {"0", "root", 0}};
    for (size_t i = 0; i < ARRAY_SIZE(found); i++) {
        cleanup_free char *name = NULL;
        uint32_t gid;
        assert_true(accounts_find_user(passwd, strlen(passwd), found[i].user, &name, &gid));
        assert_string_equal(name, found[i].name);
        assert_int_equal(gid, found[i].gid);
    }
    static const char *const missing[] = {"broken", "wild", "", "no"};
    for (size_t i = 0; i < ARRAY_SIZE(missing); i++) {
        char *name;
        uint32_t gid;
        assert_false(accounts_find_user(passwd, strlen(passwd), missing[i], &name, &gid));
    }
    size_t n;
    cleanup_free uint32_t *groups = accounts_groups_of(group, strlen(group), "me", &n);
    assert_int_equal(n, 2);
    assert_int_equal(groups[0], 20);
    assert_int_equal(groups[1], 21);
}

/* The manifest of a config with these members. */
static struct ac_image_manifest *convert(const char *members, size_t warnings)
{
    struct oci_image image = {0};
    struct ac_strings w = {0};
    struct ac_image_manifest *m;
    struct ac_fault fault;
    struct err e;
    cleanup_free char *text = xasprintf("{\"os\": \"linux\", \"architecture\": \"arm64\", "
                                        "\"config\": {%s}, \"rootfs\": {}}",
                                        members);
    cleanup_free char *out = NULL;
    size_t len;
    const struct convert_accounts a = {{passwd, strlen(passwd)}, {group, strlen(group)}};
    assert_int_equal(oci_config_parse(text, strlen(text), "x", &image.config, &e), 0);
    oci_digest_of(text, strlen(text), image.digest);
    if (convert_config(&image, &a, &out, &len, &w, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(ac_image_manifest_parse(out, len, &m, &fault), 0);
    assert_int_equal(w.n, warnings);
    assert_string_equal(ac_pairs_get(&m->labels, "version"), image.digest);
    ac_strings_done(&w);
    oci_config_done(&image.config);
    return m;
}

static void test_empty_config(void **state)
{
    (void)state;
    struct ac_image_manifest *m = convert("", 0);
    assert_true(m->has_app);
    assert_int_equal(m->app.exec.n, 0);
    assert_string_equal(m->app.user, "0");
    assert_string_equal(m->app.group, "0");
    assert_string_equal(m->app.working_directory, "/");
    assert_string_equal(ac_pairs_get(&m->labels, "arch"), "aarch64");
    assert_non_null(ac_pairs_get(&m->app.environment, "PATH"));
    ac_image_manifest_free(m);
}

static void test_users(void **state)
{
    (void)state;
    struct ac_image_manifest *m = convert("\"User\": \"me\"", 0);
    assert_string_equal(m->app.user, "me");
    assert_string_equal(m->app.group, "8");
    assert_int_equal(m->app.nsupplementary_gids, 2);
    ac_image_manifest_free(m);
    m = convert("\"User\": \"me:a\"", 0);
    assert_string_equal(m->app.group, "a");
    assert_int_equal(m->app.nsupplementary_gids, 0);
    ac_image_manifest_free(m);
}

static void test_lists(void **state)
{
    (void)state;
    struct ac_image_manifest *m = convert(
        "\"ExposedPorts\": {\"1/tcp\": {}, \"1\": {}, \"0\": {}, \"65536\": {}, \"5-4\": {}, "
        "\"7-9/udp\": {}, \"x\": {}}, \"Volumes\": {\"/\": {}, \"\": {}, \"/a/../b\": {}, "
        "\"/b\": {}, \"/B\": {}}, \"Env\": [\"a=1\", \"=x\", \"PATH=/x\"], \"WorkingDir\": "
        "\"rel\"",
        8);
    assert_int_equal(m->app.nports, 2);
    assert_string_equal(m->app.ports[1].name, "7-9-udp");
    assert_int_equal(m->app.ports[1].count, 3);
    assert_int_equal(m->app.nmount_points, 2);
    assert_string_equal(m->app.mount_points[1].name, "volume-b-2");
    assert_string_equal(ac_pairs_get(&m->app.environment, "PATH"), "/x");
    ac_image_manifest_free(m);
}

static void test_user_that_is_a_path(void **state)
{
    (void)state;
    static const char text[] = "{\"os\": \"linux\", \"architecture\": \"amd64\", \"config\": "
                               "{\"User\": \"/etc/shadow\"}, \"rootfs\": {}}";
    struct oci_image image = {0};
    struct ac_strings w = {0};
    struct err e;
    char *out;
    size_t len;
    const struct convert_accounts a = {{"", 0}, {"", 0}};
    assert_int_equal(oci_config_parse(text, strlen(text), "x", &image.config, &e), 0);
    oci_digest_of("", 0, image.digest);
    assert_int_equal(convert_config(&image, &a, &out, &len, &w, &e), -1);
    assert_non_null(strstr(e.msg, "/etc/shadow"));
    oci_config_done(&image.config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_empty_config),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_user_that_is_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
