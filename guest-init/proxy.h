/* SPDX-License-Identifier: Apache-2.0 */
/* Carries the apps' TCP connections to the host's metadata service, byte for byte. */
#ifndef APPC_GUEST_PROXY_H
#define APPC_GUEST_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "guest-init/loop.h"

/* Connections at a time; fewer than the service takes, so that none meets a closed door there. */
#define PROXY_CONNECTIONS_MAX 200

/* Bytes that one event moves, and that at most wait in one direction of a connection. */
#define PROXY_CHUNK 16384

struct proxy;
struct proxy_connection;

enum { PROXY_CLIENT, PROXY_SERVICE, PROXY_ENDS };

/* One end of a connection, and what is on its way to it. */
struct proxy_end {
    struct proxy_connection *connection;
    struct loop_source source;
    int fd;
    bool ended;       /* no more bytes come from it */
    bool deaf;        /* it takes no more bytes: its end of file is out, or it is gone */
    struct buf to_it; /* read from the other end, not taken by this one yet */
};

struct proxy_connection {
    struct proxy *proxy;
    struct proxy_connection *prev, *next; /* towards the one used before it, and after it */
    struct proxy_end ends[PROXY_ENDS];
    bool connected; /* to the service; before that nothing is moved */
};

struct proxy {
    struct loop *loop;
    struct loop_source listener;
    struct proxy_connection *oldest, *newest; /* by their last use */
    size_t count;
    struct loop_source first;  /* the warm-up's client; fd -1 when it is over */
    int (*connect)(void *ctx); /* a socket to the service that may still be connecting, or -1 */
    void *ctx;
};

/*
 * Serves a listening socket, which it takes over. Every connection gets one of its own from
 * `connect`. Both directions end for themselves; a slow end holds the other one back; and with
 * PROXY_CONNECTIONS_MAX open, a new one replaces the one that was idle longest.
 */
int proxy_start(struct proxy *p, struct loop *l, int listener, int (*connect)(void *ctx), void *ctx,
                struct err *err);

/*
 * Sends a request of init's own through the whole path and drops the answer: the first one of a
 * guest takes many times as long as any other, and clients wait no longer than 100 ms. Nothing
 * waits for it, and its failure means nothing.
 */
void proxy_warm_up(struct proxy *p);

/* Closes everything. */
void proxy_done(struct proxy *p);

/* A socket that listens where apps find the metadata service; no app can take its place. */
int proxy_listen(struct err *err);

#endif
