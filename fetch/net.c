/* SPDX-License-Identifier: Apache-2.0 */
/* What all requests of one command share. */
#include "fetch/net.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/lazy_curl.h"
#include "fetch/quiet.h"

#define IDLE_MAX 16

struct net {
    struct net_options opt;
    char *ca_file;
    struct curl_slist *connect_to;
    const struct auth *auth;
    uint64_t deadline_ms;
    atomic_bool cancelled;
    pthread_mutex_t lock; /* idle and the condition */
    pthread_cond_t wake;
    CURL *idle[IDLE_MAX];
    size_t nidle;
    CURLSH *share; /* host names and TLS sessions */
    pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
};

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void init_once(void)
{
    quiet_install();
    lazy_curl();
    if (lazy_curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        die_oom();
}

void net_global_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
}

static void share_lock(CURL *h, curl_lock_data data, curl_lock_access access, void *arg)
{
    (void)h, (void)access;
    struct net *n = arg;
    pthread_mutex_lock(&n->share_locks[data]);
}

static void share_unlock(CURL *h, curl_lock_data data, void *arg)
{
    (void)h;
    struct net *n = arg;
    pthread_mutex_unlock(&n->share_locks[data]);
}

static void share_init(struct net *n)
{
    for (size_t i = 0; i < ARRAY_SIZE(n->share_locks); i++)
        pthread_mutex_init(&n->share_locks[i], NULL);
    n->share = lazy_curl_share_init();
    if (!n->share)
        die_oom();
    lazy_curl_share_setopt(n->share, CURLSHOPT_LOCKFUNC, share_lock);
    lazy_curl_share_setopt(n->share, CURLSHOPT_UNLOCKFUNC, share_unlock);
    lazy_curl_share_setopt(n->share, CURLSHOPT_USERDATA, n);
    lazy_curl_share_setopt(n->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    lazy_curl_share_setopt(n->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
}

static void defaults(struct net_options *o)
{
    if (!o->max_bytes)
        o->max_bytes = NET_MAX_BYTES;
    if (!o->timeout_ms)
        o->timeout_ms = NET_TIMEOUT_MS;
    if (!o->page_timeout_ms)
        o->page_timeout_ms = NET_PAGE_TIMEOUT_MS;
    if (!o->connect_timeout_ms)
        o->connect_timeout_ms = NET_CONNECT_TIMEOUT_MS;
    if (!o->stall_ms)
        o->stall_ms = NET_STALL_MS;
    if (!o->attempts)
        o->attempts = NET_ATTEMPTS;
    if (!o->back_off_ms)
        o->back_off_ms = NET_BACK_OFF_MS;
    else if (o->back_off_ms == UINT64_MAX)
        o->back_off_ms = 0;
}

/* The end of an address in "HOST:PORT:ADDRESS[:PORT]"; IPv6 stands in brackets. */
static const char *address_end(const char *address)
{
    const char *end = *address == '[' ? strchr(address, ']') : NULL;
    return end ? end + 1 : address + strcspn(address, ":");
}

/* Becomes curl's HOST:PORT:CONNECT-TO-HOST:CONNECT-TO-PORT; names stay the ones of the URL. */
static int add_resolve(struct net *n, const char *text, struct err *err)
{
    const char *c1 = strchr(text, ':'), *c2 = c1 ? strchr(c1 + 1, ':') : NULL;
    uint64_t port, to_port;
    if (!c2 || c1 == text || !c2[1])
        return err_set(err, 0, "--resolve \"%s\" is not HOST:PORT:ADDRESS[:PORT]", text);
    cleanup_free char *from = xstrndup(c1 + 1, (size_t)(c2 - c1 - 1));
    const char *end = address_end(c2 + 1);
    if (parse_u64(from, 65535, &port) < 0 || port == 0 || end == c2 + 1 ||
        (*end && (*end != ':' || parse_u64(end + 1, 65535, &to_port) < 0 || to_port == 0)))
        return err_set(err, 0, "--resolve \"%s\" is not HOST:PORT:ADDRESS[:PORT]", text);
    cleanup_free char *item = *end ? xstrdup(text) : xasprintf("%s:%s", text, from);
    struct curl_slist *longer = lazy_curl_slist_append(n->connect_to, item);
    if (!longer)
        die_oom();
    n->connect_to = longer;
    return 0;
}

static int take_options(struct net *n, const struct net_options *opt, struct err *err)
{
    n->opt = *opt;
    defaults(&n->opt);
    if (opt->discovery_port > 65535)
        return err_set(err, 0, "%u is no port", opt->discovery_port);
    if (opt->ca_file) {
        if (access(opt->ca_file, R_OK) < 0)
            return err_set(err, errno, "can't read the CA file %s", opt->ca_file);
        n->opt.ca_file = n->ca_file = xstrdup(opt->ca_file);
    }
    for (size_t i = 0; i < opt->nresolve; i++)
        if (add_resolve(n, opt->resolve[i], err) < 0)
            return -1;
    n->opt.resolve = NULL;
    n->deadline_ms = now_ms() + n->opt.timeout_ms;
    return 0;
}

int net_new(const struct net_options *opt, const struct auth *auth, struct net **ret,
            struct err *err)
{
    net_global_init();
    struct net *n = xcalloc(1, sizeof(*n));
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&n->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&n->lock, NULL);
    share_init(n);
    n->auth = auth;
    if (take_options(n, opt, err) < 0) {
        net_free(n);
        return -1;
    }
    *ret = n;
    return 0;
}

void net_free(struct net *n)
{
    if (!n)
        return;
    while (n->nidle)
        lazy_curl_easy_cleanup(n->idle[--n->nidle]);
    lazy_curl_share_cleanup(n->share);
    lazy_curl_slist_free_all(n->connect_to);
    for (size_t i = 0; i < ARRAY_SIZE(n->share_locks); i++)
        pthread_mutex_destroy(&n->share_locks[i]);
    pthread_mutex_destroy(&n->lock);
    pthread_cond_destroy(&n->wake);
    free(n->ca_file);
    free(n);
}

const struct net_options *net_opt(const struct net *n)
{
    return &n->opt;
}

const struct auth *net_auth(const struct net *n)
{
    return n->auth;
}

void net_cancel(struct net *n)
{
    pthread_mutex_lock(&n->lock);
    n->cancelled = true;
    pthread_cond_broadcast(&n->wake);
    pthread_mutex_unlock(&n->lock);
}

bool net_cancelled(const struct net *n)
{
    return n->cancelled;
}

uint64_t net_remaining_ms(const struct net *n)
{
    uint64_t now = now_ms();
    return now < n->deadline_ms ? n->deadline_ms - now : 0;
}

bool net_wait_ms(struct net *n, uint64_t ms)
{
    if (ms >= net_remaining_ms(n))
        return false;
    uint64_t until = now_ms() + ms;
    struct timespec ts = {.tv_sec = (time_t)(until / 1000),
                          .tv_nsec = (long)(until % 1000) * 1000000};
    pthread_mutex_lock(&n->lock);
    while (!n->cancelled && pthread_cond_timedwait(&n->wake, &n->lock, &ts) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&n->lock);
    return !n->cancelled;
}

/* It fails for lack of memory, or of a feature that our build always has. */
#define SET(h, option, value)                                                                      \
    do {                                                                                           \
        if (lazy_curl_easy_setopt((h), (option), (value)) != CURLE_OK)                             \
            die_oom();                                                                             \
    } while (0)

static void set_common(struct net *n, CURL *h)
{
    SET(h, CURLOPT_SHARE, n->share);
    SET(h, CURLOPT_NOSIGNAL, 1L);
    SET(h, CURLOPT_USERAGENT, "appc-vm/" APPC_VM_VERSION);
    SET(h, CURLOPT_PROTOCOLS_STR, n->opt.insecure_http ? "https,http" : "https");
    SET(h, CURLOPT_FOLLOWLOCATION, 0L); /* each hop is judged by http.c */
    SET(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(h, CURLOPT_CONNECTTIMEOUT_MS, (long)n->opt.connect_timeout_ms);
    SET(h, CURLOPT_LOW_SPEED_LIMIT, (long)NET_SLOW);
    SET(h, CURLOPT_LOW_SPEED_TIME, (long)((n->opt.stall_ms + 999) / 1000));
    SET(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(h, CURLOPT_SSL_VERIFYPEER, n->opt.insecure_tls ? 0L : 1L);
    SET(h, CURLOPT_SSL_VERIFYHOST, n->opt.insecure_tls ? 0L : 2L);
    if (n->opt.ca_file)
        SET(h, CURLOPT_CAINFO, n->opt.ca_file);
    if (n->connect_to)
        SET(h, CURLOPT_CONNECT_TO, n->connect_to);
    (void)lazy_curl_easy_setopt(h, CURLOPT_BUFFERSIZE,
                                256L << 10); /* refused when there is one already */
}

CURL *net_handle_get(struct net *n)
{
    CURL *h = NULL;
    pthread_mutex_lock(&n->lock);
    if (n->nidle)
        h = n->idle[--n->nidle];
    pthread_mutex_unlock(&n->lock);
    if (!h)
        h = lazy_curl_easy_init();
    if (!h)
        die_oom();
    lazy_curl_easy_reset(h); /* keeps the connections */
    set_common(n, h);
    return h;
}

void net_handle_put(struct net *n, CURL *h, bool sound)
{
    lazy_curl_easy_reset(h); /* no credentials stay in it */
    pthread_mutex_lock(&n->lock);
    if (sound && n->nidle < IDLE_MAX)
        n->idle[n->nidle++] = take_ptr(h);
    pthread_mutex_unlock(&n->lock);
    if (h)
        lazy_curl_easy_cleanup(h);
}
