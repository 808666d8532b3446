/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials, records and the files that they come from. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "fetch/auth.h"
#include "fetch/record.h"

static int parse(const char *text, struct auth *a, struct err *e)
{
    *a = (struct auth){0};
    return auth_parse(text, strlen(text), "x.json", a, e);
}

static const struct auth_entry *find(const struct auth *a, const char *url)
{
    struct url u;
    assert_int_equal(url_parse(url, &u, NULL), 0);
    const struct auth_entry *e = auth_find(a, &u);
    url_done(&u);
    return e;
}

/* DISC-28, AUTH-03 */
static void test_auth_hosts(void **state)
{
    (void)state;
    struct auth a;
    struct err e;
    assert_int_equal(
        parse("{\"hosts\": {\"Example.com\": {\"basic\": {\"user\": \"u\", \"password\": \"p\"}},"
              " \"m.example.com:8443\": {\"bearer\": {\"token\": \"t\"}}}}",
              &a, &e),
        0);
    assert_string_equal(find(&a, "https://example.com/x")->password, "p");
    assert_string_equal(find(&a, "https://m.example.com:8443/x")->token, "t");
    assert_null(find(&a, "http://example.com/x"));
    assert_null(find(&a, "http://example.com:443/x"));
    assert_null(find(&a, "https://example.com:8443/x"));
    assert_null(find(&a, "https://m.example.com/x"));
    assert_null(find(&a, "https://sub.example.com/x"));
    auth_done(&a);
}

static void test_auth_mistakes(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"hosts\": []}",
        "{\"hosts\": {\"h\": {}}}",
        "{\"hosts\": {\"h\": {\"basic\": {\"user\": \"u\"}}}}",
        "{\"hosts\": {\"h\": {\"basic\": {\"user\": \"u:x\", \"password\": \"SECRET\"}}}}",
        "{\"hosts\": {\"h\": {\"basic\": {\"user\": \"u\", \"password\": \"SECRET\\r\\nX: y\"}}}}",
        "{\"hosts\": {\"h\": {\"bearer\": {\"token\": \"\"}}}}",
        "{\"hosts\": {\"h\": {\"bearer\": {\"token\": 5}}}}",
        "{\"hosts\": {\"h/x\": {\"bearer\": {\"token\": \"SECRET\"}}}}",
        "{\"hosts\": {\"u@h\": {\"bearer\": {\"token\": \"SECRET\"}}}}",
        "{\"hosts\": {\"h\": {\"bearer\": {\"token\": \"SECRET\"}, \"basic\": {}}}}",
        "{\"hosts\": {\"h\": {\"bearer\": {\"token\": \"t\"}}, \"H:443\": {\"bearer\": 5}}}",
        "{\"hosts\": {\"h\": {\"bearer\": {\"token\": \"SECRET\"}}}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct auth a;
        struct err e = {0};
        assert_int_equal(parse(bad[i], &a, &e), -1);
        assert_null(strstr(e.msg, "SECRET"));
        assert_non_null(strstr(e.msg, "x.json"));
        auth_done(&a);
    }
}

static char *make_dir(void)
{
    char *dir = xstrdup("/tmp/appc-fetch-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static void put(const char *dir, const char *name, const char *text, mode_t mode)
{
    cleanup_free char *path = xasprintf("%s/%s", dir, name);
    cleanup_free char *parent = xstrdup(path);
    *strrchr(parent, '/') = '\0';
    assert_int_equal(mkdir_parents_at(AT_FDCWD, parent, 0755, NULL), 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void remove_dir(const char *dir)
{
    cleanup_free char *cmd = xasprintf("rm -rf '%s'", dir);
    assert_int_equal(system(cmd), 0);
}

#define TOKEN(host, token) "{\"hosts\":{\"" host "\":{\"bearer\":{\"token\":\"" token "\"}}}}"

static void test_auth_files(void **state)
{
    (void)state;
    cleanup_free char *user = make_dir(), *system_dir = make_dir();
    const char *const v[] = {user, system_dir};
    struct config_dirs dirs;
    struct auth a;
    struct err e;
    config_dirs_set(&dirs, v, 2);
    put(user, "auth.d/a.json", TOKEN("h", "mine"), 0600);
    put(user, "auth.d/README", "not read", 0644);
    put(system_dir, "auth.d/b.json", TOKEN("h", "theirs"), 0400);
    put(system_dir, "auth.d/c.json", TOKEN("other", "x"), 0600);
    assert_int_equal(auth_load(&dirs, &a, &e), 0);
    assert_string_equal(find(&a, "https://h/")->token, "mine");
    assert_string_equal(find(&a, "https://other/")->token, "x");
    auth_done(&a);
    put(user, "auth.d/z.json", TOKEN("h", "again"), 0600);
    assert_int_equal(auth_load(&dirs, &a, &e), -1);
    assert_non_null(strstr(e.msg, "a.json"));
    put(user, "auth.d/z.json", TOKEN("h2", "open"), 0640);
    assert_int_equal(auth_load(&dirs, &a, &e), -1);
    assert_non_null(strstr(e.msg, "chmod 600"));
    config_dirs_done(&dirs);
    remove_dir(user);
    remove_dir(system_dir);
}

static void test_config_read_owner(void **state)
{
    (void)state;
    cleanup_free char *dir = make_dir();
    char *data;
    size_t len;
    struct err e;
    put(dir, "f", "text", 0622);
    cleanup_free char *path = xasprintf("%s/f", dir);
    assert_int_equal(config_read(path, 100, false, &data, &len, &e), -1);
    assert_non_null(strstr(e.msg, "go-w"));
    chmod(path, 0644);
    assert_int_equal(config_read(path, 100, false, &data, &len, &e), 0);
    free(data);
    assert_int_equal(config_read(path, 3, false, &data, &len, &e), -1);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, 12345), 0);
        assert_int_equal(seteuid(23456), 0);
        assert_int_equal(config_read(path, 100, false, &data, &len, &e), -1);
        assert_int_equal(seteuid(0), 0);
    }
    assert_int_equal(config_read(dir, 100, false, &data, &len, &e), -1);
    remove_dir(dir);
}

static void test_record(void **state)
{
    (void)state;
    cleanup_free char *dir = make_dir();
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY);
    char id[7 + 128 + 1] = "sha512-";
    memset(id + 7, 'a', 128);
    struct record r = {.url = xstrdup("https://h/x"),
                       .etag = xstrdup("\"e\""),
                       .total = 7,
                       .image_id = xstrdup(id),
                       .checked = 1000,
                       .max_age = 60};
    struct record back;
    assert_int_equal(record_save(fd, "r", &r, NULL), 0);
    record_load(fd, "r", "https://h/x", &back);
    assert_string_equal(back.etag, "\"e\"");
    assert_string_equal(back.image_id, id);
    assert_null(back.signer);
    assert_int_equal(back.total, 7);
    assert_true(record_fresh(&back, 1059));
    assert_false(record_fresh(&back, 1060));
    assert_false(record_fresh(&back, 900)); /* the clock went back */
    record_done(&back);
    record_load(fd, "r", "https://h/other", &back); /* a record is only taken for its own URL */
    assert_null(back.etag);
    assert_string_equal(back.url, "https://h/other");
    record_done(&back);
    record_done(&r);
    remove_dir(dir);
}

static void test_record_damaged(void **state)
{
    (void)state;
    struct record r = {0};
    static const char text[] = "{\"url\": \"u\", \"etag\": \"a\\r\\nb\", \"imageID\": \"sha512-x\","
                               " \"total\": -5, \"maxAge\": 99999999999}";
    assert_true(record_parse(text, strlen(text), "u", &r));
    assert_null(r.etag);
    assert_null(r.image_id);
    assert_int_equal(r.total, 0);
    assert_true(r.max_age < 99999999999ull);
    record_done(&r);
    assert_false(record_parse("{", 1, "u", &r));
    assert_false(record_parse("[]", 2, "u", &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auth_hosts), cmocka_unit_test(test_auth_mistakes),
        cmocka_unit_test(test_auth_files), cmocka_unit_test(test_config_read_owner),
        cmocka_unit_test(test_record),     cmocka_unit_test(test_record_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
