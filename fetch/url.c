/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of pages, images, signatures and keys. */
#include "fetch/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/lazy_curl.h"

static void curl_urlp(CURLU **u)
{
    lazy_curl_url_cleanup(*u);
}

static void curl_freep(char **s)
{
    lazy_curl_free(*s);
}

#define cleanup_curlu __attribute__((cleanup(curl_urlp)))
#define cleanup_cstr  __attribute__((cleanup(curl_freep)))

static CURLU *new_handle(void)
{
    lazy_curl();
    CURLU *u = lazy_curl_url();
    if (!u)
        die_oom();
    return u;
}

/* What curl would encode or strip silently is refused: what was checked is what is requested. */
static int check_text(const char *text, struct err *err)
{
    size_t n = strlen(text);
    if (n > URL_MAX)
        return err_set(err, 0, "a URL of %zu bytes is longer than the limit of %d", n, URL_MAX);
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '\\')
            return err_set(
                err, 0, "the URL \"%s\" holds a blank, a backslash or a control character", text);
    return 0;
}

static int check_parts(CURLU *u, const char *text, bool *ret_https, struct err *err)
{
    cleanup_cstr char *scheme = NULL, *user = NULL, *password = NULL;
    if (lazy_curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return err_set(err, 0, "the URL \"%s\" has no scheme", text);
    *ret_https = strcasecmp(scheme, "https") == 0;
    if (!*ret_https && strcasecmp(scheme, "http") != 0)
        return err_set(err, 0, "can't fetch \"%s\": the scheme %s is not supported", text, scheme);
    if (lazy_curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK ||
        lazy_curl_url_get(u, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK)
        return err_set(err, 0, "the URL of \"%s\" holds credentials; put them into auth.d instead",
                       strrchr(text, '@') ? strrchr(text, '@') + 1 : "");
    return 0;
}

static void lower(char *s)
{
    for (; *s; s++)
        if (*s >= 'A' && *s <= 'Z')
            *s = (char)(*s - 'A' + 'a');
}

static int take(CURLU *u, const char *text, struct url *ret, struct err *err)
{
    cleanup_cstr char *full = NULL, *host = NULL, *port = NULL;
    bool https;
    uint64_t number;
    if (check_parts(u, text, &https, err) < 0)
        return -1;
    (void)lazy_curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
    if (lazy_curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || !*host ||
        lazy_curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
        parse_u64(port, 65535, &number) < 0 || number == 0 ||
        lazy_curl_url_get(u, CURLUPART_URL, &full, 0) != CURLUE_OK)
        return err_set(err, 0, "\"%s\" is not a valid URL", text);
    if (strlen(full) > URL_MAX)
        return err_set(err, 0, "a URL is longer than the limit of %d bytes", URL_MAX);
    *ret = (struct url){xstrdup(full), xstrdup(host), (unsigned)number, https};
    lower(ret->host);
    return 0;
}

int url_parse(const char *text, struct url *ret, struct err *err)
{
    cleanup_curlu CURLU *u = new_handle();
    if (check_text(text, err) < 0)
        return -1;
    CURLUcode r = lazy_curl_url_set(u, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
    if (r != CURLUE_OK)
        return err_set(err, 0, "\"%s\" is not a valid URL: %s", text, lazy_curl_url_strerror(r));
    return take(u, text, ret, err);
}

int url_resolve(const struct url *base, const char *location, struct url *ret, struct err *err)
{
    cleanup_curlu CURLU *u = new_handle();
    if (check_text(location, err) < 0)
        return -1;
    if (lazy_curl_url_set(u, CURLUPART_URL, base->text, 0) != CURLUE_OK ||
        lazy_curl_url_set(u, CURLUPART_URL, location, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return err_set(err, 0, "%s redirects to \"%s\", which is not a valid URL", base->text,
                       location);
    return take(u, location, ret, err);
}

char *url_signature(const struct url *image)
{
    const char *query = strchr(image->text, '?');
    size_t path = query ? (size_t)(query - image->text) : strlen(image->text);
    return xasprintf("%.*s.asc%s", (int)path, image->text, query ? query : "");
}

char *url_leaf(const struct url *u)
{
    size_t n = strcspn(u->text, "?");
    const char *end = u->text + n, *p = end;
    while (p > u->text && p[-1] != '/')
        p--;
    return p == end ? xstrdup("index") : xstrndup(p, (size_t)(end - p));
}

bool url_foreign_scheme(const char *text)
{
    const char *sep = strstr(text, "://");
    if (!sep)
        return false;
    size_t n = (size_t)(sep - text);
    return !(n == 4 && strncasecmp(text, "http", n) == 0) &&
           !(n == 5 && strncasecmp(text, "https", n) == 0);
}

void url_copy(struct url *dst, const struct url *src)
{
    *dst = *src;
    dst->text = xstrdup(src->text);
    dst->host = xstrdup(src->host);
}

void url_done(struct url *u)
{
    free(u->text);
    free(u->host);
    *u = (struct url){0};
}
