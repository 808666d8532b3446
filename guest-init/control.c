/* SPDX-License-Identifier: Apache-2.0 */
/* The control connection to the host: frames both ways over any stream socket. */
#include "guest-init/control.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "wire/wire.h"

#define READ_CHUNK 65536

static void closed(struct control *c, const char *why)
{
    control_done(c);
    c->on_closed(c->ctx, why);
}

void control_done(struct control *c)
{
    loop_del(c->loop, &c->source);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_free(&c->in);
    buf_free(&c->out);
}

/* Handles every whole frame; the handler may close the connection. */
static void take_frames(struct control *c)
{
    while (c->fd >= 0) {
        struct err err = {0};
        json_t *msg = NULL;
        int r = wire_frame_take(&c->in, WIRE_HOST_FRAME_MAX, &msg, &err);
        if (r < 0)
            closed(c, err.msg);
        if (r <= 0)
            return;
        c->on_message(c->ctx, msg);
        json_decref(msg);
    }
}

static void read_more(struct control *c)
{
    char *p = buf_reserve(&c->in, READ_CHUNK);
    ssize_t n = recv(c->fd, p, READ_CHUNK, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        closed(c, n < 0 ? "reading from the host failed" : "the host closed the connection");
        return;
    }
    buf_commit(&c->in, (size_t)n);
    take_frames(c);
}

static void write_more(struct control *c)
{
    while (c->out.len) {
        ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* EAGAIN: later; a broken connection shows itself when reading */
        buf_consume(&c->out, (size_t)n);
    }
    bool want = c->out.len > 0;
    if (want != c->watching_output)
        loop_mod(c->loop, &c->source, EPOLLIN | (want ? (uint32_t)EPOLLOUT : 0));
    c->watching_output = want;
}

static void on_event(void *ctx, uint32_t events)
{
    struct control *c = ctx;
    if (events & EPOLLOUT)
        write_more(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_more(c);
}

int control_open(struct control *c, struct loop *l, int fd, struct err *err)
{
    c->loop = l;
    c->fd = fd;
    c->watching_output = false;
    c->source = (struct loop_source){.fd = -1, .fn = on_event, .ctx = c};
    if (set_nonblock(fd, true) < 0)
        return err_set(err, errno, "can't make the control connection non-blocking");
    return loop_add(l, &c->source, fd, EPOLLIN, err);
}

void control_send(struct control *c, json_t *msg)
{
    if (c->fd >= 0 && msg) {
        struct err err;
        /* Too large only when an app's name or an error were: bounded long before. */
        (void)wire_frame_add(&c->out, msg, WIRE_GUEST_FRAME_MAX, &err);
        write_more(c);
    }
    json_decref(msg);
}

bool control_flushed(const struct control *c)
{
    return c->out.len == 0;
}
