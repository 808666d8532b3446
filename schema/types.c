/* SPDX-License-Identifier: Apache-2.0 */
/* Names, image IDs, UUIDs, URLs and paths (spec/types.md). */
#include "schema/types.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c);
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

#define IDENTIFIER_SEPARATORS "-._~/"
#define NAME_SEPARATORS       "-"

/* Groups of letters and digits with exactly one separator between two, or "/~" where both count. */
static bool words_valid(const char *s, const char *separators)
{
    bool in_word = false;
    for (; *s; s++) {
        if (is_lower_alnum(*s)) {
            in_word = true;
            continue;
        }
        if (!in_word || !is_one_of(*s, separators))
            return false;
        in_word = false;
        if (s[0] == '/' && s[1] == '~')
            s++;
    }
    return in_word;
}

bool ac_identifier_valid(const char *s)
{
    return words_valid(s, IDENTIFIER_SEPARATORS);
}

bool ac_name_valid(const char *s)
{
    return words_valid(s, NAME_SEPARATORS);
}

/* The first separator of a run is kept, so that the result is valid by the regular expression. */
static char *sanitise(const char *s, const char *separators)
{
    struct buf b = {0};
    char pending = '\0';
    for (; *s; s++) {
        char c = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;
        if (!is_lower_alnum(c)) {
            if (!pending)
                pending = is_one_of(c, separators) ? c : '-';
            continue;
        }
        if (pending && b.len)
            buf_addc(&b, pending);
        pending = '\0';
        buf_addc(&b, c);
    }
    return b.len ? buf_take(&b) : NULL;
}

char *ac_identifier_sanitise(const char *s)
{
    return sanitise(s, IDENTIFIER_SEPARATORS);
}

char *ac_name_sanitise(const char *s)
{
    return sanitise(s, NAME_SEPARATORS);
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Number of hex digits behind the prefix, 0 when there is something else. */
static size_t image_id_digits(const char *s)
{
    size_t n = 0;
    if (!str_starts(s, AC_IMAGE_ID_PREFIX))
        return 0;
    s += sizeof(AC_IMAGE_ID_PREFIX) - 1;
    while (hex_value(s[n]) >= 0)
        n++;
    return s[n] ? 0 : n;
}

static char *lower_case(const char *s)
{
    char *copy = xstrdup(s);
    for (char *p = copy; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return copy;
}

bool ac_image_id_valid(const char *s)
{
    return image_id_digits(s) == AC_IMAGE_ID_DIGITS;
}

char *ac_image_id_canonical(const char *s)
{
    return ac_image_id_valid(s) ? lower_case(s) : NULL;
}

char *ac_image_id_prefix(const char *s)
{
    size_t n = image_id_digits(s);
    return n > 0 && n <= AC_IMAGE_ID_DIGITS ? lower_case(s) : NULL;
}

static bool uuid_is_zero(const uint8_t *uuid)
{
    static const uint8_t zero[AC_UUID_SIZE];
    return memcmp(uuid, zero, AC_UUID_SIZE) == 0;
}

int ac_uuid_parse(const char *s, uint8_t ret[AC_UUID_SIZE])
{
    uint8_t uuid[AC_UUID_SIZE] = {0};
    size_t n = 0;
    for (; *s; s++) {
        if (*s == '-')
            continue;
        int v = hex_value(*s);
        if (v < 0 || n == 2 * AC_UUID_SIZE)
            return -1;
        uuid[n / 2] = (uint8_t)(uuid[n / 2] << 4 | v);
        n++;
    }
    if (n != 2 * AC_UUID_SIZE || uuid_is_zero(uuid))
        return -1;
    memcpy(ret, uuid, AC_UUID_SIZE);
    return 0;
}

void ac_uuid_format(const uint8_t uuid[AC_UUID_SIZE], char out[AC_UUID_TEXT])
{
    static const uint8_t groups[] = {4, 2, 2, 2, 6};
    for (size_t g = 0, at = 0; g < sizeof(groups); at += groups[g], g++) {
        hex_encode(uuid + at, groups[g], out);
        out += 2 * groups[g];
        if (g + 1 < sizeof(groups))
            *out++ = '-';
    }
}

void ac_uuid_v4(const uint8_t random[AC_UUID_SIZE], uint8_t ret[AC_UUID_SIZE])
{
    memmove(ret, random, AC_UUID_SIZE);
    ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x40);
    ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
}

/* No control characters, and every % with its two digits. */
static bool url_chars_valid(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
        if (*s == '%' && (hex_value(s[1]) < 0 || hex_value(s[2]) < 0))
            return false;
    }
    return true;
}

bool ac_url_valid(const char *s)
{
    if (strncasecmp(s, "http://", 7) == 0)
        s += 7;
    else if (strncasecmp(s, "https://", 8) == 0)
        s += 8;
    else
        return false;
    size_t authority = strcspn(s, "/?#");
    size_t bad = strcspn(s, " \"<>\\^`{|}");
    const char *at = memrchr(s, '@', authority);
    const char *host = at ? at + 1 : s;
    return host < s + authority && *host != ':' && bad >= authority && url_chars_valid(s);
}

bool ac_env_name_valid(const char *s)
{
    if (!is_alpha(*s) && *s != '_')
        return false;
    for (; *s; s++)
        if (!is_alpha(*s) && !is_digit(*s) && !is_one_of(*s, "_.-"))
            return false;
    return true;
}

char *ac_path_clean(const char *path)
{
    char *out = xmalloc(strlen(path) + 2);
    size_t n = 0;
    while (*path) {
        size_t len = strcspn(path, "/");
        if (len == 2 && memcmp(path, "..", 2) == 0) {
            while (n > 0 && out[--n] != '/')
                ;
        } else if (len > 0 && !(len == 1 && *path == '.')) {
            out[n++] = '/';
            memcpy(out + n, path, len);
            n += len;
        }
        path += len + (path[len] == '/');
    }
    if (n == 0)
        out[n++] = '/';
    out[n] = '\0';
    return out;
}
