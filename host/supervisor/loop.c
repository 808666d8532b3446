/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's event loop: epoll with one callback per descriptor. */
#include "host/supervisor/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/err.h"

int loop_init(struct loop *l, struct err *err)
{
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epfd < 0)
        return err_set(err, errno, "can't create an epoll descriptor");
    return 0;
}

int loop_add(struct loop *l, struct watch *w, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};
    if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, w->fd, &ev) < 0) {
        if (errno != EPERM)
            abort();
        return -1;
    }
    w->events = events;
    return 0;
}

void loop_set(struct loop *l, struct watch *w, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};
    if (w->events == events)
        return;
    if (epoll_ctl(l->epfd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
        abort();
    w->events = events;
}

void loop_del(struct loop *l, struct watch *w)
{
    epoll_ctl(l->epfd, EPOLL_CTL_DEL, w->fd, NULL);
}

void loop_once(struct loop *l)
{
    struct epoll_event ev;
    int n = epoll_wait(l->epfd, &ev, 1, -1);
    if (n == 1) {
        struct watch *w = ev.data.ptr;
        w->fn(w, ev.events);
    }
}
