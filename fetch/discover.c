/* SPDX-License-Identifier: Apache-2.0 */
/* Image discovery: from a name and labels to URLs of image, signature and keys. */
#include "fetch/discover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/html.h"
#include "fetch/http.h"
#include "fetch/template.h"
#include "schema/types.h"
#include "schema/value.h"

char *discover_url(const char *name, bool https, unsigned port)
{
    size_t host = strcspn(name, "/");
    char number[16] = "";
    if (port)
        snprintf(number, sizeof(number), ":%u", port);
    return xasprintf("%s://%.*s%s%s?ac-discovery=1", https ? "https" : "http", (int)host, name,
                     number, name[host] ? name + host : "/");
}

static void endpoint_done(struct discover_endpoint *e)
{
    free(e->template);
    free(e->image);
    free(e->signature);
}

static void endpoints_clear(struct discover *d)
{
    for (size_t i = 0; i < d->nendpoints; i++)
        endpoint_done(&d->endpoints[i]);
    free(d->endpoints);
    d->endpoints = NULL;
    d->nendpoints = 0;
}

void discover_done(struct discover *d)
{
    endpoints_clear(d);
    for (size_t i = 0; i < d->nattempts; i++) {
        free(d->attempts[i].url);
        free(d->attempts[i].outcome);
    }
    free(d->attempts);
    ac_strings_done(&d->keys);
    *d = (struct discover){0};
}

/* Why a URL from a page can't be used, or NULL. */
static const char *url_problem(const char *text, bool insecure_http)
{
    cleanup_with(url_done) struct url u = {0};
    if (url_foreign_scheme(text))
        return "has a scheme that is not supported";
    if (url_parse(text, &u, NULL) < 0)
        return "is not a valid URL";
    if (!u.https && !insecure_http)
        return "is not https";
    return NULL;
}

static bool add_endpoint(struct discover *d, const char *template, const char *name,
                         const struct ac_pairs *labels, bool insecure_http)
{
    struct discover_endpoint e = {.template = xstrdup(template)};
    enum template_result r = template_expand(template, name, labels, &e.image, &e.signature);
    e.problem = r == TEMPLATE_OK ? url_problem(e.image, insecure_http) : template_result_text(r);
    if (e.problem) {
        free(e.image);
        free(e.signature);
        e.image = e.signature = NULL;
    }
    d->endpoints = xreallocarray(d->endpoints, d->nendpoints + 1, sizeof(*d->endpoints));
    d->endpoints[d->nendpoints++] = e;
    return !e.problem;
}

/* What the tags of a page came to. */
struct tally {
    size_t image_tags, image_fit, image_usable;
    size_t key_tags, keys_usable;
};

static void take_tags(const struct html_tags *tags, const char *name, const struct ac_pairs *labels,
                      bool insecure_http, unsigned kinds, struct discover *d, struct tally *t)
{
    for (size_t i = 0; i < tags->n; i++) {
        const struct html_tag *tag = &tags->v[i];
        bool fits = template_prefix_matches(tag->prefix, name);
        if (tag->pubkeys && (kinds & DISCOVER_KEYS)) {
            t->key_tags++;
            if (fits && !url_problem(tag->target, insecure_http)) {
                ac_strings_add(&d->keys, tag->target);
                t->keys_usable++;
            }
        } else if (!tag->pubkeys && (kinds & DISCOVER_IMAGES)) {
            t->image_tags++;
            t->image_fit += fits;
            if (fits && add_endpoint(d, tag->target, name, labels, insecure_http))
                t->image_usable++;
        }
    }
}

/* One phrase for a page that was had. */
static char *outcome_text(const struct tally *t, const struct discover *d, unsigned kinds,
                          const char *name, size_t len)
{
    const char *more = len >= HTML_PAGE_MAX ? " in its first MiB" : "";
    if (kinds & DISCOVER_IMAGES) {
        if (t->image_usable)
            return xasprintf("%zu usable template%s%s", t->image_usable,
                             t->image_usable == 1 ? "" : "s", t->keys_usable ? ", keys" : "");
        if (t->image_fit)
            return xasprintf("its template %s", d->endpoints[d->nendpoints - 1].problem);
        if (t->image_tags)
            return xasprintf("no ac-discovery tag whose prefix fits %s%s", name, more);
    }
    if (t->keys_usable)
        return xstrdup("keys");
    return xasprintf("no %s tag%s%s",
                     kinds == DISCOVER_KEYS ? "ac-discovery-pubkeys" : "ac-discovery",
                     t->key_tags ? " that fits" : "", more);
}

void discover_page(const char *page, size_t len, const char *name, const struct ac_pairs *labels,
                   bool insecure_http, struct discover *d, unsigned kinds, unsigned *ret_found,
                   char **ret_outcome)
{
    cleanup_with(html_tags_done) struct html_tags tags = {0};
    struct tally t = {0};
    html_find_tags(page, len, &tags);
    if (kinds & DISCOVER_IMAGES)
        endpoints_clear(d); /* unusable ones of a lower level */
    take_tags(&tags, name, labels, insecure_http, kinds, d, &t);
    *ret_found = (t.image_usable ? DISCOVER_IMAGES : 0) | (t.keys_usable ? DISCOVER_KEYS : 0);
    *ret_outcome = outcome_text(&t, d, kinds, name, len);
}

static void note_attempt(struct discover *d, const char *url, char *outcome, bool usable)
{
    d->attempts = xreallocarray(d->attempts, d->nattempts + 1, sizeof(*d->attempts));
    d->attempts[d->nattempts++] = (struct discover_attempt){xstrdup(url), outcome, usable};
}

/* The reason without the URL in front of it, as the attempt names the URL already. */
static char *reason(const struct err *e, const char *url)
{
    size_t n = strlen(url);
    bool same = strncmp(e->msg, url, n) == 0 && strncmp(e->msg + n, ": ", 2) == 0;
    return xstrdup(same ? e->msg + n + 2 : e->msg);
}

/* Gets one page over https, and http where that is allowed; false when neither came. */
static bool get_page(struct net *n, const char *prefix, struct buf *page, char **ret_url,
                     struct discover *d)
{
    for (int https = 1; https >= 0; https--) {
        cleanup_with(url_done) struct url u = {0};
        cleanup_with(http_response_done) struct http_response r = {0};
        struct err e;
        cleanup_free char *text = discover_url(prefix, https, net_opt(n)->discovery_port);
        if (!https && !net_opt(n)->insecure_http)
            break;
        if (url_parse(text, &u, &e) == 0 &&
            http_get_small(n, &u, true, HTML_PAGE_MAX, page, &r, &e) == 0) {
            *ret_url = take_ptr(text);
            return true;
        }
        note_attempt(d, text, reason(&e, text), false);
        if (net_cancelled(n))
            break;
    }
    return false;
}

/* One level; what it had of `kinds`. */
static unsigned try_level(struct net *n, const char *prefix, const char *name,
                          const struct ac_pairs *labels, unsigned kinds, struct discover *d)
{
    cleanup_with(buf_free) struct buf page = {0};
    cleanup_free char *url = NULL;
    char *outcome;
    unsigned found;
    if (!get_page(n, prefix, &page, &url, d))
        return 0;
    discover_page(page.data ? page.data : "", page.len, name, labels, net_opt(n)->insecure_http, d,
                  kinds, &found, &outcome);
    note_attempt(d, url, outcome, found != 0);
    return found;
}

/* All attempts in one line; the message's own limit cuts what is too much. */
static int nothing_found(const struct discover *d, const char *name, unsigned kinds,
                         struct err *err)
{
    cleanup_with(buf_free) struct buf b = {0};
    for (size_t i = 0; i < d->nattempts; i++)
        buf_printf(&b, "%s%s: %s", i ? "; " : "", d->attempts[i].url, d->attempts[i].outcome);
    return err_set(err, 0, "found no %s of %s: %s", kinds & DISCOVER_IMAGES ? "image" : "keys",
                   name, b.data ? b.data : "");
}

static int check_name(const char *name, struct err *err)
{
    size_t levels = 1;
    for (const char *p = name; *p; p++)
        levels += *p == '/';
    if (!ac_identifier_valid(name))
        return err_set(err, 0, "\"%s\" is not an image name", name);
    if (levels > DISCOVER_LEVELS_MAX || strlen(name) > URL_MAX / 4)
        return err_set(err, 0, "the image name %.60s… is too long for discovery", name);
    return 0;
}

int discover(struct net *n, const char *name, const struct ac_pairs *labels, unsigned kinds,
             struct discover *ret, struct err *err)
{
    struct discover d = {0};
    unsigned wanted = kinds;
    *ret = d;
    if (check_name(name, err) < 0)
        return -1;
    cleanup_free char *prefix = xstrdup(name);
    while (wanted && !net_cancelled(n)) {
        wanted &= ~try_level(n, prefix, name, labels, wanted, &d);
        char *slash = strrchr(prefix, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    *ret = d;
    if (net_cancelled(n))
        return err_set(err, ECANCELED, "discovery of %s", name);
    return wanted ? nothing_found(&d, name, wanted, err) : 0;
}
