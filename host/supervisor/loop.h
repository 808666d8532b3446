/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's event loop: epoll with one callback per descriptor. */
#ifndef APPC_HOST_SUPERVISOR_LOOP_H
#define APPC_HOST_SUPERVISOR_LOOP_H

#include <stdint.h>

struct err;
struct watch;

typedef void (*watch_fn)(struct watch *w, uint32_t events);

/* Embedded in the object that owns the descriptor; the loop borrows both. */
struct watch {
    int fd;
    watch_fn fn;
    uint32_t events; /* what is asked for now */
};

struct loop {
    int epfd;
};

int loop_init(struct loop *l, struct err *err);

/* Watches w->fd for EPOLL* events; aborts on programming errors. EPERM (a regular file) is returned
 * as -1. */
int loop_add(struct loop *l, struct watch *w, uint32_t events);

/* Changes the events; no system call when nothing changes. */
void loop_set(struct loop *l, struct watch *w, uint32_t events);

/* Stops watching; the caller closes the descriptor afterwards. */
void loop_del(struct loop *l, struct watch *w);

/*
 * Waits for one event and runs its callback, which may add and delete any
 * watch (events are taken one at a time, so none is stale).
 */
void loop_once(struct loop *l);

#endif
