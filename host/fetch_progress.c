/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of several downloads at once. */
#include "host/fetch_progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

#define REDRAW_NS      100000000ULL
#define BAR_WIDTH      24
#define BAR_WIDTH_MIN  4
#define LINE_MAX_CHARS 200

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void fetch_progress_start(struct fetch_progress *p, bool quiet)
{
    *p = (struct fetch_progress){.tty = isatty(STDERR_FILENO), .quiet = quiet};
    pthread_mutex_init(&p->lock, NULL);
}

/* Names and URLs come from servers: no control character of theirs reaches the terminal. */
static void print_line(const char *text)
{
    struct err e;
    err_fill(&e, 0, "%s", text);
    fprintf(stderr, "appc-vm: %s\n", e.msg);
}

static void plain(const struct fetch_event *e)
{
    char text[ERR_MSG_MAX];
    switch (e->stage) {
    case FETCH_STAGE_DISCOVER:
        snprintf(text, sizeof(text), "%s: looking for it", e->what);
        break;
    case FETCH_STAGE_IMPORT:
        if (!strstr(e->url, "://")) /* a file that is there already is no news */
            return;
        snprintf(text, sizeof(text), "%s: %.1f MB from %s, %s%s", e->what, (double)e->done / 1e6,
                 e->url, e->signer ? "signed by " : "not signed", e->signer ? e->signer : "");
        break;
    case FETCH_STAGE_DOWNLOAD:
    case FETCH_STAGE_VERIFY:
    case FETCH_STAGE_DECRYPT:
    case FETCH_STAGE_DONE:
        return;
    }
    print_line(text);
}

static struct fetch_progress_line *line_of(struct fetch_progress *p, const struct fetch_event *e)
{
    struct fetch_progress_line *empty = NULL;
    for (size_t i = 0; i < FETCH_PROGRESS_LINES; i++) {
        struct fetch_progress_line *l = &p->lines[i];
        if (l->used && l->number == e->number)
            return l;
        if (!l->used && !empty)
            empty = l;
    }
    if (empty) {
        struct err clean;
        *empty = (struct fetch_progress_line){
            .used = true, .number = e->number, .started_ns = now_ns(), .from = e->done};
        err_fill(&clean, 0, "%s", e->what);
        snprintf(empty->what, sizeof(empty->what), "%.60s", clean.msg);
    }
    return empty;
}

/* Lines that wrap could not be wiped. */
static int columns(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
        return 80;
    return w.ws_col < LINE_MAX_CHARS ? w.ws_col : LINE_MAX_CHARS;
}

static void time_left(double seconds, char *out, size_t size)
{
    unsigned long s = seconds < 359999 ? (unsigned long)(seconds + 0.5) : 359999; /* 99:59:59 */
    if (s < 100)
        snprintf(out, size, "%lu s left", s);
    else if (s < 3600)
        snprintf(out, size, "%lu:%02lu left", s / 60, s % 60);
    else
        snprintf(out, size, "%lu:%02lu:%02lu left", s / 3600, s / 60 % 60, s % 60);
}

/* Bytes, rate and time left, and a bar in front of them where there is room. */
static void format_download(const struct fetch_progress_line *l, uint64_t now, int room, char *out,
                            size_t size)
{
    char left[32], text[128];
    double seconds = (double)(now - l->started_ns) / 1e9;
    double rate = seconds > 0 ? (double)(l->done - l->from) / seconds : 0;
    if (!l->total) {
        snprintf(out, size, "%8.1f MB %7.1f MB/s", (double)l->done / 1e6, rate / 1e6);
        return;
    }
    uint64_t done = l->done < l->total ? l->done : l->total;
    time_left(rate > 0 ? (double)(l->total - done) / rate : 0, left, sizeof(left));
    snprintf(text, sizeof(text), "%7.1f/%.1f MB %6.1f MB/s %10s", (double)done / 1e6,
             (double)l->total / 1e6, rate / 1e6, left);
    int width = room - (int)strlen(text) - 3;
    if (width > BAR_WIDTH)
        width = BAR_WIDTH;
    if (width < BAR_WIDTH_MIN) {
        snprintf(out, size, "%s", text);
        return;
    }
    int filled = (int)((double)done / (double)l->total * width);
    snprintf(out, size, "[%.*s%*s] %s", filled, "########################", width - filled, "",
             text);
}

/* Where names differ is rather at their ends. */
static const char *end_of(const char *name, int width)
{
    int len = (int)strlen(name);
    return len > width ? name + (len - width) : name;
}

static void draw_line(const struct fetch_progress_line *l, uint64_t now)
{
    static const char *const words[] = {
        [FETCH_STAGE_DISCOVER] = "looking for it",
        [FETCH_STAGE_VERIFY] = "checking its signature",
        [FETCH_STAGE_DECRYPT] = "decrypting",
        [FETCH_STAGE_IMPORT] = "importing ",
        [FETCH_STAGE_DONE] = "done",
        [FETCH_STAGE_DOWNLOAD] = "",
    };
    char line[2 * LINE_MAX_CHARS], download[LINE_MAX_CHARS] = "";
    int all = columns() - 1, name = all > 70 ? 30 : all * 2 / 5;
    const char *word = words[l->stage];
    if (l->stage == FETCH_STAGE_DOWNLOAD || (l->stage == FETCH_STAGE_IMPORT && l->done < l->total))
        format_download(l, now, all - name - 1 - (int)strlen(word), download, sizeof(download));
    snprintf(line, sizeof(line), "%-*s %s%s", name, end_of(l->what, name), word, download);
    fprintf(stderr, "%.*s\033[K\n", all, line);
}

static void wipe(struct fetch_progress *p)
{
    if (p->drawn)
        fprintf(stderr, "\033[%zuA\033[J", p->drawn);
    p->drawn = 0;
}

static void draw(struct fetch_progress *p)
{
    uint64_t now = now_ns();
    if (p->suspended || now - p->drawn_ns < REDRAW_NS)
        return;
    wipe(p);
    for (size_t i = 0; i < FETCH_PROGRESS_LINES; i++)
        if (p->lines[i].used) {
            draw_line(&p->lines[i], now);
            p->drawn++;
        }
    p->drawn_ns = now;
}

static void note(struct fetch_progress *p, const struct fetch_event *e)
{
    struct fetch_progress_line *l = line_of(p, e);
    if (!l)
        return;
    if (l->stage != e->stage) {
        l->started_ns = now_ns();
        l->from = e->stage == FETCH_STAGE_IMPORT ? 0 : e->done;
    }
    l->used = e->stage != FETCH_STAGE_DONE;
    l->stage = e->stage;
    l->done = e->done;
    l->total = e->total;
}

void fetch_progress_event(struct fetch_progress *p, const struct fetch_event *e)
{
    if (p->quiet)
        return;
    pthread_mutex_lock(&p->lock);
    if (p->tty) {
        note(p, e);
        draw(p);
    } else {
        plain(e);
    }
    pthread_mutex_unlock(&p->lock);
}

void fetch_progress_import(struct fetch_progress *p, size_t number, uint64_t done)
{
    if (p->quiet || !p->tty)
        return;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < FETCH_PROGRESS_LINES; i++)
        if (p->lines[i].used && p->lines[i].number == number)
            p->lines[i].done = done;
    draw(p);
    pthread_mutex_unlock(&p->lock);
}

void fetch_progress_pause(struct fetch_progress *p)
{
    pthread_mutex_lock(&p->lock);
    wipe(p);
    p->suspended = true;
    pthread_mutex_unlock(&p->lock);
}

void fetch_progress_resume(struct fetch_progress *p)
{
    pthread_mutex_lock(&p->lock);
    p->suspended = false;
    pthread_mutex_unlock(&p->lock);
}

void fetch_progress_end(struct fetch_progress *p)
{
    fetch_progress_pause(p);
    pthread_mutex_destroy(&p->lock);
}
