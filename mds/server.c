/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server: libmicrohttpd with an outside loop, and deadlines for its connections. */
#include "mds/server.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "mds/request.h"

#define EVENTS_AT_ONCE 64

/* One connection; all have the same time, so the list is in the order of the deadlines. */
struct connection {
    struct connection *prev, *next;
    int fd;      /* libmicrohttpd's */
    bool ending; /* the client sends no more, and libmicrohttpd doesn't know */
    int64_t deadline_ms;
};

struct server {
    struct MHD_Daemon *daemon;
    int epoll_fd; /* libmicrohttpd's epoll, and connections whose client will send no more */
    size_t nending;
    struct request_context context;
    uint32_t timeout_ms;
    struct connection list; /* head of a ring; the one that is due first comes first */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void unlink_connection(struct connection *c)
{
    c->prev->next = c->next;
    c->next->prev = c->prev;
}

/* Starts its time anew. */
static void link_connection(struct server *s, struct connection *c)
{
    c->deadline_ms = now_ms() + s->timeout_ms;
    c->prev = s->list.prev;
    c->next = &s->list;
    c->prev->next = c;
    s->list.prev = c;
}

/*
 * libmicrohttpd waits for edges and takes a short read for the end of what there is, so that it
 * misses a client that shuts down its side right behind what it sent, and would let it wait until
 * its time is over. So the ends are watched here, once for each connection.
 */
static void watch(struct server *s, struct connection *c)
{
    struct epoll_event e = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c};
    epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
}

static void unwatch(struct server *s, struct connection *c)
{
    epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
    s->nending -= c->ending;
}

static void collect_ends(struct server *s)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int n = epoll_wait(s->epoll_fd, events, EVENTS_AT_ONCE, 0);
    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c)
            continue;
        c->ending = true;
        s->nending++;
    }
}

/* When everything before the end was read, a shutdown of this side is the edge that is needed. */
static void pass_on_ends(struct server *s)
{
    char byte;
    collect_ends(s);
    for (struct connection *c = s->list.next; s->nending && c != &s->list; c = c->next) {
        if (!c->ending || recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
            continue;
        shutdown(c->fd, SHUT_RD);
        c->ending = false;
        s->nending--;
    }
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct connection *c = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        c = *socket_context = xcalloc(1, sizeof(*c));
        c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        link_connection(cls, c);
        watch(cls, c);
    } else {
        unwatch(cls, c);
        unlink_connection(c);
        free(c);
        *socket_context = NULL;
    }
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct server *s = cls;
    request_free(&s->context, *state);
    *state = NULL;
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        return;
    struct connection *c =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    unlink_connection(c);
    link_connection(s, c);
}

/* libmicrohttpd's decoding, but for a zero byte, which would end the path. */
static size_t decode_url(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls, (void)connection;
    return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

static struct MHD_Daemon *start_daemon(struct server *s)
{
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, request_handle,
                            &s->context, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)SERVER_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)SERVER_HEADERS_MAX, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                            MHD_OPTION_UNESCAPE_CALLBACK, decode_url, NULL,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_END);
}

static int init(struct server *s, struct err *err)
{
    struct epoll_event e = {.events = EPOLLIN};
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd < 0)
        return err_set(err, errno, "can't make an epoll instance");
    s->daemon = start_daemon(s);
    if (!s->daemon)
        return err_set(err, 0, "can't start the HTTP server");
    int fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
        return err_set(err, errno, "can't watch the HTTP server");
    return 0;
}

int server_new(const struct bundle *bundle, struct identity *id, uint32_t timeout_ms,
               struct server **ret, struct err *err)
{
    struct server *s = xcalloc(1, sizeof(*s));
    s->context = (struct request_context){.bundle = bundle, .identity = id};
    s->timeout_ms = timeout_ms;
    s->list.prev = s->list.next = &s->list;
    if (init(s, err) < 0) {
        server_free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    if (s->epoll_fd >= 0)
        close(s->epoll_fd);
    free(s);
}

void server_add(struct server *s, int fd)
{
    const struct sockaddr addr = {.sa_family = AF_UNIX};
    if (set_nonblock(fd, true) < 0) {
        close(fd);
        return;
    }
    /* Closes it when there are too many. */
    MHD_add_connection(s->daemon, fd, &addr, sizeof(addr.sa_family));
}

int server_fd(const struct server *s)
{
    return s->epoll_fd;
}

int server_timeout(const struct server *s)
{
    MHD_UNSIGNED_LONG_LONG left;
    int64_t wait = -1;
    if (s->list.next != &s->list) {
        wait = s->list.next->deadline_ms - now_ms();
        wait = wait < 0 ? 0 : wait;
    }
    if (MHD_get_timeout(s->daemon, &left) == MHD_YES && (wait < 0 || (int64_t)left < wait))
        wait = (int64_t)left;
    return wait > INT_MAX ? INT_MAX : (int)wait;
}

/* The end of its socket makes libmicrohttpd forget the connection. */
static void expire(struct server *s)
{
    int64_t now = now_ms();
    struct connection *c = s->list.next;
    while (c != &s->list && c->deadline_ms <= now) {
        struct connection *due = c;
        c = c->next;
        shutdown(due->fd, SHUT_RDWR);
        unlink_connection(due);
        link_connection(s, due);
    }
}

void server_run(struct server *s)
{
    expire(s);
    MHD_run(s->daemon);
    pass_on_ends(s);
}
