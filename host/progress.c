/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar for long work: drawn on a terminal, silent in a pipe. */
#include "host/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIRST_DRAW_NS 300000000ULL
#define REDRAW_NS     100000000ULL
#define BAR_WIDTH     30

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void progress_start(struct progress *p, const char *label, uint64_t total)
{
    *p = (struct progress){.total = total, .started_ns = now_ns(), .tty = isatty(STDERR_FILENO)};
    snprintf(p->label, sizeof(p->label), "%s", label);
}

static void draw(const struct progress *p, uint64_t now)
{
    double seconds = (double)(now - p->started_ns) / 1e9;
    double rate = seconds > 0 ? (double)p->done / seconds : 0;
    fprintf(stderr, "\r%-12.12s ", p->label); /* it all fits into 80 columns */
    if (p->total) {
        uint64_t done = p->done < p->total ? p->done : p->total;
        int filled = (int)((double)done / (double)p->total * BAR_WIDTH);
        double left = rate > 0 ? (double)(p->total - done) / rate : 0;
        fprintf(stderr, "[%.*s%*s] %3d%% %6.1f MB/s %4.0f s left", filled,
                "##############################", BAR_WIDTH - filled, "",
                (int)((double)done / (double)p->total * 100), rate / 1e6, left);
    } else {
        fprintf(stderr, "%8.1f MB %6.1f MB/s", (double)p->done / 1e6, rate / 1e6);
    }
    fprintf(stderr, "\033[K");
}

void progress_set(struct progress *p, uint64_t done)
{
    p->done = done;
    if (!p->tty)
        return;
    uint64_t now = now_ns();
    if (now - p->started_ns < FIRST_DRAW_NS || now - p->drawn_ns < REDRAW_NS)
        return;
    draw(p, now);
    p->drawn_ns = now;
    p->shown = 1;
}

void progress_end(struct progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r\033[K");
    p->shown = 0;
}
