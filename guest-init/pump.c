/* SPDX-License-Identifier: Apache-2.0 */
/* Carries one output stream of an app from its pipe to the host. */
#include "guest-init/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"

/* Bytes of one turn: after them the loop looks at everything else. */
#define TURN_BYTES (256u << 10)
/* Bytes of one read where splice() does not work. */
#define READ_CHUNK (64u << 10)

static void finish(struct pump *p)
{
    if (p->state == PUMP_DONE)
        return;
    pump_done(p);
    p->on_done(p->ctx);
}

void pump_done(struct pump *p)
{
    if (p->state == PUMP_DONE)
        return;
    p->state = PUMP_DONE;
    loop_del(p->loop, &p->in);
    loop_del(p->loop, &p->out);
    close(p->pipe);
    close(p->sock);
    p->pipe = p->sock = -1;
    buf_free(&p->pending);
}

static void discard(struct pump *p)
{
    p->state = PUMP_DISCARD;
    buf_free(&p->pending);
    loop_del(p->loop, &p->out);
    if (p->in.fd < 0)
        finish(p); /* nobody writes any more */
    else
        loop_mod(p->loop, &p->in, EPOLLIN);
}

/* The pipe has ended and everything is with the kernel: the host gets its end of file. */
static void shut_down(struct pump *p)
{
    loop_del(p->loop, &p->in);
    if (shutdown(p->sock, SHUT_WR) < 0) {
        finish(p);
        return;
    }
    p->state = PUMP_CLOSE;
    loop_mod(p->loop, &p->out, EPOLLIN);
}

/*
 * Waits for room in the socket (true) or for bytes in the pipe. A pipe that is no longer watched
 * has all its bytes already, so then the socket's readiness drives the pump.
 */
static void wait_for_room(struct pump *p, bool room)
{
    room = room || p->in.fd < 0;
    p->want_room = room;
    loop_mod(p->loop, &p->in, room ? 0 : EPOLLIN);
    loop_mod(p->loop, &p->out, room ? EPOLLOUT : 0);
}

/* Sends what is pending: 1 all gone, 0 the socket is full, -1 the host is gone. */
static int send_pending(struct pump *p)
{
    while (p->pending.len) {
        ssize_t n = send(p->sock, p->pending.data, p->pending.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        if (p->state == PUMP_FLOW)
            p->bytes += (uint64_t)n;
        buf_consume(&p->pending, (size_t)n);
    }
    return 1;
}

/* As splice() does, by way of a buffer. */
static ssize_t copy(struct pump *p, size_t max)
{
    char *b = buf_reserve(&p->pending, READ_CHUNK);
    ssize_t n = read(p->pipe, b, max < READ_CHUNK ? max : READ_CHUNK);
    if (n <= 0)
        return n;
    buf_commit(&p->pending, (size_t)n);
    int r = send_pending(p);
    if (r < 0) {
        errno = EPIPE;
        return -1;
    }
    return n;
}

static ssize_t move(struct pump *p, size_t max)
{
    if (!p->no_splice) {
        ssize_t n = splice(p->pipe, NULL, p->sock, NULL, max, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n > 0)
            p->bytes += (uint64_t)n;
        if (n >= 0 || errno != EINVAL)
            return n;
        p->no_splice = true;
    }
    return copy(p, max);
}

static bool pipe_has_bytes(struct pump *p)
{
    int n = 0;
    return ioctl(p->pipe, FIONREAD, &n) == 0 && n > 0;
}

static void flow(struct pump *p)
{
    int r = send_pending(p);
    for (size_t left = TURN_BYTES; r == 1 && left > 0;) {
        ssize_t n = move(p, left);
        if (n == 0) {
            shut_down(p);
            return;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            wait_for_room(p, pipe_has_bytes(p));
            return;
        }
        r = n < 0 ? -1 : p->pending.len ? 0 : 1;
        left -= n > 0 ? (size_t)n : 0;
    }
    if (r < 0)
        discard(p);
    else
        wait_for_room(p, r == 0);
}

static void connecting(struct pump *p)
{
    int error = 0;
    socklen_t len = sizeof(error);
    int r = -1;
    if (getsockopt(p->sock, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0)
        r = send_pending(p);
    if (r < 0)
        discard(p);
    if (r != 1)
        return;
    p->state = PUMP_FLOW;
    flow(p);
}

static void drain_pipe(struct pump *p)
{
    char waste[16384];
    if (read(p->pipe, waste, sizeof(waste)) == 0)
        finish(p);
}

/* The host has kept everything when it closes; whatever it sends meanwhile is not ours. */
static void await_close(struct pump *p)
{
    char waste[256];
    ssize_t n = recv(p->sock, waste, sizeof(waste), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        finish(p);
}

static void on_pipe(void *ctx, uint32_t events)
{
    struct pump *p = ctx;
    if (p->state == PUMP_DISCARD)
        drain_pipe(p);
    else if (!p->want_room)
        flow(p);
    else if (events & (EPOLLHUP | EPOLLERR)) /* reported even when not asked for */
        loop_del(p->loop, &p->in);
}

static void on_socket(void *ctx, uint32_t events)
{
    struct pump *p = ctx;
    if (p->state == PUMP_CONNECT) {
        connecting(p);
    } else if (p->state == PUMP_CLOSE) {
        await_close(p);
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        discard(p);
    } else {
        flow(p);
    }
}

int pump_start(struct pump *p, struct loop *l, int pipe, int sock, struct buf *header,
               struct err *err)
{
    p->loop = l;
    p->pipe = pipe;
    p->sock = sock;
    p->state = PUMP_CONNECT;
    p->no_splice = false;
    p->want_room = true;
    p->bytes = 0;
    p->pending = *header;
    *header = (struct buf){0};
    p->in = (struct loop_source){.fd = -1, .fn = on_pipe, .ctx = p};
    p->out = (struct loop_source){.fd = -1, .fn = on_socket, .ctx = p};
    if (set_nonblock(pipe, true) < 0 || set_nonblock(sock, true) < 0)
        return err_set(err, errno, "can't make a stream non-blocking");
    if (loop_add(l, &p->in, pipe, 0, err) < 0)
        return -1;
    return loop_add(l, &p->out, sock, EPOLLOUT, err);
}
