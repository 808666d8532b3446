/* SPDX-License-Identifier: Apache-2.0 */
/* host/supervisor: plans, sinks and streams, against sockets and pipes of the test. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "host/supervisor/pod.h"
#include "host/supervisor/tsc.h"

/* What main.c does for the others. */
static char failure[256];

void pod_fail(struct pod *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(failure, sizeof(failure), fmt, ap);
    va_end(ap);
    p->failed = true;
}

void pod_kill(struct pod *p)
{
    p->phase = POD_DEAD;
}

static void drained(void *ctx)
{
    stream_resume_all(ctx);
}

struct fixture {
    struct pod pod;
    struct wire_app apps[2];
    struct pod_app pod_apps[2];
    char dir[32];
    int out[2]; /* what the supervisor writes is read from out[0] */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/appc-sup-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->apps[0].name = strdup("one");
    f->apps[1].name = strdup("two");
    struct pod *p = &f->pod;
    p->plan.pod_dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(p->plan.pod_dir_fd, "logs", 0700), 0);
    p->plan.config.apps = f->apps;
    p->plan.config.napps = 2;
    f->pod_apps[0].name = f->apps[0].name;
    f->pod_apps[1].name = f->apps[1].name;
    p->apps = f->pod_apps;
    p->first_failure = -1;
    p->control.watch.fd = -1;
    p->phase = POD_RUNNING;
    assert_int_equal(loop_init(&p->loop, NULL), 0);
    assert_int_equal(pipe2(f->out, O_CLOEXEC), 0);
    sink_init(&p->out, &p->loop, f->out[1], drained, p);
    sink_init(&p->errors, &p->loop, -1, drained, p);
    failure[0] = '\0';
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const logs[] = {"logs/one.stdout", "logs/one.stderr", "logs/two.stdout"};
    stream_close_all(&f->pod);
    sink_done(&f->pod.out);
    sink_done(&f->pod.errors);
    close(f->out[0]);
    close(f->out[1]);
    close(f->pod.loop.epfd);
    for (size_t i = 0; i < ARRAY_SIZE(logs); i++)
        unlinkat(f->pod.plan.pod_dir_fd, logs[i], 0);
    unlinkat(f->pod.plan.pod_dir_fd, "logs", AT_REMOVEDIR);
    close(f->pod.plan.pod_dir_fd);
    rmdir(f->dir);
    free(f->apps[0].name);
    free(f->apps[1].name);
    free(f);
    return 0;
}

/* The guest's side of a new stream, its header sent. */
static int open_stream(struct fixture *f, const char *app, const char *stream)
{
    int sv[2];
    cleanup_with(buf_free) struct buf b = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    stream_open(&f->pod, sv[0]);
    json_t *head = wire_stdio_header(app, stream);
    assert_int_equal(wire_frame_add(&b, head, 4096, NULL), 0);
    json_decref(head);
    assert_int_equal(write_all(sv[1], b.data, b.len), 0);
    return sv[1];
}

static char *read_log(struct fixture *f, const char *name, size_t *len)
{
    char *data = NULL;
    assert_int_equal(read_file_at(f->pod.plan.pod_dir_fd, name, 64 << 20, &data, len, NULL), 0);
    return data;
}

static void lines_of_two_apps_do_not_mix(void **state)
{
    struct fixture *f = *state;
    f->pod.plan.prefix_always = true;
    int one = open_stream(f, "one", "stdout"), two = open_stream(f, "two", "stdout");
    loop_once(&f->pod.loop);
    loop_once(&f->pod.loop);
    static const struct {
        int which;
        const char *text;
    } writes[] = {{0, "first "}, {1, "other\nlin"}, {0, "half\n"}, {1, "e\nlast"}};
    for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
        int fd = writes[i].which ? two : one;
        assert_int_equal(write_all(fd, writes[i].text, strlen(writes[i].text)), 0);
        loop_once(&f->pod.loop);
        while (!sink_empty(&f->pod.out))
            loop_once(&f->pod.loop);
    }
    close(one);
    close(two);
    while (f->pod.streams || !sink_empty(&f->pod.out))
        loop_once(&f->pod.loop);
    char got[256];
    ssize_t n = read(f->out[0], got, sizeof(got) - 1);
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, "two: other\none: first half\ntwo: line\ntwo: last\n");
    size_t len;
    cleanup_free char *log = read_log(f, "logs/two.stdout", &len);
    assert_string_equal(log, "other\nline\nlast");
}

/* LOG-02: a slow reader holds the app back; nothing is lost and memory stays bounded. */
static void slow_readers_lose_nothing(void **state)
{
    struct fixture *f = *state;
    int fd = open_stream(f, "one", "stdout");
    size_t total = 8 << 20, sent = 0, got = 0;
    char block[8192], back[8192];
    unsigned char sum_out = 0, sum_in = 0;
    assert_int_equal(set_nonblock(fd, true), 0);
    assert_int_equal(set_nonblock(f->out[0], true), 0);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (char)(i % 61 == 60 ? '\n' : 'a' + i % 23);
    while (got < total || f->pod.streams || got < sent) {
        if (sent < total) {
            ssize_t n = write(fd, block, sizeof(block));
            for (ssize_t i = 0; i < n; i++)
                sum_out = (unsigned char)(sum_out * 31 + block[i]);
            if (n > 0)
                sent += (size_t)n;
            /* A short write would make the sums differ by the block's phase. */
            assert_true(n < 0 || n == (ssize_t)sizeof(block));
            if (sent >= total)
                close(fd);
        }
        /* An empty pipe is writable and a stream has bytes or its end: the loop never blocks. */
        ssize_t n;
        while ((n = read(f->out[0], back, sizeof(back))) > 0) {
            for (ssize_t i = 0; i < n; i++)
                sum_in = (unsigned char)(sum_in * 31 + back[i]);
            got += (size_t)n;
        }
        if (f->pod.streams || !sink_empty(&f->pod.out))
            loop_once(&f->pod.loop);
        assert_true(f->pod.out.pending.len < 2 * SINK_HIGH_WATER + 65536);
    }
    assert_int_equal(got, sent);
    assert_int_equal(sum_in, sum_out);
    size_t len;
    cleanup_free char *log = read_log(f, "logs/one.stdout", &len);
    assert_int_equal(len, sent);
}

/* A guest can't open streams of apps that do not exist, nor more than its apps have. */
static void strange_streams_are_closed(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *app, *stream;
    } rows[] = {{"nobody", "stdout"}, {"one", "../evil"}, {"", "stdout"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int fd = open_stream(f, rows[i].app, rows[i].stream);
        loop_once(&f->pod.loop);
        char c;
        assert_int_equal(read(fd, &c, 1), 0);
        close(fd);
    }
    assert_null(f->pod.streams);
    int sv[8][2];
    for (int i = 0; i < 8; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv[i]), 0);
        stream_open(&f->pod, sv[i][0]);
    }
    assert_int_equal(f->pod.nstreams, 6);
    for (int i = 0; i < 8; i++)
        close(sv[i][1]);
}

static void plans_round_trip(void **state)
{
    (void)state;
    struct plan p = {.pod_dir_fd = 3,
                     .lock_fd = 4,
                     .kvm_fd = -1,
                     .scratch_fd = 5,
                     .output_fd = 1,
                     .error_fd = 2,
                     .cpus = 2,
                     .memory = 512 << 20,
                     .prefix_always = true,
                     .libexec = strdup("/x"),
                     .qemu = strdup("/q"),
                     .ownership = strdup("xattr"),
                     .block_bytes = 1000000,
                     .images = calloc(2, sizeof(struct plan_extent)),
                     .nimages = 2};
    p.images[0] = (struct plan_extent){7, 0, 4096};
    p.images[1] = (struct plan_extent){-1, 0, 8192};
    p.config.uuid = strdup("u");
    p.config.hostname = strdup("h");
    p.config.manifest = json_object();
    json_t *doc = plan_encode(&p);
    assert_non_null(doc);
    struct plan q;
    struct err err;
    assert_int_equal(plan_decode(doc, &q, &err), 0);
    assert_int_equal(q.scratch_fd, 5);
    assert_int_equal(q.images[1].fd, -1);
    assert_true(q.prefix_always && !q.prefix_never && !q.debug);
    assert_string_equal(q.qemu, "/q");
    assert_string_equal(q.ownership, "xattr");
    assert_true(q.block_bytes == 1000000 && q.block_requests == 0);
    plan_done(&q);
    /* With KVM there is no QEMU. */
    free(p.qemu);
    p.qemu = NULL;
    json_decref(doc);
    doc = plan_encode(&p);
    assert_int_equal(plan_decode(doc, &q, &err), 0);
    assert_null(q.qemu);
    plan_done(&q);
    json_object_set_new(doc, "cpus", json_integer(0));
    assert_int_equal(plan_decode(doc, &q, &err), -1);
    json_decref(doc);
    plan_done(&p);
}

static void the_counters_rate_is_told(void **state)
{
    (void)state;
    struct tsc_sample a = {1000000, 5000000}, b = {31000000, 15000000}, near = {1003000, 5001000};
    assert_int_equal(tsc_khz(a, b), 3000000);
    assert_int_equal(tsc_khz(a, near), 0);
    assert_int_equal(tsc_khz(b, a), 0);
    assert_int_equal(tsc_khz((struct tsc_sample){0, 0}, b), 0);
    assert_int_equal(tsc_khz(a, (struct tsc_sample){0, 0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counters_rate_is_told),
        cmocka_unit_test_setup_teardown(lines_of_two_apps_do_not_mix, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_readers_lose_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(strange_streams_are_closed, setup, teardown),
        cmocka_unit_test(plans_round_trip),
    };
    return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
