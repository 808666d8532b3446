/* SPDX-License-Identifier: Apache-2.0 */
/* host/opt: option tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "host/opt.h"

struct values {
    bool flag;
    const char *text, *choice;
    uint64_t number, size;
    struct opt_list list;
};

static int parse(struct values *v, bool dashes, int argc, const char **argv, int *operands,
                 int *rest, struct err *err)
{
    *v = (struct values){0};
    const struct opt table[] = {
        {'f', "flag", OPT_FLAG, &v->flag, NULL, ""},
        {'t', "text", OPT_STRING, &v->text, "TEXT", ""},
        {0, "number", OPT_U64, &v->number, "N", ""},
        {0, "size", OPT_SIZE, &v->size, "SIZE", ""},
        {0, "list", OPT_LIST, &v->list, "X", ""},
        {0, "choice", OPT_CHOICE, &v->choice, "auto|kvm|tcg", ""},
        {0},
    };
    return opt_parse(table, argc, (char **)(uintptr_t)argv, dashes, operands, rest, err);
}

#define PARSE(v, dashes, ...)                                                                      \
    const char *argv[] = {"cmd", __VA_ARGS__, NULL};                                               \
    int operands = 0, rest = 0;                                                                    \
    struct err err = {0};                                                                          \
    int r = parse(v, dashes, (int)ARRAY_SIZE(argv) - 1, argv, &operands, &rest, &err)

static void every_form_is_read(void **state)
{
    (void)state;
    struct values v;
    PARSE(&v, false, "a", "-f", "--text=x=y", "--number", "17", "b", "--size=2M", "--list=1",
          "--list", "2", "--choice=kvm", "-", "--", "--flag");
    assert_int_equal(r, 0);
    assert_true(v.flag);
    assert_string_equal(v.text, "x=y");
    assert_int_equal(v.number, 17);
    assert_int_equal(v.size, 2 << 20);
    assert_int_equal(v.list.n, 2);
    assert_string_equal(v.list.v[1], "2");
    assert_string_equal(v.choice, "kvm");
    assert_int_equal(operands, 4);
    assert_string_equal(argv[1], "a");
    assert_string_equal(argv[2], "b");
    assert_string_equal(argv[3], "-");
    assert_string_equal(argv[4], "--flag");
    opt_list_done(&v.list);
    assert_null(v.list.v);
}

static void words_behind_dashes_are_left_alone(void **state)
{
    (void)state;
    struct values v;
    PARSE(&v, true, "image", "-tx", "--", "--flag", "-h");
    assert_int_equal(r, 0);
    assert_false(v.flag);
    assert_string_equal(v.text, "x");
    assert_int_equal(operands, 1);
    assert_int_equal(rest, 4);
    assert_string_equal(argv[rest], "--flag");
}

static void faults_name_the_option(void **state)
{
    (void)state;
    static const struct {
        const char *word, *in_message;
    } rows[] = {
        {"--nope", "--nope"},
        {"-x", "-x"},
        {"--flag=1", "--flag"},
        {"--number=-1", "--number"},
        {"--number=", "--number"},
        {"--size=1Q", "--size"},
        {"--choice=kv", "auto|kvm|tcg"},
        {"--choice=", "--choice"},
        {"--text", "--text"},
        {"--choice=auto|kvm", "--choice"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct values v;
        PARSE(&v, false, rows[i].word);
        assert_int_equal(r, -1);
        assert_non_null(strstr(err.msg, rows[i].in_message));
    }
}

static void help_is_asked_for(void **state)
{
    (void)state;
    struct values v;
    PARSE(&v, false, "--help");
    assert_int_equal(r, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_read),
        cmocka_unit_test(words_behind_dashes_are_left_alone),
        cmocka_unit_test(faults_name_the_option),
        cmocka_unit_test(help_is_asked_for),
    };
    return cmocka_run_group_tests_name("opt", tests, NULL, NULL);
}
