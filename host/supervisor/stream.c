/* SPDX-License-Identifier: Apache-2.0 */
/* One output stream of one app: from its vsock connection to the log file and a sink. */
#include "host/supervisor/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/supervisor/pod.h"
#include "wire/wire.h"

#define STREAM_READ     65536
#define STREAM_HEAD_MAX 4096
/* A line longer than this goes out in pieces. */
#define STREAM_LINE_MAX 65536

static void emit(struct stream *s, const char *data, size_t len, bool newline)
{
    if (s->prefix[0])
        sink_write(s->sink, s->prefix, strlen(s->prefix));
    sink_write(s->sink, data, len);
    if (newline)
        sink_write(s->sink, "\n", 1);
}

/* Whole lines go to the sink, so that those of several apps do not mix. */
static void to_sink(struct stream *s, const char *data, size_t len)
{
    while (len) {
        /* Without a prefix all whole lines go at once. */
        const char *nl =
            s->prefix[0] || s->line.len ? memchr(data, '\n', len) : memrchr(data, '\n', len);
        size_t n = nl ? (size_t)(nl - data) + 1 : len;
        if (nl && !s->line.len) {
            emit(s, data, n, false);
        } else {
            buf_add(&s->line, data, n);
            if (nl || s->line.len >= STREAM_LINE_MAX) {
                emit(s, s->line.data, s->line.len, false);
                buf_reset(&s->line);
            }
        }
        data += n;
        len -= n;
    }
}

static void take(struct stream *s, const char *data, size_t len)
{
    if (write_all(s->log_fd, data, len) < 0)
        pod_fail(s->pod, "can't write a log of the pod: %s", strerror(errno));
    to_sink(s, data, len);
}

static void stream_close(struct stream *s)
{
    struct pod *p = s->pod;
    if (s->sink && s->line.len)
        emit(s, s->line.data, s->line.len, s->prefix[0] != '\0');
    for (struct stream **q = &p->streams; *q; q = &(*q)->next)
        if (*q == s) {
            *q = s->next;
            break;
        }
    p->nstreams--;
    if (!s->paused)
        loop_del(&p->loop, &s->watch);
    close(s->watch.fd);
    if (s->log_fd >= 0)
        close(s->log_fd);
    buf_free(&s->head);
    buf_free(&s->line);
    free(s->prefix);
    free(s);
    control_maybe_close(p);
}

static const struct pod_app *find_app(const struct pod *p, const char *name)
{
    for (size_t i = 0; i < p->plan.config.napps; i++)
        if (str_eq(p->apps[i].name, name))
            return &p->apps[i];
    return NULL;
}

static int open_log(struct stream *s, const char *app, const char *stream)
{
    cleanup_free char *path = xasprintf("logs/%s.%s", app, stream);
    s->log_fd = openat(s->pod->plan.pod_dir_fd, path,
                       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->log_fd < 0)
        pod_fail(s->pod, "can't open %s of the pod: %s", path, strerror(errno));
    return s->log_fd < 0 ? -1 : 0;
}

/* The header frame says whose stream this is. */
static int take_header(struct stream *s)
{
    json_t *msg;
    int r = wire_frame_take(&s->head, STREAM_HEAD_MAX, &msg, NULL);
    if (r <= 0)
        return r;
    const char *name = wire_string(msg, "app", WIRE_NAME_MAX);
    const char *stream = wire_string(msg, "stream", 16);
    const struct pod_app *app = name ? find_app(s->pod, name) : NULL;
    bool is_err = str_eq(stream, "stderr");
    r = -1;
    if (app && (is_err || str_eq(stream, "stdout")) && open_log(s, app->name, stream) == 0) {
        s->sink = is_err ? &s->pod->errors : &s->pod->out;
        const struct plan *plan = &s->pod->plan;
        bool prefix = plan->prefix_always || (s->sink->tty && !plan->prefix_never);
        s->prefix = prefix ? xasprintf("%s: ", app->name) : xstrdup("");
        r = 1;
    }
    json_decref(msg);
    return r;
}

static void on_data(struct watch *w, uint32_t events)
{
    (void)events;
    static char data[STREAM_READ];
    struct stream *s = (struct stream *)w;
    if (s->sink && sink_full(s->sink)) {
        /* Not just masked: a hang-up would be reported all the same, again and again. */
        loop_del(&s->pod->loop, w);
        s->paused = true;
        return;
    }
    ssize_t n = read(w->fd, data, sizeof(data));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        stream_close(s);
        return;
    }
    if (s->sink) {
        take(s, data, (size_t)n);
        return;
    }
    buf_add(&s->head, data, (size_t)n);
    int r = take_header(s);
    if (r < 0) {
        stream_close(s);
    } else if (r == 1 && s->head.len) {
        take(s, s->head.data, s->head.len);
        buf_free(&s->head);
    }
}

void stream_open(struct pod *pod, int fd)
{
    /* A guest may ask for no more streams than its apps have. */
    if (pod->nstreams >= 3 * pod->plan.config.napps || set_nonblock(fd, true) < 0) {
        close(fd);
        return;
    }
    struct stream *s = xcalloc(1, sizeof(*s));
    s->watch = (struct watch){.fd = fd, .fn = on_data};
    s->pod = pod;
    s->log_fd = -1;
    s->next = pod->streams;
    pod->streams = s;
    pod->nstreams++;
    loop_add(&pod->loop, &s->watch, EPOLLIN);
}

void stream_resume_all(struct pod *pod)
{
    for (struct stream *s = pod->streams; s; s = s->next) {
        if (s->paused)
            loop_add(&pod->loop, &s->watch, EPOLLIN);
        s->paused = false;
    }
}

void stream_close_all(struct pod *pod)
{
    while (pod->streams)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it takes itself off the list */
        stream_close(pod->streams);
}
