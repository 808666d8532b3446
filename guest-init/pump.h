/* SPDX-License-Identifier: Apache-2.0 */
/* Carries one output stream of an app from its pipe to the host. */
#ifndef APPC_GUEST_PUMP_H
#define APPC_GUEST_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "guest-init/loop.h"

enum pump_state {
    PUMP_CONNECT, /* the socket is still connecting, or the header is not out */
    PUMP_FLOW,    /* bytes go from the pipe to the socket */
    PUMP_DISCARD, /* the host is gone: the pipe is emptied so that the app can go on */
    PUMP_CLOSE,   /* all sent and shut down; the host still writes it to disk */
    PUMP_DONE,
};

struct pump {
    struct loop *loop;
    struct loop_source in, out;
    int pipe, sock;
    enum pump_state state;
    struct buf pending; /* the header, or bytes read that the socket did not take yet */
    bool no_splice;     /* the kernel can't splice to this socket */
    bool want_room;     /* waits for the socket, not for the pipe */
    uint64_t bytes;     /* of the app, as sent */
    void (*on_done)(void *ctx);
    void *ctx;
};

/*
 * Starts the pump. `pipe` is the read end of the app's pipe; `sock` is a stream
 * socket that may still be connecting. Both are taken over and become
 * non-blocking. `header` (bytes of the first frame) goes out first. When the
 * pipe has no writer left and is empty, the sending side is shut down; when the
 * host has then closed its side, on_done is called once. The app is held back
 * as long as the host is slow. On failure the caller still calls pump_done().
 */
int pump_start(struct pump *p, struct loop *l, int pipe, int sock, struct buf *header,
               struct err *err);

/* Releases everything without on_done. */
void pump_done(struct pump *p);

#endif
