/* SPDX-License-Identifier: Apache-2.0 */
/* The values of the HTTP headers that a fetch acts on. */
#include "fetch/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/lazy_curl.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void keep(char **field, const char *value)
{
    free(*field);
    *field = xstrdup(value);
}

/* "name=123" of a Cache-Control list; quoted numbers are tolerated. */
static bool directive_number(const char *item, const char *name, uint64_t *ret)
{
    size_t n = strlen(name);
    if (strncasecmp(item, name, n) != 0 || item[n] != '=')
        return false;
    const char *p = item + n + 1;
    uint64_t v = 0;
    if (*p == '"')
        p++;
    if (!is_digit(*p))
        return false;
    for (; is_digit(*p); p++)
        v = v < HEADER_AGE_MAX ? v * 10 + (uint64_t)(*p - '0') : v;
    *ret = v < HEADER_AGE_MAX ? v : HEADER_AGE_MAX;
    return true;
}

static void note_cache_control(struct headers *h, const char *value)
{
    cleanup_free char *copy = xstrdup(value);
    char *save;
    bool revalidate = false;
    for (char *item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
        while (is_blank(*item))
            item++;
        uint64_t age;
        if (directive_number(item, "max-age", &age))
            h->max_age = age;
        else if (strncasecmp(item, "no-store", 8) == 0)
            h->no_store = revalidate = true;
        else if (strncasecmp(item, "no-cache", 8) == 0)
            revalidate = true;
    }
    if (revalidate)
        h->max_age = 0;
}

static void note_retry_after(struct headers *h, const char *value, int64_t now)
{
    uint64_t seconds;
    if (parse_u64(value, HEADER_AGE_MAX, &seconds) < 0) {
        lazy_curl();
        time_t when = lazy_curl_getdate(value, NULL);
        if (when == (time_t)-1)
            return;
        seconds = when > now ? (uint64_t)(when - now) : 0;
    }
    h->has_retry_after = true;
    h->retry_after = seconds < HEADER_AGE_MAX ? seconds : HEADER_AGE_MAX;
}

/* "bytes FIRST-LAST/TOTAL"; the total may be an asterisk. */
static void note_range(struct headers *h, const char *value)
{
    cleanup_free char *copy = xstrdup(value);
    if (strncasecmp(copy, "bytes ", 6) != 0)
        return;
    char *first = copy + 6, *dash = strchr(first, '-'), *slash = strchr(first, '/');
    if (!dash || !slash || dash > slash)
        return;
    *dash = *slash = '\0';
    uint64_t a, b, total = 0;
    if (parse_u64(first, INT64_MAX, &a) < 0 || parse_u64(dash + 1, INT64_MAX, &b) < 0 || b < a)
        return;
    if (strcmp(slash + 1, "*") != 0 && (parse_u64(slash + 1, INT64_MAX, &total) < 0 || total <= b))
        return;
    h->has_range = true;
    h->range_first = a;
    h->range_total = total;
}

static void note_challenge(struct headers *h, const char *value)
{
    char *old = h->www_authenticate;
    if (old && strlen(old) + strlen(value) > HEADER_AUTH_MAX)
        return;
    h->www_authenticate = xasprintf("%s%s%s", old ? old : "", old ? ", " : "", value);
    free(old);
}

static void note(struct headers *h, const char *name, const char *value, int64_t now)
{
    if (strcasecmp(name, "etag") == 0)
        keep(&h->etag, value);
    else if (strcasecmp(name, "last-modified") == 0)
        keep(&h->last_modified, value);
    else if (strcasecmp(name, "location") == 0)
        keep(&h->location, value);
    else if (strcasecmp(name, "content-type") == 0)
        keep(&h->content_type, value);
    else if (strcasecmp(name, "cache-control") == 0)
        note_cache_control(h, value);
    else if (strcasecmp(name, "retry-after") == 0)
        note_retry_after(h, value, now);
    else if (strcasecmp(name, "www-authenticate") == 0)
        note_challenge(h, value);
    else if (strcasecmp(name, "content-range") == 0)
        note_range(h, value);
}

void headers_note(struct headers *h, const char *line, size_t len, int64_t now)
{
    const char *colon = memchr(line, ':', len);
    if (!colon || memchr(line, '\0', len))
        return;
    const char *value = colon + 1, *end = line + len;
    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    bool location = colon - line == 8 && strncasecmp(line, "location", 8) == 0;
    if (end - value > (location ? 8192 : HEADER_VALUE_MAX))
        return;
    for (const char *p = value; p < end; p++)
        if ((unsigned char)*p < ' ' && *p != '\t') /* some of it goes into requests and messages */
            return;
    cleanup_free char *name = xstrndup(line, (size_t)(colon - line));
    cleanup_free char *copy = xstrndup(value, (size_t)(end - value));
    note(h, name, copy, now);
}

void headers_done(struct headers *h)
{
    free(h->etag);
    free(h->last_modified);
    free(h->location);
    free(h->content_type);
    free(h->www_authenticate);
    *h = (struct headers){0};
}

const char *headers_range_validator(const struct headers *h)
{
    if (h->etag && h->etag[0] == '"')
        return h->etag;
    return h->etag ? NULL : h->last_modified;
}
