/* SPDX-License-Identifier: Apache-2.0 */
/* The control connection to the host: frames both ways over any stream socket. */
#ifndef APPC_GUEST_CONTROL_H
#define APPC_GUEST_CONTROL_H

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "guest-init/loop.h"

struct control {
    struct loop *loop;
    struct loop_source source;
    int fd;
    bool watching_output;
    struct buf in, out;
    void (*on_message)(void *ctx, json_t *msg); /* borrows msg */
    void (*on_closed)(void *ctx, const char *why);
    void *ctx;
};

/* Takes over a connected socket and makes it non-blocking. on_closed is called at most once. */
int control_open(struct control *c, struct loop *l, int fd, struct err *err);

/* Queues a message, which it consumes, and writes what the socket takes. */
void control_send(struct control *c, json_t *msg);

/* Whether everything that was queued has gone out. */
bool control_flushed(const struct control *c);

/* Closes without calling on_closed. */
void control_done(struct control *c);

#endif
