/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups of an image, ordinary and odd (APP-07 to APP-12). */
#include "scratch.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/accounts.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "# a comment\n"
                             "short:x:1:1\n"
                             "bad:x:one:1::/:\n"
                             "bad:x:7:8:second line is valid:/bad:/bin/false\n"
                             "1000:x:4242:4243::/home/odd:\n"
                             "big:x:4294967295:1::/:\n"
                             "neg:x:-1:1::/:\n"
                             ":x:9:9:no name:/:\n"
                             "colon:x:5:6:g:/home/colon:/bin/sh:more\n"
                             "last:x:77:78::/last:/bin/last";

static void passwd_lines_are_found_and_bad_ones_skipped(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int found;
        uint32_t uid, gid;
    } rows[] = {
        {"root", 1, 0, 0}, {"short", 0, 0, 0}, {"bad", 1, 7, 8},    {"1000", 1, 4242, 4243},
        {"big", 0, 0, 0},  {"neg", 0, 0, 0},   {"", 0, 0, 0},       {"colon", 1, 5, 6},
        {"roo", 0, 0, 0},  {"root:", 0, 0, 0}, {"last", 1, 77, 78}, {"# a comment", 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct passwd_entry e;
        assert_int_equal(passwd_find(passwd, sizeof(passwd) - 1, rows[i].name, 0, &e),
                         rows[i].found);
        if (rows[i].found) {
            assert_int_equal(e.uid, rows[i].uid);
            assert_int_equal(e.gid, rows[i].gid);
        }
    }
    struct passwd_entry e;
    assert_true(passwd_find(passwd, sizeof(passwd) - 1, NULL, 77, &e));
    assert_int_equal(e.shell_len, strlen("/bin/last"));
    assert_memory_equal(e.shell, "/bin/last", e.shell_len);
    assert_false(passwd_find("", 0, "root", 0, &e));
}

static void group_lines_are_found(void **state)
{
    (void)state;
    static const char text[] = "root:x:0:\nstaff:x:50:a,b\nnone\nbad:x:zz:\nbad:x:3\n20:x:99:\n";
    uint32_t gid = 1;
    assert_true(group_find(text, sizeof(text) - 1, "root", &gid));
    assert_int_equal(gid, 0);
    assert_true(group_find(text, sizeof(text) - 1, "staff", &gid));
    assert_int_equal(gid, 50);
    assert_true(group_find(text, sizeof(text) - 1, "bad", &gid));
    assert_int_equal(gid, 3);
    assert_true(group_find(text, sizeof(text) - 1, "20", &gid));
    assert_int_equal(gid, 99);
    assert_false(group_find(text, sizeof(text) - 1, "none", &gid));
}

static struct scratch root;

static int set_up(void **state)
{
    (void)state;
    scratch_make(&root);
    scratch_write(&root, "etc/passwd", passwd, 0644);
    scratch_write(&root, "etc/group", "root:x:0:\nstaff:x:50:\n", 0644);
    scratch_write(&root, "usr/bin/ping", "", 0755);
    /* Links that would leave the root, were it not the root. */
    assert_int_equal(symlinkat("/usr", root.fd, "abs"), 0);
    assert_int_equal(symlinkat("../../../../../usr/bin", root.fd, "up"), 0);
    assert_int_equal(symlinkat("ping", root.fd, "usr/bin/alias"), 0);
    if (geteuid() == 0) {
        assert_int_equal(fchownat(root.fd, "usr/bin/ping", 321, 654, 0), 0);
        assert_int_equal(fchownat(root.fd, "usr/bin/alias", 111, 222, AT_SYMLINK_NOFOLLOW), 0);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_done(&root);
    return 0;
}

static void users_and_groups_resolve_as_the_text_says(void **state)
{
    (void)state;
    static const struct {
        const char *user, *group;
        uint32_t uid, gid;
        const char *home;
    } rows[] = {
        {"root", "root", 0, 0, "/root"},
        {"0", "0", 0, 0, "/root"},
        {"1000", "staff", 4242, 50, "/home/odd"}, /* APP-08: a name of digits */
        {"12345", "678", 12345, 678, NULL},       /* APP-09 */
        {"77", "78", 77, 78, "/last"},
        {"4294967294", "0", 4294967294u, 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct err e;
        cleanup_with(identity_done) struct identity id = {0};
        assert_int_equal(identity_resolve(root.fd, rows[i].user, rows[i].group, &id, &e), 0);
        assert_int_equal(id.uid, rows[i].uid);
        assert_int_equal(id.gid, rows[i].gid);
        if (rows[i].home)
            assert_string_equal(id.home, rows[i].home);
        else
            assert_null(id.home);
    }
}

static void owners_of_paths_are_found_inside_the_root_only(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* files of other owners can't be made */
    static const struct {
        const char *path;
        uint32_t uid, gid;
    } rows[] = {
        {"/usr/bin/ping", 321, 654},       {"/abs/bin/ping", 321, 654},  {"/up/ping", 321, 654},
        {"/../../usr/bin/ping", 321, 654}, {"/usr/bin/alias", 111, 222}, /* C13: the link itself */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct err e;
        cleanup_with(identity_done) struct identity id = {0};
        assert_int_equal(identity_resolve(root.fd, rows[i].path, rows[i].path, &id, &e), 0);
        assert_int_equal(id.uid, rows[i].uid);
        assert_int_equal(id.gid, rows[i].gid);
    }
}

static void the_unresolvable_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *user, *group, *says;
    } rows[] = {
        {"nosuch", "0", "user \"nosuch\""},
        {"0", "nosuch", "group \"nosuch\""},
        {"/missing", "0", "/missing"},
        {"", "0", "user \"\""},
        {"4294967295", "0", "larger"},
        {"99999999999999999999", "0", "larger"},
        {"-1", "0", "-1"},
        {"+1", "0", "+1"},
        {"0x10", "0", "0x10"},
        {"short", "0", "short"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct err e = {0};
        struct identity id = {0};
        assert_int_equal(identity_resolve(root.fd, rows[i].user, rows[i].group, &id, &e), -1);
        assert_non_null(strstr(e.msg, rows[i].says));
        assert_null(id.name);
    }
}

static void an_image_without_files_has_numbers_only(void **state)
{
    (void)state;
    struct scratch empty;
    struct err e;
    cleanup_with(identity_done) struct identity id = {0};
    scratch_make(&empty);
    assert_int_equal(identity_resolve(empty.fd, "0", "0", &id, &e), 0);
    assert_int_equal(identity_resolve(empty.fd, "root", "0", &id, &e), -1);
    /* A link out of the root is one to nowhere: the machine's own file is not read. */
    assert_int_equal(mkdirat(empty.fd, "etc", 0755), 0);
    assert_int_equal(symlinkat("../../../../../../etc/passwd", empty.fd, "etc/group"), 0);
    assert_int_equal(identity_resolve(empty.fd, "0", "root", &id, &e), -1);
    /* What would block or is no file at all is refused at once. */
    assert_int_equal(mkfifoat(empty.fd, "etc/passwd", 0644), 0);
    assert_int_equal(identity_resolve(empty.fd, "0", "0", &id, &e), -1);
    assert_non_null(strstr(e.msg, "not a regular file"));
    scratch_done(&empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwd_lines_are_found_and_bad_ones_skipped),
        cmocka_unit_test(group_lines_are_found),
        cmocka_unit_test(users_and_groups_resolve_as_the_text_says),
        cmocka_unit_test(owners_of_paths_are_found_inside_the_root_only),
        cmocka_unit_test(the_unresolvable_is_an_error),
        cmocka_unit_test(an_image_without_files_has_numbers_only),
    };
    return cmocka_run_group_tests_name("guest-accounts", tests, set_up, tear_down);
}
