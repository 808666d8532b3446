/* SPDX-License-Identifier: Apache-2.0 */
/* Resource quantities, computed on decimal digits: no floating point, no lost precision. */
#include "schema/quantity.h"

#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Exponents are clamped to this; beyond, every result is 0, 1 or out of range anyway. */
#define EXPONENT_MAX 1000
/* Digits of the text, and what multiplying by 2^60 adds. */
#define DIGITS_MAX (AC_QUANTITY_MAX + 20)

/* The value digits * 10^exponent, most significant digit first. */
struct decimal {
    uint8_t digits[DIGITS_MAX];
    size_t n;
    int exponent;
};

static void add_digit(struct decimal *d, char c)
{
    if (d->n == 0 && c == '0')
        return;
    d->digits[d->n++] = (uint8_t)(c - '0');
}

/* Digits with at most one point among them. */
static bool take_decimal(const char **s, struct decimal *d)
{
    bool any = false, point = false;
    for (;; (*s)++) {
        if (is_digit(**s)) {
            any = true;
            add_digit(d, **s);
            d->exponent -= point;
        } else if (**s == '.' && !point) {
            point = true;
        } else {
            return any;
        }
    }
}

/* An optional sign and digits, to the end of the text. */
static bool parse_exponent(const char *s, int *ret)
{
    bool negative = *s == '-';
    int v = 0;
    if (*s == '-' || *s == '+')
        s++;
    if (!is_digit(*s))
        return false;
    for (; is_digit(*s); s++)
        v = v < EXPONENT_MAX ? v * 10 + (*s - '0') : EXPONENT_MAX;
    *ret = negative ? -v : v;
    return *s == '\0';
}

struct suffix {
    const char *text;
    int decimal; /* power of ten */
    int binary;  /* power of two */
};

static const struct suffix suffixes[] = {
    {"n", -9, 0},  {"u", -6, 0},  {"m", -3, 0},  {"", 0, 0},    {"k", 3, 0},   {"K", 3, 0},
    {"M", 6, 0},   {"G", 9, 0},   {"T", 12, 0},  {"P", 15, 0},  {"E", 18, 0},  {"Ki", 0, 10},
    {"Mi", 0, 20}, {"Gi", 0, 30}, {"Ti", 0, 40}, {"Pi", 0, 50}, {"Ei", 0, 60},
};

static bool parse_suffix(const char *s, struct suffix *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        if (strcmp(s, suffixes[i].text) == 0) {
            *ret = suffixes[i];
            return true;
        }
    *ret = (struct suffix){0};
    return (*s == 'e' || *s == 'E') && parse_exponent(s + 1, &ret->decimal);
}

/* Long multiplication by 2^shift. */
static void shift_left(struct decimal *d, int shift)
{
    for (; shift > 0 && d->n > 0; shift--) {
        unsigned carry = 0;
        for (size_t i = d->n; i > 0; i--) {
            unsigned v = 2u * d->digits[i - 1] + carry;
            d->digits[i - 1] = (uint8_t)(v % 10);
            carry = v / 10;
        }
        if (carry) {
            memmove(d->digits + 1, d->digits, d->n);
            d->digits[0] = (uint8_t)carry;
            d->n++;
        }
    }
}

static bool append_digit(uint64_t *v, unsigned digit)
{
    return !__builtin_mul_overflow(*v, 10u, v) && !__builtin_add_overflow(*v, digit, v) &&
           *v <= INT64_MAX;
}

/* The value as an integer, fractions rounded up. */
static bool to_integer(const struct decimal *d, int64_t *ret)
{
    uint64_t v = 0;
    int whole = d->n ? (int)d->n + d->exponent : 0;
    for (int i = 0; i < whole; i++)
        if (!append_digit(&v, (size_t)i < d->n ? d->digits[i] : 0))
            return false;
    bool fraction = false;
    for (size_t i = whole > 0 ? (size_t)whole : 0; i < d->n; i++)
        fraction |= d->digits[i] != 0;
    if (fraction && v == INT64_MAX)
        return false;
    *ret = (int64_t)(v + fraction);
    return true;
}

int ac_quantity_parse(const char *text, enum ac_scale scale, int64_t *ret, const char **why)
{
    struct decimal d = {.n = 0};
    struct suffix suffix;
    *why = "is not a quantity such as 500m, 2, 1.5G or 64Mi";
    if (strnlen(text, AC_QUANTITY_MAX + 1) > AC_QUANTITY_MAX) {
        *why = "is too long for a quantity";
        return -1;
    }
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    if (!take_decimal(&text, &d) || !parse_suffix(text, &suffix))
        return -1;
    if (negative && d.n > 0) {
        *why = "is negative";
        return -1;
    }
    d.exponent += suffix.decimal + (int)scale;
    shift_left(&d, suffix.binary);
    int64_t v;
    if (!to_integer(&d, &v)) {
        *why = "is too large";
        return -1;
    }
    *ret = v;
    return 0;
}
