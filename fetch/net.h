/* SPDX-License-Identifier: Apache-2.0 */
/* What all requests of one command share: options, limits, credentials, connections, cancelling. */
#ifndef APPC_FETCH_NET_H
#define APPC_FETCH_NET_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fetch/auth.h"

struct err;

/* Zero values of the numbers mean the default. */
struct net_options {
    bool insecure_http;         /* http:// where https:// is the rule */
    bool insecure_tls;          /* certificates are not checked; no credentials are sent then */
    const char *ca_file;        /* PEM certificates instead of the system's; NULL: the system's */
    const char *const *resolve; /* "HOST:PORT:ADDRESS[:PORT]", as many as nresolve */
    size_t nresolve;
    unsigned discovery_port;  /* port of discovery URLs (DISC-27); 0: 443 */
    uint64_t max_bytes;       /* of one download */
    uint64_t timeout_ms;      /* of the whole command */
    uint64_t page_timeout_ms; /* of one discovery page, signature or file of keys */
    uint64_t connect_timeout_ms;
    uint64_t stall_ms;    /* so long a transfer may be slower than NET_SLOW bytes a second */
    unsigned attempts;    /* of one request, when failures may pass */
    uint64_t back_off_ms; /* before the second attempt; doubles; UINT64_MAX: none */
};

#define NET_MAX_BYTES          (16ull << 30)
#define NET_TIMEOUT_MS         (4ull * 3600 * 1000)
#define NET_PAGE_TIMEOUT_MS    60000
#define NET_CONNECT_TIMEOUT_MS 20000
#define NET_STALL_MS           30000
#define NET_SLOW               1000
#define NET_ATTEMPTS           4
#define NET_BACK_OFF_MS        500
#define NET_RETRY_AFTER_MAX_MS 30000 /* a server that asks for longer is given up */
#define NET_REDIRECTS_MAX      10

struct net;

/* Once, before any thread: sets libcurl and librnp up. Any number of calls. */
void net_global_init(void);

/* Copies the options; `auth` (NULL: none) stays the caller's and outlives it. -1: a bad option. */
int net_new(const struct net_options *opt, const struct auth *auth, struct net **ret,
            struct err *err);

/* NULL is allowed. No request may be under way. */
void net_free(struct net *n);

const struct net_options *net_opt(const struct net *n);
const struct auth *net_auth(const struct net *n);

/* From any thread: requests under way end soon, others fail at once. */
void net_cancel(struct net *n);
bool net_cancelled(const struct net *n);

/* What is left of the command's time, 0 when it is over. */
uint64_t net_remaining_ms(const struct net *n);

/* Waits, unless cancelled: true when the time has passed, false when there is no time for it. */
bool net_wait_ms(struct net *n, uint64_t ms);

/*
 * A handle with the options set, for one request; handles are kept, and their connections with
 * them. Back with net_handle_put(); one whose transfer failed is not `sound` and goes.
 */
CURL *net_handle_get(struct net *n);
void net_handle_put(struct net *n, CURL *h, bool sound);

#endif
