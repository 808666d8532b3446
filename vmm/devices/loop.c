/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop of a device process. */
#include "vmm/devices/loop.h"

#include <errno.h>
#include <unistd.h>

#include "base/err.h"

int loop_init(struct loop *l, struct err *err)
{
    l->batch_len = 0;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        return err_set(err, errno, "cannot make an epoll descriptor");
    return 0;
}

void loop_free(struct loop *l)
{
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    l->epoll_fd = -1;
}

int loop_add(struct loop *l, struct loop_source *source, uint32_t events, struct err *err)
{
    struct epoll_event ev = {.events = events, .data.ptr = source};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, source->fd, &ev))
        return err_set(err, errno, "cannot wait for descriptor %d", source->fd);
    return 0;
}

void loop_remove(struct loop *l, struct loop_source *source)
{
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    for (int i = 0; i < l->batch_len; i++) {
        if (l->batch[i].data.ptr == source)
            l->batch[i].data.ptr = NULL;
    }
}

int loop_once(struct loop *l, int timeout, struct err *err)
{
    int n = epoll_wait(l->epoll_fd, l->batch, LOOP_BATCH, timeout);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n < 0)
        return err_set(err, errno, "cannot wait for events");
    int r = 0;
    l->batch_len = n;
    for (int i = 0; i < n && !r; i++) {
        struct loop_source *s = l->batch[i].data.ptr;
        if (s)
            r = s->handle(s->data, l->batch[i].events, err);
    }
    l->batch_len = 0;
    return r;
}
