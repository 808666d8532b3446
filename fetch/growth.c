/* SPDX-License-Identifier: Apache-2.0 */
/* A file that one thread writes and another reads at the same time. */
#include "fetch/growth.h"

#include <errno.h>
#include <unistd.h>

void growth_init(struct growth *g)
{
    *g = (struct growth){.state = GROWTH_RUNNING};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
}

void growth_destroy(struct growth *g)
{
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->changed);
}

void growth_set(struct growth *g, uint64_t size)
{
    pthread_mutex_lock(&g->lock);
    g->size = size;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

void growth_restart(struct growth *g)
{
    pthread_mutex_lock(&g->lock);
    g->size = 0;
    g->epoch++;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

void growth_end(struct growth *g, bool complete)
{
    pthread_mutex_lock(&g->lock);
    g->state = complete ? GROWTH_COMPLETE : GROWTH_FAILED;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

unsigned growth_epoch(struct growth *g)
{
    pthread_mutex_lock(&g->lock);
    unsigned epoch = g->epoch;
    pthread_mutex_unlock(&g->lock);
    return epoch;
}

/* Bytes behind the offset, 0 at the end, -1 when there is no use in going on. */
static int64_t wait_for(struct growth *g, unsigned epoch, uint64_t offset)
{
    int64_t n = -1;
    pthread_mutex_lock(&g->lock);
    while (g->epoch == epoch && g->state == GROWTH_RUNNING && g->size <= offset)
        pthread_cond_wait(&g->changed, &g->lock);
    if (g->epoch == epoch && g->state != GROWTH_FAILED)
        n = g->size > offset ? (int64_t)(g->size - offset) : 0;
    pthread_mutex_unlock(&g->lock);
    return n;
}

ssize_t growth_read(struct growth *g, unsigned epoch, int fd, void *data, size_t cap,
                    uint64_t offset)
{
    int64_t there = wait_for(g, epoch, offset);
    if (there <= 0)
        return (ssize_t)there;
    if ((uint64_t)there < cap)
        cap = (size_t)there;
    ssize_t n;
    do
        n = pread(fd, data, cap, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n > 0 ? n : -1;
}

bool growth_wait_end(struct growth *g)
{
    pthread_mutex_lock(&g->lock);
    while (g->state == GROWTH_RUNNING)
        pthread_cond_wait(&g->changed, &g->lock);
    bool complete = g->state == GROWTH_COMPLETE;
    pthread_mutex_unlock(&g->lock);
    return complete;
}
