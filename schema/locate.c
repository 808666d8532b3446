/* SPDX-License-Identifier: Apache-2.0 */
/* Line and column of the value at a JSON path in the text, as the parser keeps none. */
#include "schema/locate.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct cursor {
    const char *p;
    const char *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
        c->p++;
}

/* Takes the character when it comes next, after blanks. */
static bool take(struct cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->p >= c->end || *c->p != wanted)
        return false;
    c->p++;
    return true;
}

/* Behind the string that starts at the cursor. */
static void skip_string(struct cursor *c)
{
    c->p++;
    while (c->p < c->end && *c->p != '"')
        c->p += *c->p == '\\' && c->end - c->p > 1 ? 2 : 1;
    if (c->p < c->end)
        c->p++;
}

/* Behind the value that starts at the cursor: counts brackets, stops before what ends a scalar. */
static void skip_value(struct cursor *c)
{
    size_t depth = 0;
    skip_blanks(c);
    while (c->p < c->end) {
        char ch = *c->p;
        if (ch == '"') {
            skip_string(c);
        } else if (ch == '{' || ch == '[') {
            depth++;
            c->p++;
        } else if (ch == '}' || ch == ']') {
            if (depth == 0)
                return;
            depth--;
            c->p++;
        } else if (ch == ',' && depth == 0) {
            return;
        } else {
            c->p++;
            continue;
        }
        if (depth == 0)
            return;
    }
}

static unsigned hex4(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char ch = (unsigned char)p[i];
        v = v << 4 | (unsigned)(ch <= '9' ? ch - '0' : (ch | 0x20) - 'a' + 10);
    }
    return v;
}

/* The code point of a \uXXXX escape whose digits start at *p, with its second half if it has one.
 */
static uint32_t take_unicode(const char **p, const char *end)
{
    if (end - *p < 4) {
        *p = end;
        return 0;
    }
    uint32_t cp = hex4(*p);
    *p += 4;
    if (cp >= 0xd800 && cp < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        cp = 0x10000 + ((cp & 0x3ff) << 10) + (hex4(*p + 2) & 0x3ff);
        *p += 6;
    }
    return cp;
}

static size_t utf8_encode(uint32_t cp, char *out)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (cp >> 18 & 7));
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

/* Resolves the escape behind the backslash at *p; the bytes go to `out`, their number is returned.
 */
static size_t take_escape(const char **p, const char *end, char *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    char ch = *(*p)++;
    if (ch == 'u')
        return utf8_encode(take_unicode(p, end), out);
    const char *hit = memchr(from, ch, sizeof(from) - 1);
    out[0] = hit ? to[hit - from] : ch;
    return 1;
}

/* Whether the string literal from p (behind its quote) to end (its closing quote) reads `key`. */
static bool string_is(const char *p, const char *end, const char *key)
{
    size_t left = strlen(key);
    while (p < end) {
        char bytes[4];
        size_t n = 1;
        bytes[0] = *p++;
        if (bytes[0] == '\\' && p < end)
            n = take_escape(&p, end, bytes);
        if (n > left || memcmp(bytes, key, n) != 0)
            return false;
        key += n;
        left -= n;
    }
    return left == 0;
}

/* Puts the cursor on the value of the last member called `key`. */
static bool enter_member(struct cursor *c, const char *key)
{
    struct cursor at = *c;
    bool found = false;
    if (!take(&at, '{'))
        return false;
    do {
        skip_blanks(&at);
        if (at.p >= at.end || *at.p != '"')
            break;
        const char *name = at.p + 1;
        skip_string(&at);
        bool hit = string_is(name, at.p - 1, key);
        if (!take(&at, ':'))
            break;
        skip_blanks(&at);
        if (hit) {
            c->p = at.p;
            found = true;
        }
        skip_value(&at);
    } while (take(&at, ','));
    return found;
}

static bool enter_element(struct cursor *c, size_t index)
{
    struct cursor at = *c;
    if (!take(&at, '['))
        return false;
    for (size_t i = 0; i < index; i++) {
        skip_value(&at);
        if (!take(&at, ','))
            return false;
    }
    skip_blanks(&at);
    c->p = at.p;
    return true;
}

void locate_offset(const char *text, size_t offset, size_t *ret_line, size_t *ret_column)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

void locate(const char *text, size_t len, const struct locate_step *steps, size_t n,
            size_t *ret_line, size_t *ret_column)
{
    struct cursor c = {text, text + len};
    skip_blanks(&c);
    for (size_t i = 0; i < n; i++) {
        bool found =
            steps[i].key ? enter_member(&c, steps[i].key) : enter_element(&c, steps[i].index);
        if (!found)
            break;
    }
    locate_offset(text, (size_t)(c.p - text), ret_line, ret_column);
}
