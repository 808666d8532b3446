/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP GET.
 *
 * libcurl speaks the protocol; redirects are followed here, hop by hop, as each hop decides anew
 * about the scheme and about whether this host is to see credentials.
 */
#include "fetch/http.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/lazy_curl.h"

#define HEADER_BYTES_MAX (256u << 10) /* of all responses of one hop, interim ones too */
#define WASTE_MAX        (64u << 10)  /* of a body that nobody wants, to keep the connection */

/* One hop under way. */
struct hop {
    struct net *net;
    const struct http_request *req;
    struct http_response *r;
    CURL *h;
    uint64_t header_bytes, body_bytes;
    bool begun, wanted, ended_early, failed;
    struct err err; /* what a callback said */
};

static size_t on_header(char *data, size_t one, size_t len, void *arg)
{
    struct hop *hop = arg;
    (void)one;
    hop->header_bytes += len;
    if (hop->header_bytes > HEADER_BYTES_MAX) {
        hop->failed = true;
        err_fill(&hop->err, 0, "it sends more than %u bytes of headers", HEADER_BYTES_MAX);
        return 0;
    }
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
        headers_done(&hop->r->headers); /* a new response after an interim one */
    else
        headers_note(&hop->r->headers, data, len, time(NULL));
    return len;
}

static bool is_success(const struct http_request *req, long status)
{
    return status == 200 || (status == 206 && req->range_from) || (status == 304 && req->etag);
}

/* Fills in what is known once the headers are there. */
static void note_response(struct hop *hop)
{
    curl_off_t length = -1;
    lazy_curl_easy_getinfo(hop->h, CURLINFO_RESPONSE_CODE, &hop->r->status);
    lazy_curl_easy_getinfo(hop->h, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    hop->r->has_length = length >= 0;
    hop->r->length = length >= 0 ? (uint64_t)length : 0;
    hop->r->answered = hop->r->status != 0;
}

static int too_long(struct hop *hop)
{
    hop->failed = true;
    return err_set(&hop->err, EFBIG, "it is longer than the limit of %llu bytes",
                   (unsigned long long)hop->req->max_bytes);
}

static int begin(struct hop *hop)
{
    const struct http_request *req = hop->req;
    hop->begun = true;
    note_response(hop);
    hop->wanted = is_success(req, hop->r->status) && hop->r->status != 304;
    if (!hop->wanted)
        return 0;
    if (!req->page && hop->r->has_length && hop->r->length > req->max_bytes)
        return too_long(hop);
    if (req->begin && req->begin(req->arg, hop->r, &hop->err) < 0) {
        hop->failed = true;
        return -1;
    }
    return 0;
}

/* How much of a page is still looked at; the rest is not transferred. */
static size_t cut(struct hop *hop, size_t len)
{
    uint64_t left = hop->req->max_bytes - hop->body_bytes;
    if (len <= left)
        return len;
    hop->ended_early = true;
    return (size_t)left;
}

static size_t on_data(char *data, size_t one, size_t len, void *arg)
{
    struct hop *hop = arg;
    (void)one;
    if (!hop->begun && begin(hop) < 0)
        return CURL_WRITEFUNC_ERROR;
    size_t take = len;
    if (!hop->wanted) {
        hop->body_bytes += len;
        hop->ended_early = hop->body_bytes > WASTE_MAX;
        return hop->ended_early ? CURL_WRITEFUNC_ERROR : len;
    }
    if (hop->req->page)
        take = cut(hop, len);
    else if (len > hop->req->max_bytes - hop->body_bytes)
        return (void)too_long(hop), CURL_WRITEFUNC_ERROR;
    hop->body_bytes += take;
    if (hop->req->data(hop->req->arg, data, take, &hop->err) < 0) {
        hop->failed = true;
        return CURL_WRITEFUNC_ERROR;
    }
    return hop->ended_early ? CURL_WRITEFUNC_ERROR : len;
}

static int on_tick(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct hop *hop = arg;
    (void)a, (void)b, (void)c, (void)d;
    return net_cancelled(hop->net) || (hop->req->give_up && hop->req->give_up(hop->req->arg));
}

#define SET(h, option, value)                                                                      \
    do {                                                                                           \
        if (lazy_curl_easy_setopt((h), (option), (value)) != CURLE_OK)                             \
            die_oom();                                                                             \
    } while (0)

static bool same_origin(const struct url *a, const struct url *b)
{
    return a->https == b->https && a->port == b->port && str_eq(a->host, b->host);
}

static void set_bearer(struct hop *hop, const char *token)
{
    SET(hop->h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
    SET(hop->h, CURLOPT_XOAUTH2_BEARER, token);
}

/* What the server of the request gave us goes to no other; it goes before what is configured. */
static void set_auth(struct hop *hop)
{
    if (hop->req->bearer && same_origin(hop->req->url, &hop->r->url)) {
        set_bearer(hop, hop->req->bearer);
        return;
    }
    const struct auth_entry *e = auth_find(net_auth(hop->net), &hop->r->url);
    if (!e || net_opt(hop->net)->insecure_tls)
        return;
    if (e->token) {
        set_bearer(hop, e->token);
    } else {
        SET(hop->h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(hop->h, CURLOPT_USERNAME, e->user);
        SET(hop->h, CURLOPT_PASSWORD, e->password);
    }
}

static struct curl_slist *add_line(struct curl_slist *list, const char *name, const char *value)
{
    cleanup_free char *line = xasprintf("%s: %s", name, value);
    struct curl_slist *longer = lazy_curl_slist_append(list, line);
    if (!longer)
        die_oom();
    return longer;
}

static struct curl_slist *request_headers(const struct http_request *req)
{
    const char *any = req->page ? "text/html, */*;q=0.5" : "*/*";
    struct curl_slist *list = add_line(NULL, "Accept", req->accept ? req->accept : any);
    if (req->etag)
        list = add_line(list, "If-None-Match", req->etag);
    if (req->range_from) {
        cleanup_free char *range = xasprintf("bytes=%llu-", (unsigned long long)req->range_from);
        list = add_line(list, "Range", range);
        list = add_line(list, "If-Range", req->if_range);
    }
    return list;
}

/* A failure of the transfer itself, in words that name what to look at. */
static int transfer_failure(struct hop *hop, CURLcode code, const char *detail, struct err *err)
{
    const struct net_options *o = net_opt(hop->net);
    const char *url = hop->r->url.text;
    hop->r->temporary = code == CURLE_OPERATION_TIMEDOUT || code == CURLE_PARTIAL_FILE ||
                        code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ||
                        code == CURLE_SEND_ERROR || code == CURLE_HTTP2_STREAM;
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return err_set(err, 0, "%s: the server's certificate is not accepted: %s", url, detail);
    case CURLE_PARTIAL_FILE:
        return err_set(err, 0, "%s: the connection ended before the body did", url);
    case CURLE_BAD_CONTENT_ENCODING:
        return err_set(err, 0, "%s: its compressed body is damaged or cut off", url);
    case CURLE_OPERATION_TIMEDOUT:
        if (net_remaining_ms(hop->net) == 0)
            return err_set(err, ETIMEDOUT, "%s: the time limit of %llu s is over", url,
                           (unsigned long long)(o->timeout_ms / 1000));
        return err_set(err, 0, "%s: the server is too slow: %s", url, detail);
    case CURLE_ABORTED_BY_CALLBACK:
        return err_set(err, ECANCELED, "%s", url);
    default:
        return err_set(err, 0, "%s: %s", url, *detail ? detail : lazy_curl_easy_strerror(code));
    }
}

static int perform(struct hop *hop, uint64_t timeout_ms, struct err *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = request_headers(hop->req);
    SET(hop->h, CURLOPT_URL, hop->r->url.text);
    SET(hop->h, CURLOPT_HTTPHEADER, headers);
    SET(hop->h, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    SET(hop->h, CURLOPT_ERRORBUFFER, detail);
    SET(hop->h, CURLOPT_HEADERFUNCTION, on_header);
    SET(hop->h, CURLOPT_HEADERDATA, hop);
    SET(hop->h, CURLOPT_WRITEFUNCTION, on_data);
    SET(hop->h, CURLOPT_WRITEDATA, hop);
    SET(hop->h, CURLOPT_NOPROGRESS, 0L);
    SET(hop->h, CURLOPT_XFERINFOFUNCTION, on_tick);
    SET(hop->h, CURLOPT_XFERINFODATA, hop);
    if (hop->req->page)
        SET(hop->h, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    set_auth(hop);
    CURLcode code = lazy_curl_easy_perform(hop->h);
    lazy_curl_slist_free_all(headers);
    if (code == CURLE_OK && !hop->begun && begin(hop) < 0)
        code = CURLE_WRITE_ERROR;
    if (hop->failed) {
        hop->r->temporary = false;
        if (err)
            *err = hop->err;
        return err_prefix(err, "%s", hop->r->url.text);
    }
    if (code == CURLE_OK || hop->ended_early)
        return 0;
    if (!hop->begun)
        note_response(hop);
    return transfer_failure(hop, code, detail, err);
}

static int status_failure(struct net *n, const struct http_request *req, struct http_response *r,
                          struct err *err)
{
    const struct auth_entry *e = auth_find(net_auth(n), &r->url);
    long s = r->status;
    r->temporary = s == 408 || s == 429 || s == 500 || s == 502 || s == 503 || s == 504;
    if ((s == 401 || s == 403) && req->bearer && same_origin(req->url, &r->url))
        return err_set(err, EACCES,
                       "%s: the server refuses the token that it asked for (status %ld); what is "
                       "wanted may not exist, or needs credentials",
                       r->url.text, s);
    if ((s == 401 || s == 403) && e && !net_opt(n)->insecure_tls)
        return err_set(err, EACCES, "%s: the server refuses the credentials from %s (status %ld)",
                       r->url.text, e->file, s);
    if (s == 401)
        return err_set(err, EACCES,
                       "%s: the server asks for credentials (status 401); put some for %s into "
                       "auth.d of the configuration directory%s",
                       r->url.text, r->url.host,
                       r->url.https ? "" : ", and use https, as they are not sent over http");
    return err_set(err, s == 404 || s == 410 ? ENOENT : 0,
                   "%s: the server answered with status %ld", r->url.text, s);
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static int follow(struct net *n, struct http_response *r, struct err *err)
{
    struct url next;
    if (!r->headers.location)
        return err_set(err, 0, "%s: a redirect (status %ld) without a target", r->url.text,
                       r->status);
    if (++r->redirects > NET_REDIRECTS_MAX)
        return err_set(err, ELOOP, "%s: more than %d redirects", r->url.text, NET_REDIRECTS_MAX);
    if (url_resolve(&r->url, r->headers.location, &next, err) < 0)
        return err_prefix(err, "%s: bad redirect", r->url.text);
    if (!next.https && !net_opt(n)->insecure_http) {
        err_fill(err, 0,
                 "%s: redirects to %s, which is not https (--insecure-options=http allows it)",
                 r->url.text, next.text);
        url_done(&next);
        return -1;
    }
    url_done(&r->url);
    r->url = next;
    return 0;
}

static int one_hop(struct net *n, const struct http_request *req, struct http_response *r,
                   uint64_t timeout_ms, struct err *err)
{
    headers_done(&r->headers);
    r->status = 0;
    r->has_length = false;
    struct hop hop = {.net = n, .req = req, .r = r, .h = net_handle_get(n)};
    int result = perform(&hop, timeout_ms, err);
    net_handle_put(n, hop.h, result == 0);
    return result;
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int http_get(struct net *n, const struct http_request *req, struct http_response *r,
             struct err *err)
{
    http_response_done(r);
    url_copy(&r->url, req->url);
    if (!r->url.https && !net_opt(n)->insecure_http)
        return err_set(err, 0, "%s is not https; --insecure-options=http allows it", r->url.text);
    uint64_t end = now_ms() + (req->timeout_ms ? req->timeout_ms : UINT64_MAX / 2);
    for (;;) {
        uint64_t now = now_ms(), left = end > now ? end - now : 0;
        if (left > net_remaining_ms(n))
            left = net_remaining_ms(n);
        if (net_cancelled(n))
            return err_set(err, ECANCELED, "%s", r->url.text);
        if (left == 0)
            return err_set(err, ETIMEDOUT, "%s: the time limit is over", r->url.text);
        if (one_hop(n, req, r, left, err) < 0)
            return -1;
        if (is_success(req, r->status))
            return 0;
        if (!is_redirect(r->status))
            return status_failure(n, req, r, err);
        if (follow(n, r, err) < 0)
            return -1;
    }
}

bool http_try_again(struct net *n, const struct http_response *r, unsigned attempt)
{
    const struct net_options *o = net_opt(n);
    if (!r->temporary || attempt > o->attempts || net_cancelled(n))
        return false;
    uint64_t wait = o->back_off_ms << (attempt - 2 < 10 ? attempt - 2 : 10);
    if (r->headers.has_retry_after) {
        uint64_t asked = r->headers.retry_after * 1000;
        if (asked > NET_RETRY_AFTER_MAX_MS)
            return false;
        wait = asked > wait ? asked : wait;
    }
    return net_wait_ms(n, wait);
}

static int add_data(void *arg, const void *data, size_t len, struct err *err)
{
    (void)err;
    buf_add(arg, data, len);
    return 0;
}

static int start_anew(void *arg, const struct http_response *r, struct err *err)
{
    (void)r, (void)err;
    buf_reset(arg);
    return 0;
}

int http_get_body(struct net *n, const struct http_request *what, size_t max, struct buf *ret,
                  struct http_response *r, struct err *err)
{
    cleanup_with(buf_free) struct buf body = {0};
    struct http_request req = *what;
    req.max_bytes = max;
    req.timeout_ms = net_opt(n)->page_timeout_ms;
    req.begin = start_anew;
    req.data = add_data;
    req.arg = &body;
    unsigned attempt = 1;
    while (http_get(n, &req, r, err) < 0)
        if (!http_try_again(n, r, ++attempt))
            return -1;
    *ret = body;
    body = (struct buf){0};
    return 0;
}

int http_get_small(struct net *n, const struct url *url, bool page, size_t max, struct buf *ret,
                   struct http_response *r, struct err *err)
{
    return http_get_body(n, &(struct http_request){.url = url, .page = page}, max, ret, r, err);
}

void http_response_done(struct http_response *r)
{
    headers_done(&r->headers);
    url_done(&r->url);
    *r = (struct http_response){0};
}
