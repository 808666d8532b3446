/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop of a device process: a thin layer over epoll. */
#ifndef APPC_VMM_DEVICES_LOOP_H
#define APPC_VMM_DEVICES_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

struct err;

#define LOOP_BATCH 64

/* Called with the EPOLL bits that came; -1 with *err ends the process. */
typedef int loop_handler(void *data, uint32_t events, struct err *err);

/* One watched descriptor. Lives where its owner keeps it; must not move while it is in the loop. */
struct loop_source {
    int fd;
    loop_handler *handle;
    void *data;
};

struct loop {
    int epoll_fd;
    struct epoll_event batch[LOOP_BATCH];
    int batch_len;
};

int loop_init(struct loop *l, struct err *err);
void loop_free(struct loop *l);

/* Watches source->fd for `events` (EPOLLET is allowed and mostly used). */
int loop_add(struct loop *l, struct loop_source *source, uint32_t events, struct err *err);

/* Stops watching. The source may be freed at once: events of it already fetched are dropped. */
void loop_remove(struct loop *l, struct loop_source *source);

/* Waits up to `timeout` milliseconds (-1: for ever) and calls the handlers once; 0 or -1. */
int loop_once(struct loop *l, int timeout, struct err *err);

#endif
