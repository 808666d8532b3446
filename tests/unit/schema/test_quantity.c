/* SPDX-License-Identifier: Apache-2.0 */
/* schema/quantity.h (TYPE-21 to TYPE-27). */
#include "tests/unit/schema/util.h"

#include "schema/quantity.h"

struct quantity_row {
    const char *text;
    enum ac_scale scale;
    int64_t value;
};

static void quantities(void **state)
{
    (void)state;
    static const struct quantity_row rows[] = {
        /* TYPE-21: every suffix. */
        {"0", 0, 0},
        {"1", 0, 1},
        {"+1", 0, 1},
        {"-0", 0, 0},
        {"007", 0, 7},
        {"1n", 0, 1},
        {"1000000000n", 0, 1},
        {"1000001u", 0, 2},
        {"2000m", 0, 2},
        {"3k", 0, 3000},
        {"3M", 0, 3000000},
        {"3G", 0, 3000000000},
        {"3T", 0, 3000000000000},
        {"3P", 0, 3000000000000000},
        {"9E", 0, 9000000000000000000},
        {"3Ki", 0, 3072},
        {"3Mi", 0, 3145728},
        {"3Gi", 0, 3221225472},
        {"3Ti", 0, 3298534883328},
        {"3Pi", 0, 3377699720527872},
        {"7Ei", 0, 8070450532247928832},
        {"1e3", 0, 1000},
        {"1E3", 0, 1000},
        {"1e+3", 0, 1000},
        {"12E-2", 0, 1},
        {"0.5Gi", 0, 536870912},
        {"1.5e1", 0, 15},
        {".5k", 0, 500},
        {"5.k", 0, 5000},
        {"0e999999999999", 0, 0},
        {"1e-999999999999", 0, 1},
        /* TYPE-22: both spellings of kilo. */
        {"128K", 0, 128000},
        {"128k", 0, 128000},
        /* TYPE-23: fractions go up to the next unit. */
        {"0.1m", AC_SCALE_MILLI, 1},
        {"1.5", 0, 2},
        {"0.0000000000000000000000000000000000000000000000000000000001", 0, 1},
        {"1.0000000000", 0, 1},
        {"0.001Ki", 0, 2},
        {"0.3Ki", 0, 308},
        /* TYPE-24: the same amount three times. */
        {"128974848", 0, 128974848},
        {"125952Ki", 0, 128974848},
        {"123Mi", 0, 128974848},
        /* TYPE-25: decimals and milli units. */
        {"0.3", AC_SCALE_MILLI, 300},
        {"300m", AC_SCALE_MILLI, 300},
        {"2", AC_SCALE_MILLI, 2000},
        {"250m", AC_SCALE_MILLI, 250},
        {"1e-3", AC_SCALE_MILLI, 1},
        /* The largest ones; a float would lose these digits. */
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775.807", AC_SCALE_MILLI, INT64_MAX},
        {"9007199254740993", 0, 9007199254740993},
        {"9223372036854775806.5", 0, INT64_MAX},
        {"7.999999999999999999Ei", 0, 9223372036854775807},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t v = -1;
        const char *why = "";
        if (ac_quantity_parse(rows[i].text, rows[i].scale, &v, &why) < 0 || v != rows[i].value)
            fail_msg("%s gave %lld %s", rows[i].text, (long long)v, why);
    }
}

static void wrong_quantities(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum ac_scale scale;
        const char *why;
    } rows[] = {
        {"", 0, "is not a quantity"},
        {".", 0, "is not a quantity"},
        {"+", 0, "is not a quantity"},
        {"K", 0, "is not a quantity"},
        {"1.2.3", 0, "is not a quantity"},
        {"1..2", 0, "is not a quantity"},
        {"1 G", 0, "is not a quantity"},
        {" 1", 0, "is not a quantity"},
        {"1\n", 0, "is not a quantity"},
        {"1Kib", 0, "is not a quantity"},
        {"1ki", 0, "is not a quantity"},
        {"1mi", 0, "is not a quantity"},
        {"1g", 0, "is not a quantity"},
        {"1B", 0, "is not a quantity"},
        {"1e", 0, "is not a quantity"},
        {"1e+", 0, "is not a quantity"},
        {"1e1.5", 0, "is not a quantity"},
        {"1e3Ki", 0, "is not a quantity"},
        {"1EE", 0, "is not a quantity"},
        {"0x10", 0, "is not a quantity"},
        {"--1", 0, "is not a quantity"},
        {"+-1", 0, "is not a quantity"},
        {"1,5", 0, "is not a quantity"},
        {"inf", 0, "is not a quantity"},
        {"00000000000000000000000000000000000000000000000000000000000000001", 0, "is too long"},
        /* TYPE-27. */
        {"-1", 0, "is negative"},
        {"-0.0001n", 0, "is negative"},
        {"16E", 0, "is too large"},
        {"8Ei", 0, "is too large"},
        {"9223372036854775808", 0, "is too large"},
        {"9223372036854775807.1", 0, "is too large"},
        {"9223372036854775807", AC_SCALE_MILLI, "is too large"},
        {"99999999999999999999999999999", 0, "is too large"},
        {"1e999999999999", 0, "is too large"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t v = 42;
        const char *why = "";
        if (ac_quantity_parse(rows[i].text, rows[i].scale, &v, &why) == 0)
            fail_msg("%s is accepted", rows[i].text);
        if (!strstr(why, rows[i].why))
            fail_msg("%s: %s", rows[i].text, why);
        assert_int_equal(v, 42);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantities),
        cmocka_unit_test(wrong_quantities),
    };
    return RUN(tests);
}
