/* SPDX-License-Identifier: Apache-2.0 */
/* A file that one thread writes and another reads at the same time. */
#ifndef APPC_FETCH_GROWTH_H
#define APPC_FETCH_GROWTH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum growth_state { GROWTH_RUNNING, GROWTH_COMPLETE, GROWTH_FAILED };

struct growth {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t size;
    unsigned epoch; /* counts how often the file began anew */
    enum growth_state state;
};

void growth_init(struct growth *g);
void growth_destroy(struct growth *g);

/* For the writer: so many bytes are there; the file begins anew; nothing more comes. */
void growth_set(struct growth *g, uint64_t size);
void growth_restart(struct growth *g);
void growth_end(struct growth *g, bool complete);

unsigned growth_epoch(struct growth *g);

/*
 * For the reader: waits for bytes behind `offset` and reads them from fd. How many, 0 at the end;
 * -1 when the writer failed or began anew since `epoch`, or the file can't be read.
 */
ssize_t growth_read(struct growth *g, unsigned epoch, int fd, void *data, size_t cap,
                    uint64_t offset);

/* Waits for the end: true when the file is complete. */
bool growth_wait_end(struct growth *g);

#endif
