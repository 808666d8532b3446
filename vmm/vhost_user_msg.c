/* SPDX-License-Identifier: Apache-2.0 */
/* Sending and receiving vhost-user messages, never longer than a deadline allows. */
#include "vmm/vhost_user_msg.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/err.h"

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until the socket can be used. */
static int wait_for(int sock, short events, int64_t deadline, struct err *err)
{
    for (;;) {
        struct pollfd p = {.fd = sock, .events = events};
        int64_t left = deadline - now_ms();
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;

        if (n > 0)
            return 0;
        if (n == 0)
            return err_set(err, ETIMEDOUT, "no answer");
        if (errno != EINTR)
            return err_set(err, errno, "poll");
    }
}

static void attach_fds(struct msghdr *msg, void *control, const int *fds, size_t nfds)
{
    struct cmsghdr *c;

    msg->msg_control = control;
    msg->msg_controllen = CMSG_SPACE(nfds * sizeof(int));
    c = CMSG_FIRSTHDR(msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
    memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
}

int vhost_send(int sock, uint32_t request, uint32_t flags, const void *payload, size_t len,
               const int *fds, size_t nfds, int timeout_ms, struct err *err)
{
    char control[CMSG_SPACE(VHOST_REGIONS_MAX * sizeof(int))] __attribute__((aligned(8))) = {0};
    char message[sizeof(struct vhost_header) + VHOST_PAYLOAD_MAX];
    struct vhost_header h = {request, VHOST_VERSION | flags, (uint32_t)len};
    size_t total = sizeof(h) + len, done = 0;
    int64_t deadline = now_ms() + timeout_ms;

    if (len > VHOST_PAYLOAD_MAX || nfds > VHOST_REGIONS_MAX)
        return err_set(err, EMSGSIZE, "request %u", request);
    memcpy(message, &h, sizeof(h));
    if (len)
        memcpy(message + sizeof(h), payload, len);
    while (done < total) {
        struct iovec iov = {message + done, total - done};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t n;

        if (fds && done == 0)
            attach_fds(&msg, control, fds, nfds);
        n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            if (wait_for(sock, POLLOUT, deadline, err))
                return err_prefix(err, "request %u", request);
        } else if (errno != EINTR) {
            return err_set(err, errno, "request %u can't be sent", request);
        }
    }
    return 0;
}

static int recv_exactly(int sock, void *data, size_t len, int64_t deadline, struct err *err)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = recv(sock, (char *)data + done, len - done, MSG_DONTWAIT);

        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0) {
            return err_set(err, 0, "closed the connection");
        } else if (errno == EAGAIN) {
            if (wait_for(sock, POLLIN, deadline, err))
                return -1;
        } else if (errno != EINTR) {
            return err_set(err, errno, "can't be read");
        }
    }
    return 0;
}

int vhost_recv_reply(int sock, uint32_t request, void *payload, size_t cap, size_t *ret_len,
                     int timeout_ms, struct err *err)
{
    int64_t deadline = now_ms() + timeout_ms;
    struct vhost_header h;

    if (recv_exactly(sock, &h, sizeof(h), deadline, err))
        return err_prefix(err, "reply to request %u", request);
    if (h.request != request || (h.flags & 7) != (VHOST_VERSION | VHOST_REPLY))
        return err_set(err, 0, "answers request %u with a message %u (flags %#x)", request,
                       h.request, h.flags);
    if (h.size > cap)
        return err_set(err, 0, "answers request %u with %u bytes", request, h.size);
    if (recv_exactly(sock, payload, h.size, deadline, err))
        return err_prefix(err, "reply to request %u", request);
    *ret_len = h.size;
    return 0;
}
