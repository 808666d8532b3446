/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 as a client with a short patience: one kept connection, one request at a time. */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "validator.h"

#define ANSWER_MAX (1u << 20)

static int connection = -1;

struct url {
    char host[64];
    unsigned port;
    const char *prefix;
};

static bool parse_url(const char *base, struct url *u)
{
    int n = 0;
    u->port = 80;
    if (sscanf(base, "http://%63[0-9.]%n", u->host, &n) != 1)
        return false;
    base += n;
    n = 0;
    if (*base == ':' && sscanf(base, ":%u%n", &u->port, &n) != 1)
        return false;
    u->prefix = base + n;
    return *u->prefix == '/' || *u->prefix == '\0';
}

/* Waits for the socket until the deadline. */
static bool ready(short events, uint64_t deadline)
{
    struct pollfd p = {.fd = connection, .events = events};
    uint64_t now = now_us();
    int ms = now >= deadline ? 0 : (int)((deadline - now + 999) / 1000);
    return poll(&p, 1, ms) == 1;
}

static const char *open_connection(const struct url *u, uint64_t deadline)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)u->port)};
    int error = 0;
    socklen_t len = sizeof(error);
    if (connection >= 0)
        return NULL;
    if (inet_pton(AF_INET, u->host, &to.sin_addr) != 1)
        return "the URL has no IPv4 address";
    connection = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connect(connection, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
        return "connecting failed";
    if (!ready(POLLOUT, deadline))
        return "no connection in time";
    getsockopt(connection, SOL_SOCKET, SO_ERROR, &error, &len);
    return error ? "connecting failed" : NULL;
}

static const char *send_request(const struct url *u, const char *path, const char *form)
{
    char *text = NULL;
    int n = form
                ? asprintf(&text,
                           "POST %s%s HTTP/1.1\r\nHost: %s\r\nMetadata-Flavor: AppContainer\r\n"
                           "Content-Type: application/x-www-form-urlencoded\r\n"
                           "Content-Length: %zu\r\n\r\n%s",
                           u->prefix, path, u->host, strlen(form), form)
                : asprintf(&text,
                           "GET %s%s HTTP/1.1\r\nHost: %s\r\nMetadata-Flavor: AppContainer\r\n\r\n",
                           u->prefix, path, u->host);
    if (n < 0)
        return "no memory";
    ssize_t sent = send(connection, text, (size_t)n, MSG_NOSIGNAL);
    free(text);
    return sent == n ? NULL : "the request could not be sent at once";
}

/* The value of a header, copied up to the end of its line. */
static bool header(const char *head, const char *name, char *ret, size_t cap)
{
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        const char *p = line + 2;
        if (strncasecmp(p, name, len) != 0 || p[len] != ':')
            continue;
        p += len + 1 + strspn(p + len + 1, " \t");
        snprintf(ret, cap, "%.*s", (int)strcspn(p, "\r"), p);
        return true;
    }
    return false;
}

/* Takes apart what has come: 1 whole, 0 more is needed, -1 it is no HTTP that we know. */
static int parse_answer(char *data, size_t len, struct response *ret)
{
    char length[32];
    char *end = strstr(data, "\r\n\r\n");
    if (!end)
        return 0;
    end[2] = '\0';
    int ok = sscanf(data, "HTTP/1.1 %d", &ret->status) == 1 &&
             header(data, "Content-Length", length, sizeof(length));
    if (!header(data, "Content-Type", ret->type, sizeof(ret->type)))
        ret->type[0] = '\0';
    end[2] = '\r';
    if (!ok)
        return -1;
    ret->body = end + 4;
    ret->len = strtoul(length, NULL, 10);
    return (size_t)(ret->body - data) + ret->len <= len;
}

static const char *read_answer(struct response *ret, uint64_t deadline)
{
    char *data = calloc(1, ANSWER_MAX + 1);
    size_t len = 0;
    for (;;) {
        if (!ready(POLLIN, deadline))
            return "no answer in time";
        ssize_t n = recv(connection, data + len, ANSWER_MAX - len, 0);
        if (n <= 0)
            return n == 0 ? "the service closed the connection" : "receiving failed";
        len += (size_t)n;
        int r = parse_answer(data, len, ret);
        if (r < 0)
            return "the answer is no HTTP with a length";
        if (r > 0)
            break;
    }
    ret->body[ret->len] = '\0';
    return NULL;
}

const char *http_request(const char *base, const char *path, const char *form, struct response *ret)
{
    struct url u;
    uint64_t begin = now_us(), deadline = begin + REQUEST_MS * 1000;
    *ret = (struct response){.body = NULL};
    if (!parse_url(base, &u))
        return "the URL is none";
    const char *why = open_connection(&u, deadline);
    if (!why)
        why = send_request(&u, path, form);
    if (!why)
        why = read_answer(ret, deadline);
    ret->us = now_us() - begin;
    if (why || ret->status >= 400) { /* what follows an error must not depend on it */
        close(connection);
        connection = -1;
    }
    return why;
}
