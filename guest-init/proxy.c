/* SPDX-License-Identifier: Apache-2.0 */
/* Carries the apps' TCP connections to the host's metadata service, byte for byte. */
#include "guest-init/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "wire/wire.h"

#define BACKLOG     512
#define ACCEPT_TURN 32 /* connections of one event */

static void unlink_connection(struct proxy_connection *c)
{
    struct proxy *p = c->proxy;
    *(c->prev ? &c->prev->next : &p->oldest) = c->next;
    *(c->next ? &c->next->prev : &p->newest) = c->prev;
    c->prev = c->next = NULL;
}

static void link_newest(struct proxy_connection *c)
{
    struct proxy *p = c->proxy;
    c->prev = p->newest;
    *(p->newest ? &p->newest->next : &p->oldest) = c;
    p->newest = c;
}

static void close_connection(struct proxy_connection *c)
{
    unlink_connection(c);
    c->proxy->count--;
    for (int i = 0; i < PROXY_ENDS; i++) {
        loop_del(c->proxy->loop, &c->ends[i].source);
        if (c->ends[i].fd >= 0)
            close(c->ends[i].fd);
        buf_free(&c->ends[i].to_it);
    }
    free(c);
}

static void go_deaf(struct proxy_end *e)
{
    e->deaf = true;
    buf_free(&e->to_it);
}

/* Sends what waits for an end; whether all of it has gone. */
static bool send_pending(struct proxy_end *to)
{
    while (to->to_it.len) {
        ssize_t n = send(to->fd, to->to_it.data, to->to_it.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0)
            go_deaf(to);
        else
            buf_consume(&to->to_it, (size_t)n);
    }
    buf_free(&to->to_it); /* most connections are idle most of the time */
    return true;
}

/* An end that is no longer watched has hung up: the kernel has all that will ever come from it. */
static bool hung_up(const struct proxy_end *e)
{
    return e->source.fd < 0;
}

/* Reads once. A broken end has ended, too: what came before goes to the other one. */
static void receive(struct proxy_end *from, struct proxy_end *to)
{
    char *room = buf_reserve(&to->to_it, PROXY_CHUNK);
    ssize_t n = recv(from->fd, room, PROXY_CHUNK, MSG_DONTWAIT);
    if (n > 0)
        buf_commit(&to->to_it, (size_t)n);
    else if (n == 0 || hung_up(from) || (errno != EAGAIN && errno != EINTR))
        from->ended = true;
}

/* Moves at most one chunk, and the end of file behind the last one. */
static void move(struct proxy_end *from, struct proxy_end *to)
{
    if (to->deaf || !send_pending(to))
        return;
    if (!from->ended && !to->deaf)
        receive(from, to);
    if (!send_pending(to) || !from->ended || to->deaf)
        return;
    (void)shutdown(to->fd, SHUT_WR); /* fails only when it is gone already */
    go_deaf(to);
}

/*
 * Waits for bytes only where there is room for them, and for room only where bytes wait. When an
 * end has hung up, the other one's readiness drives what is left to do.
 */
static void watch(struct proxy_end *e, struct proxy_end *other)
{
    uint32_t events = 0;
    if (!e->ended && !other->deaf && other->to_it.len == 0)
        events |= EPOLLIN;
    if (e->to_it.len || (!e->deaf && hung_up(other)))
        events |= EPOLLOUT;
    loop_mod(e->connection->proxy->loop, &e->source, events);
}

/* Whether the connection to the service has come about; if not, the reason does not matter. */
static bool established(struct proxy_connection *c, const struct proxy_end *e, uint32_t events)
{
    c->connected = e == &c->ends[PROXY_SERVICE] && !(events & (EPOLLHUP | EPOLLERR));
    return c->connected;
}

static void on_event(void *ctx, uint32_t events)
{
    struct proxy_end *e = ctx;
    struct proxy_connection *c = e->connection;
    struct proxy_end *other = &c->ends[e == &c->ends[PROXY_CLIENT] ? PROXY_SERVICE : PROXY_CLIENT];
    if (!c->connected && !established(c, e, events)) {
        close_connection(c);
        return;
    }
    if (events & (EPOLLHUP | EPOLLERR)) { /* reported for ever, also when not asked for */
        loop_del(c->proxy->loop, &e->source);
        go_deaf(e);
    }
    move(e, other);
    move(other, e);
    if (e->deaf && other->deaf) {
        close_connection(c);
        return;
    }
    watch(e, other);
    watch(other, e);
    unlink_connection(c);
    link_newest(c);
}

static int add_end(struct proxy_connection *c, int which, int fd, uint32_t events)
{
    struct proxy_end *e = &c->ends[which];
    e->fd = fd;
    return loop_add(c->proxy->loop, &e->source, fd, events, NULL);
}

static void open_connection(struct proxy *p, int client)
{
    struct proxy_connection *c = xcalloc(1, sizeof(*c));
    static const int on = 1;
    c->proxy = p;
    for (int i = 0; i < PROXY_ENDS; i++)
        c->ends[i] = (struct proxy_end){
            .connection = c,
            .source = {.fd = -1, .fn = on_event, .ctx = &c->ends[i]},
            .fd = -1,
        };
    if (p->count == PROXY_CONNECTIONS_MAX)
        close_connection(p->oldest);
    p->count++;
    link_newest(c);
    /* An answer in several pieces must not wait for the client's acknowledgement (VAL-62). */
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int r = add_end(c, PROXY_CLIENT, client, 0);
    int service = p->connect(p->ctx);
    if (r < 0 || service < 0 || add_end(c, PROXY_SERVICE, service, EPOLLOUT) < 0)
        close_connection(c);
}

static void on_listener(void *ctx, uint32_t events)
{
    struct proxy *p = ctx;
    (void)events;
    for (int i = 0; i < ACCEPT_TURN; i++) {
        int fd = accept4(p->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        open_connection(p, fd);
    }
}

int proxy_start(struct proxy *p, struct loop *l, int listener, int (*connect)(void *ctx), void *ctx,
                struct err *err)
{
    cleanup_close int fd = listener;
    *p = (struct proxy){.loop = l, .connect = connect, .ctx = ctx, .first = {.fd = -1}};
    p->listener = (struct loop_source){.fd = -1, .fn = on_listener, .ctx = p};
    if (set_nonblock(fd, true) < 0)
        return err_set(err, errno, "can't make the metadata listener non-blocking");
    if (loop_add(l, &p->listener, fd, EPOLLIN, err) < 0)
        return -1;
    (void)take_fd(fd);
    return 0;
}

static void end_warm_up(struct proxy *p)
{
    int fd = p->first.fd;
    if (fd < 0)
        return;
    loop_del(p->loop, &p->first);
    close(fd);
}

static void on_first(void *ctx, uint32_t events)
{
    struct proxy *p = ctx;
    char waste[1024];
    ssize_t n = recv(p->first.fd, waste, sizeof(waste), MSG_DONTWAIT);
    (void)events;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        end_warm_up(p);
}

void proxy_warm_up(struct proxy *p)
{
    /* The service refuses it, as it has no token, and has then done all but look something up. */
    static const char request[] = "GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n";
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || getsockname(p->listener.fd, (struct sockaddr *)&at, &len) < 0 ||
        connect(fd, (const struct sockaddr *)&at, len) < 0 ||
        send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return;
    p->first = (struct loop_source){.fd = -1, .fn = on_first, .ctx = p};
    if (loop_add(p->loop, &p->first, fd, EPOLLIN, NULL) == 0)
        (void)take_fd(fd);
}

void proxy_done(struct proxy *p)
{
    end_warm_up(p);
    while (p->oldest)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it takes itself off the list */
        close_connection(p->oldest);
    int fd = p->listener.fd;
    if (fd < 0)
        return;
    loop_del(p->loop, &p->listener);
    close(fd);
}

int proxy_listen(struct err *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(WIRE_METADATA_TCP_PORT)};
    (void)inet_pton(AF_INET, WIRE_METADATA_ADDRESS, &at.sin_addr);
    cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, BACKLOG) < 0)
        return err_set(err, errno, "can't listen on %s port %d for the metadata service",
                       WIRE_METADATA_ADDRESS, WIRE_METADATA_TCP_PORT);
    return take_fd(fd);
}
