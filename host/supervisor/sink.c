/* SPDX-License-Identifier: Apache-2.0 */
/* A sink: the supervisor's own standard output or error. */
#include "host/supervisor/sink.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <unistd.h>

/* poll() saying "writable" promises that a pipe takes PIPE_BUF bytes without blocking. */
#define SINK_CHUNK PIPE_BUF

static void sink_break(struct sink *s)
{
    if (s->pollable)
        loop_del(s->loop, &s->watch);
    s->pollable = false;
    s->broken = true;
    buf_free(&s->pending);
    s->sent = 0;
    s->drained(s->ctx);
}

static void write_some(struct sink *s, size_t chunk)
{
    bool was_full = sink_full(s);
    size_t left = s->pending.len - s->sent;
    ssize_t n = write(s->watch.fd, s->pending.data + s->sent, left < chunk ? left : chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n < 0) {
        sink_break(s);
        return;
    }
    s->sent += (size_t)n;
    /* What is sent is dropped in large pieces, so that moving the rest stays cheap. */
    if (s->sent == s->pending.len || s->sent >= SINK_HIGH_WATER) {
        buf_consume(&s->pending, s->sent);
        s->sent = 0;
    }
    if (was_full && !sink_full(s))
        s->drained(s->ctx);
}

static void on_writable(struct watch *w, uint32_t events)
{
    struct sink *s = (struct sink *)w;
    if (events & (EPOLLERR | EPOLLHUP)) {
        sink_break(s);
        return;
    }
    write_some(s, SINK_CHUNK);
    if (!s->broken && sink_empty(s))
        loop_set(s->loop, &s->watch, 0);
}

void sink_init(struct sink *s, struct loop *l, int fd, void (*drained)(void *ctx), void *ctx)
{
    *s = (struct sink){
        .watch = {.fd = fd, .fn = on_writable}, .loop = l, .drained = drained, .ctx = ctx};
    if (fd < 0) {
        s->broken = true;
        return;
    }
    s->tty = isatty(fd);
    s->pollable = loop_add(l, &s->watch, 0) == 0;
}

void sink_write(struct sink *s, const void *data, size_t len)
{
    if (s->broken)
        return;
    buf_add(&s->pending, data, len);
    if (s->pollable)
        loop_set(s->loop, &s->watch, EPOLLOUT);
    else
        while (!s->broken && !sink_empty(s))
            write_some(s, s->pending.len);
}

bool sink_full(const struct sink *s)
{
    return s->pending.len - s->sent > SINK_HIGH_WATER;
}

bool sink_empty(const struct sink *s)
{
    return s->pending.len == s->sent;
}

void sink_done(struct sink *s)
{
    if (s->pollable)
        loop_del(s->loop, &s->watch);
    buf_free(&s->pending);
}
