/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP GET: redirects, credentials, limits, retries. */
#ifndef APPC_FETCH_HTTP_H
#define APPC_FETCH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "fetch/header.h"
#include "fetch/net.h"
#include "fetch/url.h"

struct err;

/* What came back. Zero-initialise; http_response_done() releases it. */
struct http_response {
    long status;
    struct headers headers;
    struct url url; /* where the redirects ended */
    bool has_length;
    uint64_t length; /* Content-Length of this response */
    unsigned redirects;
    bool temporary; /* of a failure: trying again may help */
    bool answered;  /* of a failure: the host did answer */
};

/* One request. The callbacks run while http_get() does; both return -1 with *err to end it. */
struct http_request {
    const struct url *url;
    uint64_t max_bytes;   /* of the body, after decompression */
    uint64_t timeout_ms;  /* of the request with its redirects; 0: what is left of the command */
    bool page;            /* a page: gzip is welcome, and what is too long is cut off */
    const char *etag;     /* If-None-Match, or NULL; then 304 is a success too */
    uint64_t range_from;  /* 0: the whole */
    const char *if_range; /* validator for range_from */
    const char *accept;   /* media types, or NULL: any */
    const char *bearer;   /* a token for the host of `url`, and for no other; or NULL */
    int (*begin)(void *arg, const struct http_response *r, struct err *err); /* before the body */
    int (*data)(void *arg, const void *data, size_t len, struct err *err);
    bool (*give_up)(void *arg); /* asked now and then: true ends it with ECANCELED; NULL: never */
    void *arg;
};

/*
 * Performs it once. Follows up to NET_REDIRECTS_MAX redirects, by the rules of the first request:
 * https only, unless http is allowed; credentials go to the host that they were configured
 * for and never further (AUTH-04). Success (0) is a status of 200, 206 when range_from was set, or
 * 304 when `etag` was; all else is -1 with one sentence that holds the URL. *r is filled in both
 * cases.
 */
int http_get(struct net *n, const struct http_request *req, struct http_response *r,
             struct err *err);

/*
 * Whether the failure in *r is worth the attempt number `attempt` (the first was 1); waits
 * before it says yes: the back-off, or what the server asked for (Retry-After).
 */
bool http_try_again(struct net *n, const struct http_response *r, unsigned attempt);

/*
 * A small body into memory, with retries: a page, a signature, keys. With `page`, what is longer
 * than `max` is cut off; else it is an error. The caller frees *ret.
 */
int http_get_small(struct net *n, const struct url *url, bool page, size_t max, struct buf *ret,
                   struct http_response *r, struct err *err);

/* The same for a request that says more: url, accept and bearer are taken from it. */
int http_get_body(struct net *n, const struct http_request *what, size_t max, struct buf *ret,
                  struct http_response *r, struct err *err);

void http_response_done(struct http_response *r);

#endif
