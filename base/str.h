/* SPDX-License-Identifier: Apache-2.0 */
/* Small string questions. */
#ifndef APPC_BASE_STR_H
#define APPC_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/*
 * Parses a whole string of decimal digits, no sign, no blanks, at most `max`;
 * 0, or -1 and *ret untouched.
 */
int parse_u64(const char *s, uint64_t max, uint64_t *ret);

/*
 * Parses a size such as 512M, 4G, 64Ki (binary multiples in every case: K, M,
 * G, T, each with an optional "i" or "iB" or "B"); 0, or -1.
 */
int parse_size(const char *s, uint64_t *ret);

/*
 * Parses a duration such as 90s, 15m, 12h, 30d or 2w, or seconds without a letter, into seconds, at
 * most 1000 years; 0, or -1.
 */
int parse_duration(const char *s, uint64_t *ret);

/* Writes 2 * len lower-case hex digits and a NUL. */
void hex_encode(const void *data, size_t len, char *out);

#endif
