/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink: the supervisor's own standard output or error, which many streams of
 * a pod write whole lines to. Never blocks the loop and never changes the
 * descriptor's flags, which belong to the terminal or pipe of somebody else.
 */
#ifndef APPC_HOST_SUPERVISOR_SINK_H
#define APPC_HOST_SUPERVISOR_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "host/supervisor/loop.h"

/* Streams stop reading while this much waits in a sink. */
#define SINK_HIGH_WATER (256u << 10)

struct sink {
    struct watch watch; /* first member */
    struct loop *loop;
    struct buf pending;
    size_t sent; /* bytes of pending already written */
    bool tty;
    bool pollable;              /* false: a regular file, always writable */
    bool broken;                /* nobody reads any more: output is dropped, logs go on */
    void (*drained)(void *ctx); /* called when it falls below the mark */
    void *ctx;
};

/* fd < 0: a sink that drops everything. */
void sink_init(struct sink *s, struct loop *l, int fd, void (*drained)(void *ctx), void *ctx);

/* Adds bytes; they go out as soon as the other side takes them. */
void sink_write(struct sink *s, const void *data, size_t len);

bool sink_full(const struct sink *s);
bool sink_empty(const struct sink *s);

void sink_done(struct sink *s);

#endif
