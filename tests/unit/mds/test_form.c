/* SPDX-License-Identifier: Apache-2.0 */
/* mds/form: bodies of type application/x-www-form-urlencoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "mds/form.h"

struct table {
    struct form_field fields[2];
    struct form form;
};

static void start(struct table *t)
{
    *t = (struct table){.fields = {{.name = "content", .max = 8}, {.name = "uuid", .max = 4}}};
    t->form = (struct form){.fields = t->fields, .nfields = 2};
}

/* Feeds the body in pieces of `step` bytes. */
static enum form_state read_form(struct table *t, const char *body, size_t len, size_t step)
{
    start(t);
    for (size_t i = 0; i < len; i += step)
        form_feed(&t->form, body + i, len - i < step ? len - i : step);
    return form_end(&t->form);
}

static void expect(const char *body, size_t len, enum form_state state, const char *content,
                   size_t content_len)
{
    for (size_t step = 1; step <= len + 1; step++) {
        struct table t;
        assert_int_equal(read_form(&t, body, len, step), state);
        const struct form_field *f = form_get(&t.form, "content");
        if (content) {
            assert_true(f->given);
            assert_int_equal(f->value.len, content_len);
            assert_int_equal(form_size(&t.form), content_len + t.fields[1].value.len);
            if (content_len)
                assert_memory_equal(f->value.data, content, content_len);
        } else if (state == FORM_OK) {
            assert_false(f->given);
        }
        form_done(&t.form);
    }
}

#define GOOD(body, content) expect(body, strlen(body), FORM_OK, content, sizeof(content) - 1)
#define BAD(body, state)    expect(body, sizeof(body) - 1, state, NULL, 0)

/* MDS-24: plus, slash and equals sign of base64 survive, in any division of the body. */
static void values_are_decoded_mds_24(void **state)
{
    (void)state;
    GOOD("content=abc", "abc");
    GOOD("content=a%2Bb%2fc%3D", "a+b/c=");
    GOOD("content=a+b", "a b");
    GOOD("content=a=b=", "a=b=");
    GOOD("content=%00x%00", "\0x\0");
    GOOD("content=%E2%82%AC", "\xe2\x82\xac");
    GOOD("uuid=1&content=x&other=%41", "x");
    GOOD("c%6Fntent=x", "x");
    GOOD("&&content=x&", "x");
    GOOD("content=", "");
    GOOD("content", "");
}

static void missing_fields_are_seen(void **state)
{
    (void)state;
    expect("", 0, FORM_OK, NULL, 0);
    expect("Content=x", 9, FORM_OK, NULL, 0);
    expect("contentt=x", 10, FORM_OK, NULL, 0);
    expect("content%00=x", 12, FORM_OK, NULL, 0);
    expect("=x", 2, FORM_OK, NULL, 0);
}

static void what_could_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    BAD("content=a&content=b", FORM_BAD);
    BAD("content&content", FORM_BAD);
    BAD("content=a%", FORM_BAD);
    BAD("content=a%4", FORM_BAD);
    BAD("content=%zz", FORM_BAD);
    BAD("content=%4&uuid=1", FORM_BAD);
    BAD("%", FORM_BAD);
    BAD("content=a\nb", FORM_BAD);
    BAD("content=a\r\n", FORM_BAD);
    BAD("content=a b", FORM_BAD);
    BAD("content=a\0b", FORM_BAD);
    BAD("other=%1", FORM_BAD);
}

static void values_have_bounds(void **state)
{
    (void)state;
    GOOD("content=12345678", "12345678");
    GOOD("content=%312345678", "12345678");
    BAD("content=123456789", FORM_TOO_LARGE);
    BAD("uuid=12345", FORM_TOO_LARGE);
    GOOD("other=123456789012345678901234567890123456789012345678901234567890&content=x", "x");
    GOOD("a123456789012345678901234567890123456789012345678901234567890=1&content=x", "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_decoded_mds_24),
        cmocka_unit_test(missing_fields_are_seen),
        cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(values_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
