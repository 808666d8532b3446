/* SPDX-License-Identifier: Apache-2.0 */
/* The one event loop of init: descriptors and their callbacks. */
#ifndef APPC_GUEST_LOOP_H
#define APPC_GUEST_LOOP_H

#include <stdint.h>

#include <sys/epoll.h>

struct err;

#define LOOP_BATCH 32

struct loop {
    int epfd;
    struct epoll_event batch[LOOP_BATCH];
    int count, next; /* events of the batch, and which is handled next */
};

/* Belongs to its owner; fd is -1 while it is not in a loop. */
struct loop_source {
    int fd;
    void (*fn)(void *ctx, uint32_t events);
    void *ctx;
};

int loop_init(struct loop *l, struct err *err);
void loop_done(struct loop *l);

/* Watches src->fd (level-triggered) and calls src->fn; the loop keeps the pointer. */
int loop_add(struct loop *l, struct loop_source *src, int fd, uint32_t events, struct err *err);

/* Changes what is waited for. */
void loop_mod(struct loop *l, struct loop_source *src, uint32_t events);

/*
 * Stops watching; does not close. No callback of this source comes any more,
 * also none that the kernel has already reported, so the owner may free it.
 */
void loop_del(struct loop *l, struct loop_source *src);

/* Waits for events (timeout_ms as in epoll_wait) and handles them; -1 when epoll fails. */
int loop_run(struct loop *l, int timeout_ms, struct err *err);

#endif
