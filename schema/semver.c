/* SPDX-License-Identifier: Apache-2.0 */
/* Semantic versions 2.0.0: syntax and precedence. */
#include <string.h>

#include "base/str.h"
#include "schema/types.h"

static size_t digits(const char *s)
{
    return strspn(s, "0123456789");
}

/* Length of the decimal number without a leading zero at s, 0 when there is none. */
static size_t number_len(const char *s)
{
    size_t n = digits(s);
    return n > 1 && *s == '0' ? 0 : n;
}

static size_t word_len(const char *s)
{
    return strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
}

/* Dot-separated words from *s on; `numbers` refuses all-digit words that start with 0. */
static bool take_words(const char **s, bool numbers)
{
    for (;;) {
        size_t n = word_len(*s);
        if (n == 0 || (numbers && digits(*s) == n && number_len(*s) == 0))
            return false;
        *s += n;
        if (**s != '.')
            return true;
        (*s)++;
    }
}

bool ac_semver_valid(const char *s)
{
    for (int i = 0; i < 3; i++) {
        size_t n = number_len(s);
        if (n == 0)
            return false;
        s += n;
        if (i < 2 && *s++ != '.')
            return false;
    }
    if (*s == '-') {
        s++;
        if (!take_words(&s, true))
            return false;
    }
    if (*s == '+') {
        s++;
        if (!take_words(&s, false))
            return false;
    }
    return *s == '\0';
}

static int sign(int c)
{
    return (c > 0) - (c < 0);
}

static int compare_numbers(const char *a, size_t na, const char *b, size_t nb)
{
    if (na != nb)
        return na < nb ? -1 : 1;
    return sign(memcmp(a, b, na));
}

static int compare_words(const char *a, size_t na, const char *b, size_t nb)
{
    bool number_a = digits(a) >= na, number_b = digits(b) >= nb;
    if (number_a && number_b)
        return compare_numbers(a, na, b, nb);
    if (number_a != number_b)
        return number_a ? -1 : 1;
    int c = memcmp(a, b, na < nb ? na : nb);
    return c ? sign(c) : (na > nb) - (na < nb);
}

/* a and b are behind the patch number: a version with a pre-release comes before one without. */
static int compare_prereleases(const char *a, const char *b)
{
    if (*a != '-' || *b != '-')
        return (*b == '-') - (*a == '-');
    do {
        size_t na = word_len(++a), nb = word_len(++b);
        int c = compare_words(a, na, b, nb);
        if (c)
            return c;
        a += na;
        b += nb;
    } while (*a == '.' && *b == '.');
    return (*a == '.') - (*b == '.');
}

int ac_semver_compare(const char *a, const char *b)
{
    for (int i = 0; i < 3; i++) {
        size_t na = digits(a), nb = digits(b);
        int c = compare_numbers(a, na, b, nb);
        if (c)
            return c;
        a += na + (i < 2);
        b += nb + (i < 2);
    }
    return compare_prereleases(a, b);
}

int ac_semver_series(const char *v, const char *ours)
{
    return compare_numbers(v, digits(v), ours, digits(ours));
}
