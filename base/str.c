/* SPDX-License-Identifier: Apache-2.0 */
/* Small string questions. */
#include "base/str.h"

#include <string.h>

bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

/* Digits from *s on, stopping at the first other character. */
static int take_digits(const char **s, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    if (!is_digit(**s))
        return -1;
    for (; is_digit(**s); (*s)++) {
        uint64_t d = (uint64_t)(**s - '0');
        if (d > max || v > (max - d) / 10)
            return -1;
        v = v * 10 + d;
    }
    *ret = v;
    return 0;
}

int parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
    uint64_t v;
    if (take_digits(&s, max, &v) < 0 || *s)
        return -1;
    *ret = v;
    return 0;
}

int parse_size(const char *s, uint64_t *ret)
{
    static const char units[] = "KMGT";
    uint64_t v;
    unsigned shift = 0;
    if (take_digits(&s, UINT64_MAX, &v) < 0)
        return -1;
    if (*s) {
        const char *u = strchr(units, *s >= 'a' ? *s - 'a' + 'A' : *s);
        if (u && *u) {
            shift = 10 * (unsigned)(u - units + 1);
            s++;
            if (*s == 'i')
                s++;
        }
        if (*s == 'B')
            s++;
    }
    if (*s || v > UINT64_MAX >> shift)
        return -1;
    *ret = v << shift;
    return 0;
}

int parse_duration(const char *s, uint64_t *ret)
{
    static const char units[] = "smhdw";
    static const uint32_t seconds[] = {1, 60, 3600, 24 * 3600, 7 * 24 * 3600};
    static const uint64_t max = 1000ULL * 366 * 24 * 3600;
    uint64_t v, unit = 1;
    if (take_digits(&s, max, &v) < 0)
        return -1;
    if (*s) {
        const char *u = strchr(units, *s++);
        if (!u || *s)
            return -1;
        unit = seconds[u - units];
    }
    if (v > max / unit)
        return -1;
    *ret = v * unit;
    return 0;
}

void hex_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
}
