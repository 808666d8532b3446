/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar for long work: drawn on a terminal, silent in a pipe. */
#ifndef APPC_HOST_PROGRESS_H
#define APPC_HOST_PROGRESS_H

#include <stdint.h>

/* One bar on standard error. Owns nothing but a copy of the label. */
struct progress {
    char label[64];
    uint64_t total; /* 0: not known */
    uint64_t done;
    uint64_t started_ns; /* CLOCK_MONOTONIC */
    uint64_t drawn_ns;
    int shown; /* whether standard error is a terminal and something was drawn */
    int tty;
};

/* Begins; nothing is drawn in the first 300 ms, so that short work stays quiet. */
void progress_start(struct progress *p, const char *label, uint64_t total);

/* Sets how much is done (bytes); draws at most 10 times a second. */
void progress_set(struct progress *p, uint64_t done);

/* Wipes the bar off the line. */
void progress_end(struct progress *p);

#endif
