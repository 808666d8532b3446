/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server: connections that it is handed, in one thread, with libmicrohttpd. */
#ifndef APPC_MDS_SERVER_H
#define APPC_MDS_SERVER_H

#include <stdint.h>

#include "mds/bundle.h"
#include "mds/identity.h"

struct err;
struct server;

#define SERVER_CONNECTIONS_MAX 256   /* more are closed at once */
#define SERVER_TIMEOUT_MS      60000 /* default of timeout_ms */
#define SERVER_HEADERS_MAX     16384 /* bytes of request line and headers together */

/*
 * Makes a server that has no socket of its own. `bundle` and `id` are borrowed. A connection that
 * completes no request for `timeout_ms` is closed, however it spends the time: idle, sending a
 * byte now and then, or not reading the answer. server_free() closes all connections.
 */
int server_new(const struct bundle *bundle, struct identity *id, uint32_t timeout_ms,
               struct server **ret, struct err *err);
void server_free(struct server *s);

/* Serves HTTP on a connected stream socket, which it takes over. */
void server_add(struct server *s, int fd);

/* A descriptor that is readable when there is something to do. */
int server_fd(const struct server *s);

/* Milliseconds after which server_run() has to be called in any case; -1: never. */
int server_timeout(const struct server *s);

/* Does all that can be done without waiting. */
void server_run(struct server *s);

#endif
