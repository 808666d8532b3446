/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository of a registry.
 *
 * Credentials of auth.d go to the host that they are configured for and to no other: to the
 * registry, or to the token service when its host is the one in the file. A token goes back to the
 * registry that asked for it, and never to where it redirects.
 */
#include "fetch/oci/registry.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "fetch/http.h"
#include "fetch/lazy_curl.h"
#include "fetch/oci/challenge.h"
#include "fetch/oci/document.h"

#define ACCEPT                                                                                     \
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "        \
    "application/vnd.docker.distribution.manifest.list.v2+json, "                                  \
    "application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1"

void registry_init(struct registry *r, struct net *net, const char *host, const char *repository)
{
    *r = (struct registry){.net = net, .host = host, .repository = repository};
    pthread_mutex_init(&r->lock, NULL);
}

static void wipe(char *token)
{
    if (token)
        explicit_bzero(token, strlen(token));
    free(token);
}

void registry_done(struct registry *r)
{
    wipe(r->token);
    pthread_mutex_destroy(&r->lock);
}

int registry_url(const struct registry *r, const char *rest, struct url *ret, struct err *err)
{
    cleanup_free char *text = xasprintf("%s://%s/v2/%s/%s", r->plain_http ? "http" : "https",
                                        r->host, r->repository, rest);
    return url_parse(text, ret, err);
}

static char *copy_token(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    char *copy = r->token ? xstrdup(r->token) : NULL;
    pthread_mutex_unlock(&r->lock);
    return copy;
}

char *registry_parse_token(const char *text, size_t len, const char *name, struct err *err)
{
    json_t *root = json_loadb(text, len, 0, NULL);
    const char *s = json_string_value(json_object_get(root, "token"));
    if (!s || !*s)
        s = json_string_value(json_object_get(root, "access_token"));
    char *token = s && *s ? xstrdup(s) : NULL;
    json_decref(root);
    if (!token)
        return err_set(err, 0, "%s: the token service gave no token", name), NULL;
    for (const char *p = token; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f) {
            wipe(token);
            return err_set(err, 0, "%s: the token service gave a token that is none", name), NULL;
        }
    return token;
}

static void add_query(struct buf *b, const char *name, const char *value)
{
    lazy_curl();
    char *escaped = lazy_curl_easy_escape(NULL, value, 0);
    if (!escaped)
        die_oom();
    buf_printf(b, "%c%s=%s", strchr(b->data, '?') ? '&' : '?', name, escaped);
    lazy_curl_free(escaped);
}

static char *ask_for_token(struct registry *r, const struct oci_challenge *c, struct err *err)
{
    cleanup_with(buf_free) struct buf url = {0}, body = {0};
    cleanup_with(url_done) struct url u = {0};
    cleanup_with(http_response_done) struct http_response response = {0};
    cleanup_free char *pull = xasprintf("repository:%s:pull", r->repository);
    buf_adds(&url, c->realm);
    if (c->service)
        add_query(&url, "service", c->service);
    add_query(&url, "scope", c->scope ? c->scope : pull);
    if (url_parse(url.data, &u, err) < 0 ||
        http_get_small(r->net, &u, false, REGISTRY_TOKEN_MAX, &body, &response, err) < 0)
        return NULL;
    char *token = registry_parse_token(body.data ? body.data : "", body.len, u.text, err);
    if (body.data)
        explicit_bzero(body.data, body.len);
    return token;
}

/*
 * A token other than the one that was refused (NULL: none was sent): 0, 1 when the registry asks
 * for none, or -1. One thread asks, the others get what it got.
 */
static int renew(struct registry *r, const char *refused, const char *challenge, struct err *err)
{
    cleanup_with(oci_challenge_done) struct oci_challenge c = {0};
    int result = 0;
    if (!challenge || !oci_challenge_parse(challenge, &c))
        return 1;
    pthread_mutex_lock(&r->lock);
    if (!r->token || (refused && strcmp(r->token, refused) == 0)) {
        char *token = ask_for_token(r, &c, err);
        if (token) {
            wipe(r->token);
            r->token = token;
        }
        result = token ? 0 : -1;
    }
    pthread_mutex_unlock(&r->lock);
    return result;
}

/* One request or download, whichever `once` does, and once more with a new token. */
static int with_token(struct registry *r,
                      int (*once)(void *arg, const char *token, struct err *err), void *arg,
                      const struct http_response *response, struct err *err)
{
    bool renewed = false;
    for (;;) {
        struct err e, other;
        char *token = copy_token(r);
        int result = once(arg, token, &e);
        if (result == 0 || response->status != 401 || renewed) {
            wipe(token);
            if (result < 0 && err)
                *err = e;
            return result;
        }
        int got = renew(r, token, response->headers.www_authenticate, &other);
        wipe(token);
        if (got != 0) {
            if (err)
                *err = got < 0 ? other : e;
            return -1;
        }
        renewed = true;
    }
}

struct get {
    struct registry *r;
    const struct url *url;
    struct buf *body;
    struct http_response response;
};

static int get_once(void *arg, const char *token, struct err *err)
{
    struct get *g = arg;
    struct http_request req = {.url = g->url, .accept = ACCEPT, .bearer = token};
    return http_get_body(g->r->net, &req, OCI_DOCUMENT_MAX, g->body, &g->response, err);
}

static int get(struct registry *r, const char *rest, struct buf *ret, bool *ret_answered,
               struct err *err)
{
    cleanup_with(url_done) struct url u = {0};
    if (registry_url(r, rest, &u, err) < 0)
        return -1;
    struct get g = {.r = r, .url = &u, .body = ret};
    int result = with_token(r, get_once, &g, &g.response, err);
    *ret_answered = g.response.answered;
    http_response_done(&g.response);
    return result;
}

int registry_get(struct registry *r, const char *rest, struct buf *ret, struct err *err)
{
    bool answered = true;
    int result = get(r, rest, ret, &answered, err);
    if (result == 0 || answered || r->plain_http || !net_opt(r->net)->insecure_http)
        return result;
    r->plain_http = true;
    return get(r, rest, ret, &answered, err);
}

struct run {
    struct registry *r;
    struct download *d;
    struct download_options *opt;
    struct http_response *response;
};

static int download_once(void *arg, const char *token, struct err *err)
{
    struct run *run = arg;
    run->opt->bearer = token;
    int result = download_run(run->r->net, run->d, run->opt, run->response, err);
    run->opt->bearer = NULL;
    return result;
}

int registry_download(struct registry *r, struct download *d, struct download_options *opt,
                      struct http_response *response, struct err *err)
{
    struct run run = {r, d, opt, response};
    return with_token(r, download_once, &run, response, err);
}
