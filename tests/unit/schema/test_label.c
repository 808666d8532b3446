/* SPDX-License-Identifier: Apache-2.0 */
/* schema/label.h and schema/value.h: os and arch, matching of labels, the small lists. */
#include "tests/unit/schema/util.h"

#include "schema/label.h"
#include "schema/value.h"

/* IMG-31, IMG-32: the whole table and what is beside it. */
static void os_and_arch(void **state)
{
    (void)state;
    static const struct {
        const char *os, *arch;
        enum ac_os_arch result;
    } rows[] = {
        {"linux", "amd64", AC_OS_ARCH_OK},
        {"linux", "i386", AC_OS_ARCH_OK},
        {"linux", "aarch64", AC_OS_ARCH_OK},
        {"linux", "aarch64_be", AC_OS_ARCH_OK},
        {"linux", "armv6l", AC_OS_ARCH_OK},
        {"linux", "armv7l", AC_OS_ARCH_OK},
        {"linux", "armv7b", AC_OS_ARCH_OK},
        {"linux", "ppc64", AC_OS_ARCH_OK},
        {"linux", "ppc64le", AC_OS_ARCH_OK},
        {"linux", "s390x", AC_OS_ARCH_OK},
        {"freebsd", "amd64", AC_OS_ARCH_OK},
        {"freebsd", "i386", AC_OS_ARCH_OK},
        {"freebsd", "arm", AC_OS_ARCH_OK},
        {"darwin", "x86_64", AC_OS_ARCH_OK},
        {"darwin", "i386", AC_OS_ARCH_OK},
        {"linux", NULL, AC_OS_ARCH_OK},
        {NULL, NULL, AC_OS_ARCH_OK},
        {NULL, "anything", AC_OS_ARCH_OK},
        {"linux", "arm64", AC_OS_ARCH_BAD_ARCH},
        {"linux", "x86_64", AC_OS_ARCH_BAD_ARCH},
        {"linux", "", AC_OS_ARCH_BAD_ARCH},
        {"linux", "amd", AC_OS_ARCH_BAD_ARCH},
        {"linux", "amd64, i386", AC_OS_ARCH_BAD_ARCH},
        {"linux", "AMD64", AC_OS_ARCH_BAD_ARCH},
        {"darwin", "amd64", AC_OS_ARCH_BAD_ARCH},
        {"freebsd", "aarch64", AC_OS_ARCH_BAD_ARCH},
        {"windows", "amd64", AC_OS_ARCH_BAD_OS},
        {"Linux", NULL, AC_OS_ARCH_BAD_OS},
        {"", NULL, AC_OS_ARCH_BAD_OS},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (ac_os_arch_check(rows[i].os, rows[i].arch) != rows[i].result)
            fail_msg("%s/%s", rows[i].os, rows[i].arch);
}

/* Labels from "a=1,b=2". */
static struct ac_pairs labels(const char *text)
{
    struct ac_pairs p = {0};
    cleanup_free char *copy = strdup(text);
    char *save = NULL;
    for (char *s = strtok_r(copy, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(s, '=');
        *equals = '\0';
        ac_pairs_add(&p, s, equals + 1);
    }
    return p;
}

/* DEP-04, SIG-04, SIG-05. */
static void matching(void **state)
{
    (void)state;
    static const struct {
        const char *wanted, *have;
        bool result;
    } rows[] = {
        {"", "", true},
        {"", "version=1,os=linux", true},
        {"version=1", "version=1,os=linux", true},
        {"os=linux,version=1", "version=1,os=linux", true},
        {"version=1", "version=2", false},
        {"version=1", "", false},
        {"version=", "version=", true},
        {"version=", "", false},
        {"env=canary,version=1", "version=1", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ac_pairs wanted = labels(rows[i].wanted), have = labels(rows[i].have);
        if (ac_labels_match(&wanted, &have) != rows[i].result)
            fail_msg("%s in %s", rows[i].wanted, rows[i].have);
        ac_pairs_done(&wanted);
        ac_pairs_done(&have);
    }
}

/* IMG-30, IMG-33 (A5): absent labels mean independent. */
static void running_on_a_host(void **state)
{
    (void)state;
    static const struct {
        const char *have;
        bool result;
    } rows[] = {
        {"", true},
        {"os=linux", true},
        {"os=linux,arch=amd64", true},
        {"arch=s390x", true},
        {"os=linux,arch=i386", false},
        {"os=freebsd", false},
        {"os=freebsd,arch=amd64", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ac_pairs have = labels(rows[i].have);
        if (ac_labels_run_on(&have, "linux", "amd64") != rows[i].result)
            fail_msg("%s", rows[i].have);
        ac_pairs_done(&have);
    }
}

static void lists(void **state)
{
    (void)state;
    struct ac_pairs p = labels("a=1,b=2"), copy;
    ac_pairs_set(&p, "b", "3");
    ac_pairs_set(&p, "c", ac_pairs_get(&p, "b"));
    ac_pairs_set(&p, "b", ac_pairs_get(&p, "b"));
    ac_pairs_copy(&copy, &p);
    ac_pairs_done(&p);
    assert_int_equal(copy.n, 3);
    assert_string_equal(ac_pairs_get(&copy, "a"), "1");
    assert_string_equal(ac_pairs_get(&copy, "b"), "3");
    assert_string_equal(ac_pairs_get(&copy, "c"), "3");
    assert_null(ac_pairs_get(&copy, "d"));
    ac_pairs_done(&copy);
    struct ac_strings s = {0}, empty, again;
    ac_strings_copy(&empty, &s);
    assert_int_equal(empty.n, 0);
    ac_strings_add(&s, "x");
    ac_strings_add(&s, "y");
    assert_null(s.v[2]);
    ac_strings_copy(&again, &s);
    ac_strings_done(&s);
    assert_string_equal(again.v[1], "y");
    assert_null(again.v[2]);
    ac_strings_done(&again);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(os_and_arch),
        cmocka_unit_test(matching),
        cmocka_unit_test(running_on_a_host),
        cmocka_unit_test(lists),
    };
    return RUN(tests);
}
