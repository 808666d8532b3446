/* SPDX-License-Identifier: Apache-2.0 */
/* The output pump and the control connection over a socket pair (LOG-02). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "guest-init/control.h"
#include "guest-init/pump.h"
#include "wire/wire.h"

#define STREAM_BYTES (100u << 20)
#define HEADER       "header"

struct bench {
    struct loop loop;
    struct pump pump;
    int host;   /* the host's end of the socket */
    int writer; /* the app's end of the pipe */
    int done;
};

static void on_done(void *ctx)
{
    (*(int *)ctx)++;
}

static void bench_make(struct bench *b, bool no_splice)
{
    int pipes[2], socks[2];
    struct err e;
    struct buf header = {0};
    *b = (struct bench){0};
    buf_adds(&header, HEADER);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks), 0);
    assert_int_equal(loop_init(&b->loop, &e), 0);
    b->pump.on_done = on_done;
    b->pump.ctx = &b->done;
    assert_int_equal(pump_start(&b->pump, &b->loop, pipes[0], socks[0], &header, &e), 0);
    b->pump.no_splice = no_splice;
    b->host = socks[1];
    b->writer = pipes[1];
}

static void bench_done(struct bench *b)
{
    pump_done(&b->pump);
    loop_done(&b->loop);
}

/* Turns until nothing happens any more. */
static void settle(struct bench *b)
{
    struct err e;
    for (int quiet = 0; quiet < 2;) {
        enum pump_state s = b->pump.state;
        uint64_t n = b->pump.bytes;
        assert_int_equal(loop_run(&b->loop, 0, &e), 0);
        quiet = s == b->pump.state && n == b->pump.bytes ? quiet + 1 : 0;
    }
}

/* A word of the stream tells its place. */
static uint32_t word(uint64_t i)
{
    return (uint32_t)(i * 2654435761u);
}

static void write_stream(int fd)
{
    uint32_t chunk[4096];
    for (uint64_t i = 0; i < STREAM_BYTES / 4;) {
        for (size_t k = 0; k < ARRAY_SIZE(chunk); k++)
            chunk[k] = word(i++);
        if (write_all(fd, chunk, sizeof(chunk)) < 0)
            _exit(1);
    }
    _exit(0);
}

/* Reads everything, in order and whole; closes only then, as the host does. */
static void read_stream(int fd)
{
    char header[sizeof(HEADER) - 1];
    uint32_t chunk[4096];
    if (read_all(fd, header, sizeof(header)) < 0 || memcmp(header, HEADER, sizeof(header)) != 0)
        _exit(2);
    for (uint64_t i = 0; i < STREAM_BYTES / 4;) {
        if (read_all(fd, chunk, sizeof(chunk)) < 0)
            _exit(3);
        for (size_t k = 0; k < ARRAY_SIZE(chunk); k++) {
            if (chunk[k] != word(i++))
                _exit(4);
        }
    }
    _exit(read(fd, chunk, 1) == 0 ? 0 : 5);
}

static pid_t spawn(void (*fn)(int), int fd, int close_too)
{
    pid_t pid = fork();
    if (pid == 0) {
        close(close_too);
        fn(fd);
    }
    close(fd);
    return pid;
}

static void check_stream(bool no_splice)
{
    struct bench b;
    struct err e;
    int status;
    bench_make(&b, no_splice);
    int host = b.host;
    pid_t app = spawn(write_stream, b.writer, host);
    pid_t reader = fork();
    if (reader == 0) {
        close(b.pump.sock);
        close(b.pump.pipe);
        read_stream(host);
    }
    close(host);
    while (!b.done)
        assert_int_equal(loop_run(&b.loop, -1, &e), 0);
    assert_int_equal(waitpid(app, &status, 0), app);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
    assert_int_equal(b.pump.bytes, STREAM_BYTES);
    bench_done(&b);
}

static void a_long_stream_arrives_whole(void **state)
{
    (void)state;
    check_stream(false);
}

static void also_without_splice(void **state)
{
    (void)state;
    check_stream(true);
}

static void a_slow_host_holds_the_app_back(void **state)
{
    (void)state;
    struct bench b;
    char page[4096] = {0};
    size_t sent = 0;
    bench_make(&b, false);
    assert_int_equal(set_nonblock(b.writer, true), 0);
    for (;;) {
        ssize_t n = write(b.writer, page, sizeof(page));
        if (n < 0) {
            uint64_t before = b.pump.bytes;
            settle(&b);
            if (b.pump.bytes == before)
                break; /* the socket is full and so is the pipe */
            continue;
        }
        sent += (size_t)n;
        assert_true(sent < 64u << 20);
    }
    assert_int_equal(b.done, 0);
    close(b.writer);
    settle(&b);
    /* Now the host reads on: everything comes, then the end. */
    size_t got = 0;
    for (ssize_t n; (n = recv(b.host, page, sizeof(page), MSG_DONTWAIT)) != 0;) {
        if (n > 0)
            got += (size_t)n;
        else
            settle(&b);
    }
    assert_int_equal(got, sent + strlen(HEADER));
    settle(&b);
    assert_int_equal(b.pump.state, PUMP_CLOSE); /* until the host closes */
    close(b.host);
    settle(&b);
    assert_int_equal(b.done, 1);
    bench_done(&b);
}

static void a_host_that_leaves_does_not_stop_the_app(void **state)
{
    (void)state;
    struct bench b;
    char page[65536] = {0};
    bench_make(&b, false);
    settle(&b);
    close(b.host);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(write(b.writer, page, 4096), 4096);
        settle(&b);
        settle(&b);
    }
    assert_int_equal(b.pump.state, PUMP_DISCARD);
    close(b.writer);
    settle(&b);
    assert_int_equal(b.done, 1);
    bench_done(&b);
}

static void an_empty_stream_has_its_header_and_end(void **state)
{
    (void)state;
    struct bench b;
    char text[64];
    bench_make(&b, false);
    close(b.writer);
    settle(&b);
    assert_int_equal(read(b.host, text, sizeof(text)), strlen(HEADER));
    assert_int_equal(read(b.host, text, sizeof(text)), 0);
    close(b.host);
    settle(&b);
    assert_int_equal(b.done, 1);
    bench_done(&b);
}

static struct {
    int messages, closed;
} seen;

static void on_message(void *ctx, json_t *msg)
{
    (void)ctx;
    assert_string_equal(wire_type(msg), "stop");
    seen.messages++;
}

static void on_closed(void *ctx, const char *why)
{
    (void)ctx;
    assert_non_null(why);
    seen.closed++;
}

static void control_carries_frames_and_sees_the_end(void **state)
{
    (void)state;
    int socks[2];
    struct err e;
    struct loop loop;
    struct control c = {.on_message = on_message, .on_closed = on_closed};
    cleanup_with(buf_free) struct buf frames = {0}, in = {0};
    json_t *stop = wire_stop(5), *msg = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, socks), 0);
    assert_int_equal(loop_init(&loop, &e), 0);
    assert_int_equal(control_open(&c, &loop, socks[0], &e), 0);
    wire_frame_add(&frames, stop, WIRE_HOST_FRAME_MAX, &e);
    wire_frame_add(&frames, stop, WIRE_HOST_FRAME_MAX, &e);
    /* One and a half frames, then the rest. */
    assert_int_equal(write_all(socks[1], frames.data, frames.len - 5), 0);
    loop_run(&loop, 0, &e);
    assert_int_equal(seen.messages, 1);
    assert_int_equal(write_all(socks[1], frames.data + frames.len - 5, 5), 0);
    loop_run(&loop, 0, &e);
    assert_int_equal(seen.messages, 2);
    /* More than the socket takes goes out when the host reads. */
    for (int i = 0; i < 20000; i++)
        control_send(&c, wire_log("info", "app", "some text that fills the socket"));
    assert_false(control_flushed(&c));
    int got = 0;
    while (got < 20000) {
        char *p = buf_reserve(&in, 65536);
        ssize_t n = recv(socks[1], p, 65536, MSG_DONTWAIT);
        if (n > 0)
            buf_commit(&in, (size_t)n);
        else
            loop_run(&loop, 0, &e);
        while (wire_frame_take(&in, WIRE_GUEST_FRAME_MAX, &msg, &e) == 1) {
            got++;
            json_decref(msg);
        }
    }
    assert_true(control_flushed(&c));
    close(socks[1]);
    loop_run(&loop, 0, &e);
    assert_int_equal(seen.closed, 1);
    json_decref(stop);
    loop_done(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_stream_arrives_whole),
        cmocka_unit_test(also_without_splice),
        cmocka_unit_test(a_slow_host_holds_the_app_back),
        cmocka_unit_test(a_host_that_leaves_does_not_stop_the_app),
        cmocka_unit_test(an_empty_stream_has_its_header_and_end),
        cmocka_unit_test(control_carries_frames_and_sees_the_end),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("guest-pump", tests, NULL, NULL);
}
