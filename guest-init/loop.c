/* SPDX-License-Identifier: Apache-2.0 */
/* The one event loop of init: descriptors and their callbacks. */
#include "guest-init/loop.h"

#include <errno.h>
#include <unistd.h>

#include "base/err.h"

int loop_init(struct loop *l, struct err *err)
{
    *l = (struct loop){.epfd = epoll_create1(EPOLL_CLOEXEC)};
    return l->epfd < 0 ? err_set(err, errno, "can't make an epoll instance") : 0;
}

void loop_done(struct loop *l)
{
    if (l->epfd >= 0)
        close(l->epfd);
    l->epfd = -1;
}

int loop_add(struct loop *l, struct loop_source *src, int fd, uint32_t events, struct err *err)
{
    struct epoll_event ev = {.events = events, .data.ptr = src};
    if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
        return err_set(err, errno, "can't watch descriptor %d", fd);
    src->fd = fd;
    return 0;
}

void loop_mod(struct loop *l, struct loop_source *src, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = src};
    if (src->fd >= 0)
        (void)epoll_ctl(l->epfd, EPOLL_CTL_MOD, src->fd, &ev);
}

void loop_del(struct loop *l, struct loop_source *src)
{
    if (src->fd < 0)
        return;
    (void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, src->fd, NULL);
    src->fd = -1;
    for (int i = l->next; i < l->count; i++) {
        if (l->batch[i].data.ptr == src)
            l->batch[i].data.ptr = NULL;
    }
}

int loop_run(struct loop *l, int timeout_ms, struct err *err)
{
    int n = epoll_wait(l->epfd, l->batch, LOOP_BATCH, timeout_ms);
    if (n < 0 && errno != EINTR)
        return err_set(err, errno, "can't wait for events");
    l->count = n < 0 ? 0 : n;
    for (l->next = 0; l->next < l->count;) {
        struct epoll_event *ev = &l->batch[l->next++];
        struct loop_source *src = ev->data.ptr;
        if (src)
            src->fn(src->ctx, ev->events);
    }
    l->count = l->next = 0;
    return 0;
}
