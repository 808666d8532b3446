/* SPDX-License-Identifier: Apache-2.0 */
/* mds/server inside of a process that can look for leaks: connections, requests, deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "bundle_fixture.h"
#include "mds/server.h"

#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"

struct world {
    struct bundle bundle;
    struct identity identity;
    struct server *server;
};

static void start(struct world *w, uint32_t timeout_ms)
{
    struct err err;
    *w = (struct world){0};
    assert_int_equal(bundle_decode(BUNDLE, strlen(BUNDLE), &w->bundle, &err), 0);
    assert_int_equal(identity_init(&w->identity, w->bundle.master, &err), 0);
    assert_int_equal(server_new(&w->bundle, &w->identity, timeout_ms, &w->server, &err), 0);
}

static void stop(struct world *w)
{
    server_free(w->server);
    identity_done(&w->identity);
    bundle_done(&w->bundle);
}

static int client(struct world *w)
{
    int s[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    assert_int_equal(set_nonblock(s[1], true), 0);
    server_add(w->server, s[0]);
    return s[1];
}

static void say(int fd, const char *text)
{
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

/* Runs the server until the client has read `want` bytes or the end (true). */
static bool listen_for(struct world *w, int fd, struct buf *in, size_t want)
{
    while (in->len < want) {
        char tmp[4096];
        struct pollfd p[] = {{.fd = fd, .events = POLLIN},
                             {.fd = server_fd(w->server), .events = POLLIN}};
        assert_true(poll(p, ARRAY_SIZE(p), server_timeout(w->server)) >= 0);
        server_run(w->server);
        ssize_t n = read(fd, tmp, sizeof(tmp));
        if (n > 0)
            buf_add(in, tmp, (size_t)n);
        if (n == 0)
            return true;
    }
    return false;
}

/* Sends a request whose answer closes the connection; the whole answer. */
static char *ask(struct world *w, const char *text)
{
    struct buf in = {0};
    int fd = client(w);
    say(fd, text);
    assert_true(listen_for(w, fd, &in, SIZE_MAX));
    close(fd);
    return buf_take(&in);
}

static void is(struct world *w, const char *text, const char *start_line, const char *end)
{
    cleanup_free char *got = ask(w, text);
    if (strncmp(got, start_line, strlen(start_line)) != 0 || strlen(got) < strlen(end) ||
        strcmp(got + strlen(got) - strlen(end), end) != 0)
        fail_msg("%s\nanswered with\n%s", text, got);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#define POST(path, len, body)                                                                      \
    "POST " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" FORM "Content-Length: " #len      \
    "\r\n\r\n" body

static void answers_are_exact(void **state)
{
    struct world w;
    (void)state;
    start(&w, 60000);
    is(&w, GET(BASE "/pod/uuid"), "HTTP/1.1 200", "\r\n\r\n" UUID);
    is(&w, GET(BASE "/pod/uuid?a=b"), "HTTP/1.1 200", "\r\n\r\n" UUID);
    is(&w, GET(BASE "/pod/%75uid"), "HTTP/1.1 200", "\r\n\r\n" UUID);
    is(&w, GET(BASE "/pod/uuid%00"), "HTTP/1.1 404", "\n");
    is(&w, GET("/x"), "HTTP/1.1 403", "\n");
    is(&w, POST(BASE "/pod/hmac/sign", 0, ""), "HTTP/1.1 400", "\n");
    is(&w, POST(BASE "/pod/hmac/sign", 9, "content=a"), "HTTP/1.1 200", "==");
    is(&w, POST(BASE "/pod/hmac/verify", 28, "content=a&uuid=b&signature=c"), "HTTP/1.1 403",
       "\r\n\r\n");
    is(&w, POST(BASE "/pod/hmac/sign", 99999999, ""), "HTTP/1.1 413", "\n");
    stop(&w);
}

/* A body that never comes to its end, a field that is too long, a client that goes away. */
static void what_is_left_unfinished_leaks_nothing(void **state)
{
    struct world w;
    struct buf in = {0};
    (void)state;
    start(&w, 60000);
    int fd = client(&w);
    say(fd, "POST " BASE "/pod/hmac/sign HTTP/1.1\r\nHost: x\r\n" FORM
            "Content-Length: 1000\r\n\r\ncontent=abc");
    server_run(w.server);
    close(fd);
    fd = client(&w);
    say(fd, "POST " BASE "/pod/hmac/verify HTTP/1.1\r\nHost: x\r\n" FORM
            "Transfer-Encoding: chunked\r\n\r\n9\r\ncontent=x\r\n");
    server_run(w.server);
    say(fd, "0\r\n\r\n");
    listen_for(&w, fd, &in, 12);
    assert_int_equal(strncmp(in.data, "HTTP/1.1 400", 12), 0);
    buf_free(&in);
    server_run(w.server);
    stop(&w);
    close(fd);
}

/* No clock decides here: the deadline itself is the event that is waited for. */
static void who_completes_no_request_is_closed(void **state)
{
    struct world w;
    struct buf in = {0};
    (void)state;
    start(&w, 1);
    int idle = client(&w), slow = client(&w);
    say(slow, "GET /");
    assert_true(listen_for(&w, idle, &in, SIZE_MAX));
    assert_true(listen_for(&w, slow, &in, SIZE_MAX));
    assert_int_equal(in.len, 0);
    assert_int_equal(server_timeout(w.server), -1);
    close(idle);
    close(slow);
    stop(&w);
}

/* Data and end arrive before the server looks: it must not wait for more. */
static void a_client_that_sends_no_more_is_answered_and_closed(void **state)
{
    static const char *const requests[] = {"GET " BASE "/pod/uuid HTTP/1.1\r\nHost: x\r\n\r\n",
                                           "GET " BASE "/pod/uuid HTT", ""};
    static const char *const answers[] = {UUID, "", ""};
    struct world w;
    (void)state;
    start(&w, 3600 * 1000);
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        struct buf in = {0};
        int fd = client(&w);
        say(fd, requests[i]);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        assert_true(listen_for(&w, fd, &in, SIZE_MAX));
        assert_true(in.len >= strlen(answers[i]));
        if (in.len)
            assert_string_equal(in.data + in.len - strlen(answers[i]), answers[i]);
        buf_free(&in);
        close(fd);
    }
    stop(&w);
}

static void more_connections_than_allowed_are_closed(void **state)
{
    struct world w;
    struct buf in = {0};
    int fds[SERVER_CONNECTIONS_MAX];
    (void)state;
    start(&w, 60000);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = client(&w);
    int extra = client(&w);
    assert_true(listen_for(&w, extra, &in, SIZE_MAX));
    close(extra);
    say(fds[0], GET(BASE "/pod/uuid"));
    assert_true(listen_for(&w, fds[0], &in, SIZE_MAX));
    assert_int_equal(strncmp(in.data, "HTTP/1.1 200", 12), 0);
    buf_free(&in);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    server_run(w.server);
    is(&w, GET(BASE "/pod/uuid"), "HTTP/1.1 200", UUID);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_exact),
        cmocka_unit_test(what_is_left_unfinished_leaks_nothing),
        cmocka_unit_test(who_completes_no_request_is_closed),
        cmocka_unit_test(a_client_that_sends_no_more_is_answered_and_closed),
        cmocka_unit_test(more_connections_than_allowed_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
