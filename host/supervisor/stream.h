/* SPDX-License-Identifier: Apache-2.0 */
/* One output stream of one app: from its vsock connection to the log file and a sink. */
#ifndef APPC_HOST_SUPERVISOR_STREAM_H
#define APPC_HOST_SUPERVISOR_STREAM_H

#include <stdbool.h>

#include "base/buf.h"
#include "host/supervisor/loop.h"
#include "host/supervisor/sink.h"

struct pod;

struct stream {
    struct watch watch; /* first member: the connection */
    struct pod *pod;
    struct stream *next;
    struct buf head;   /* bytes until the header frame is whole */
    struct buf line;   /* the line that is not whole yet */
    struct sink *sink; /* NULL before the header */
    bool paused;       /* its sink is full */
    int log_fd;
    char *prefix; /* "NAME: " on a terminal, "" elsewhere */
};

/* Takes over a connection of the guest to the stdio port. */
void stream_open(struct pod *pod, int fd);

/* Reads on after sinks have drained. */
void stream_resume_all(struct pod *pod);

/* Ends all streams, keeping what has arrived. */
void stream_close_all(struct pod *pod);

#endif
