/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata proxy over socket pairs and a TCP listener on the loopback interface. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "guest-init/proxy.h"

#define SERVICES_MAX 1024
#define LONG         (32u << 20)

struct bench {
    struct loop loop;
    struct proxy proxy;
    struct sockaddr_in at;
    int services[SERVICES_MAX]; /* the service's ends, in the order of the connections */
    size_t n;
    bool refuse;
};

static int connect_service(void *ctx)
{
    struct bench *b = ctx;
    int fds[2];
    if (b->refuse)
        return -1;
    assert_true(b->n < SERVICES_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    b->services[b->n++] = fds[0];
    return fds[1];
}

static void turn(struct bench *b, int times)
{
    struct err e;
    for (int i = 0; i < times; i++)
        assert_int_equal(loop_run(&b->loop, 0, &e), 0);
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    socklen_t len = sizeof(b->at);
    struct err e;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    b->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&b->at, sizeof(b->at)), 0);
    assert_int_equal(listen(fd, 512), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&b->at, &len), 0);
    assert_int_equal(loop_init(&b->loop, &e), 0);
    assert_int_equal(proxy_start(&b->proxy, &b->loop, fd, connect_service, b, &e), 0);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < b->n; i++)
        if (b->services[i] >= 0)
            close(b->services[i]);
    proxy_done(&b->proxy);
    loop_done(&b->loop);
    free(b);
    return 0;
}

/* A client whose connection the proxy has taken. */
static int client(struct bench *b)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&b->at, sizeof(b->at)), 0);
    assert_int_equal(set_nonblock(fd, true), 0);
    turn(b, 3);
    return fd;
}

static void expect(struct bench *b, int fd, const char *text)
{
    char got[256];
    size_t len = strlen(text), n = 0;
    for (int i = 0; i < 1000 && n < len; i++) {
        turn(b, 1);
        ssize_t r = recv(fd, got + n, len - n, 0);
        n += r > 0 ? (size_t)r : 0;
    }
    assert_int_equal(n, len);
    assert_memory_equal(got, text, len);
}

static void expect_end(struct bench *b, int fd)
{
    char c;
    ssize_t r = -1;
    for (int i = 0; i < 1000; i++) {
        turn(b, 1);
        r = recv(fd, &c, 1, 0);
        if (r == 0 || (r < 0 && errno != EAGAIN))
            break;
    }
    assert_true(r == 0 || (r < 0 && errno != EAGAIN));
}

static void put(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void test_both_ways(void **state)
{
    struct bench *b = *state;
    int c = client(b);
    assert_int_equal(b->n, 1);
    for (int i = 0; i < 3; i++) {
        put(c, "request");
        expect(b, b->services[0], "request");
        put(b->services[0], "answer");
        expect(b, c, "answer");
    }
    close(c);
    expect_end(b, b->services[0]);
    close(b->services[0]);
    b->services[0] = -1;
    turn(b, 5);
    assert_int_equal(b->proxy.count, 0);
}

/* Each direction ends for itself: a client that has said all still gets its answer. */
static void test_half_close(void **state)
{
    struct bench *b = *state;
    int c = client(b);
    put(c, "all");
    shutdown(c, SHUT_WR);
    expect(b, b->services[0], "all");
    expect_end(b, b->services[0]);
    put(b->services[0], "late answer");
    expect(b, c, "late answer");
    put(b->services[0], "!");
    shutdown(b->services[0], SHUT_WR);
    expect(b, c, "!");
    expect_end(b, c);
    assert_int_equal(b->proxy.count, 0);
    close(c);
}

/* A service that answers and is gone at once: the client gets every byte. */
static void test_answer_and_gone(void **state)
{
    struct bench *b = *state;
    int c = client(b), s = b->services[0];
    put(c, "next request, never read");
    put(s, "the last answer");
    close(s);
    b->services[0] = -1;
    expect(b, c, "the last answer");
    expect_end(b, c);
    close(c);
    turn(b, 5);
    assert_int_equal(b->proxy.count, 0);
}

static size_t fill(int fd, const char *data, size_t len)
{
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

/* A slow reader holds the writer back; the proxy keeps little, and nothing is lost or reordered. */
static void test_back_pressure(void **state)
{
    struct bench *b = *state;
    int c = client(b), s = b->services[0];
    cleanup_free char *sent = malloc(LONG), *got = malloc(LONG);
    size_t out = 0, in = 0, stuck = 0;
    for (size_t i = 0; i < LONG; i++)
        sent[i] = (char)(i * 7 + (i >> 12));
    while (stuck++ < 100) {
        size_t n = fill(s, sent + out, LONG - out);
        out += n;
        stuck = n ? 0 : stuck;
        turn(b, 1);
        assert_true(b->proxy.newest->ends[PROXY_CLIENT].to_it.len <= PROXY_CHUNK);
    }
    while (in < LONG) {
        ssize_t n = recv(c, got + in, LONG - in, MSG_DONTWAIT);
        if (n > 0)
            in += (size_t)n;
        out += fill(s, sent + out, LONG - out);
        if (out == LONG && b->services[0] >= 0) { /* gone with much still on its way */
            close(s);
            b->services[0] = -1;
        }
        turn(b, 1);
    }
    assert_memory_equal(got, sent, LONG);
    expect_end(b, c);
    close(c);
}

static void test_refused(void **state)
{
    struct bench *b = *state;
    b->refuse = true;
    int c = client(b);
    expect_end(b, c);
    assert_int_equal(b->proxy.count, 0);
    close(c);
}

static void reset(int fd)
{
    struct linger l = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    close(fd);
}

static void test_reset_by_client(void **state)
{
    struct bench *b = *state;
    int c = client(b);
    put(c, "x");
    expect(b, b->services[0], "x");
    reset(c);
    expect_end(b, b->services[0]);
    assert_int_equal(b->proxy.count, 0);
}

/* Beyond the limit the one that was idle longest goes; one that is used stays. */
static void test_limit(void **state)
{
    struct bench *b = *state;
    int first = client(b), second = client(b);
    for (int i = 2; i < PROXY_CONNECTIONS_MAX; i++)
        (void)client(b);
    assert_int_equal(b->proxy.count, PROXY_CONNECTIONS_MAX);
    put(first, "busy");
    expect(b, b->services[0], "busy");
    int more = client(b);
    assert_int_equal(b->proxy.count, PROXY_CONNECTIONS_MAX);
    expect_end(b, second);
    put(first, "still");
    expect(b, b->services[0], "still");
    put(more, "new");
    expect(b, b->services[PROXY_CONNECTIONS_MAX], "new");
    for (int fd = first; fd <= more; fd++) {
        struct sockaddr_in peer;
        socklen_t len = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET &&
            peer.sin_port == b->at.sin_port)
            close(fd);
    }
}

static int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void test_no_leak(void **state)
{
    struct bench *b = *state;
    int before = descriptors();
    for (int i = 0; i < 10000; i++) {
        b->n = 0;
        int c = client(b);
        put(c, "q");
        expect(b, b->services[0], "q");
        put(b->services[0], "a");
        close(b->services[0]);
        expect(b, c, "a");
        if (i % 2)
            reset(c);
        else
            close(c);
        turn(b, 3);
    }
    b->n = 0;
    assert_int_equal(b->proxy.count, 0);
    assert_int_equal(descriptors(), before);
}

/* No piece waits for the acknowledgement of the one before (VAL-62). */
static void test_no_delay(void **state)
{
    struct bench *b = *state;
    int c = client(b), on = 0;
    socklen_t len = sizeof(on);
    getsockopt(b->proxy.newest->ends[PROXY_CLIENT].fd, IPPROTO_TCP, TCP_NODELAY, &on, &len);
    assert_true(on);
    close(c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_both_ways),       T(test_half_close), T(test_answer_and_gone),
        T(test_back_pressure),   T(test_refused),    T(test_limit),
        T(test_reset_by_client), T(test_no_leak),    T(test_no_delay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
