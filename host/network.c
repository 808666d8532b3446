/* SPDX-License-Identifier: Apache-2.0 */
/* The options of commands that use the network, and what is made of them. */
#include "host/network.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define SECONDS_MAX (30ull * 24 * 3600)
#define RETRIES_MAX 100

void network_options_init(struct network_options *o)
{
    *o = (struct network_options){
        .timeout = NET_TIMEOUT_MS / 1000,
        .stall = NET_STALL_MS / 1000,
        .retries = NET_ATTEMPTS - 1,
        .max_download = NET_MAX_BYTES,
    };
}

void network_options_done(struct network_options *o)
{
    opt_list_done(&o->resolve);
    opt_list_done(&o->insecure);
}

static int set_insecure(struct network_options *o, const char *word, struct err *err)
{
    bool all = str_eq(word, "all");
    if (!all && !str_eq(word, "image") && !str_eq(word, "http") && !str_eq(word, "tls"))
        return err_set(err, 0, "--insecure-options: \"%s\" is none of image, http, tls, all", word);
    o->insecure_image |= all || str_eq(word, "image");
    o->insecure_http |= all || str_eq(word, "http");
    o->insecure_tls |= all || str_eq(word, "tls");
    return 0;
}

int network_options_check(struct network_options *o, struct err *err)
{
    for (size_t i = 0; i < o->insecure.n; i++) {
        cleanup_free char *copy = xstrdup(o->insecure.v[i]);
        char *save;
        for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save))
            if (set_insecure(o, w, err) < 0)
                return -1;
    }
    if (o->discovery_port > 65535)
        return err_set(err, 0, "--discovery-port=%llu is no port",
                       (unsigned long long)o->discovery_port);
    if (o->timeout == 0 || o->timeout > SECONDS_MAX || o->stall == 0 || o->stall > SECONDS_MAX)
        return err_set(err, 0, "--timeout and --stall are 1 to %llu seconds", SECONDS_MAX);
    if (o->retries > RETRIES_MAX)
        return err_set(err, 0, "--retries is at most %d", RETRIES_MAX);
    return 0;
}

int network_open(const struct network_options *o, struct network *ret, struct err *err)
{
    cleanup_with(network_close) struct network n = {0};
    struct net_options no = {
        .insecure_http = o->insecure_http,
        .insecure_tls = o->insecure_tls,
        .ca_file = o->ca_file,
        .resolve = o->resolve.v,
        .nresolve = o->resolve.n,
        .discovery_port = (unsigned)o->discovery_port,
        .max_bytes = o->max_download,
        .timeout_ms = o->timeout * 1000,
        .stall_ms = o->stall * 1000,
        .attempts = (unsigned)o->retries + 1,
    };
    if (no.page_timeout_ms > no.timeout_ms)
        no.page_timeout_ms = no.timeout_ms;
    config_dirs_find(o->config_dir, &n.dirs);
    if (auth_load(&n.dirs, &n.auth, err) < 0 || trust_load(&n.dirs, &n.trust, err) < 0)
        return -1;
    struct network *heap = ret;
    *heap = n;
    n = (struct network){0};
    if (net_new(&no, &heap->auth, &heap->net, err) < 0) {
        network_close(heap);
        return -1;
    }
    return 0;
}

void network_close(struct network *n)
{
    net_free(n->net);
    trust_done(&n->trust);
    auth_done(&n->auth);
    config_dirs_done(&n->dirs);
    *n = (struct network){0};
}
