/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of several downloads at once: a line each on a terminal, plain lines in a pipe. */
#ifndef APPC_HOST_FETCH_PROGRESS_H
#define APPC_HOST_FETCH_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fetch/fetch.h"

#define FETCH_PROGRESS_LINES 8 /* images drawn at the same time */

struct fetch_progress_line {
    bool used;
    size_t number;
    char what[64];
    enum fetch_stage stage;
    uint64_t done, total, started_ns;
    uint64_t from; /* bytes that were there at the start: a resumed download */
};

struct fetch_progress {
    pthread_mutex_t lock;
    bool tty, quiet;
    bool suspended; /* somebody else has the terminal */
    struct fetch_progress_line lines[FETCH_PROGRESS_LINES];
    size_t drawn; /* lines on the screen */
    uint64_t drawn_ns;
};

/* Looks whether standard error is a terminal. With `quiet`, nothing is printed. */
void fetch_progress_start(struct fetch_progress *p, bool quiet);

/* Draws, or prints a line, as the news ask for. From any thread. */
void fetch_progress_event(struct fetch_progress *p, const struct fetch_event *e);

/* How far the import of an image is, whose event was the last one. */
void fetch_progress_import(struct fetch_progress *p, size_t number, uint64_t done);

/* Takes the lines off the screen while somebody else prints. */
void fetch_progress_pause(struct fetch_progress *p);
void fetch_progress_resume(struct fetch_progress *p);
void fetch_progress_end(struct fetch_progress *p);

#endif
