/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of virtio-vsock: their table, their life, and bytes from the guest to the host. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "vmm/devices/vsock.h"

/* The bucket of a connection; the key keeps a guest from choosing ports that share one. */
static struct vsock_conn **bucket(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
    uint64_t h = (uint64_t)(guest_port ^ v->hash_key) << 32 | (host_port ^ v->hash_key);
    h *= 0x9e3779b97f4a7c15ULL;
    return &v->buckets[h >> 54 & (VSOCK_BUCKETS - 1)];
}

struct vsock_conn *vsock_conn_find(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
    struct vsock_conn *c = *bucket(v, guest_port, host_port);
    while (c && (c->guest_port != guest_port || c->host_port != host_port))
        c = c->next;
    return c;
}

static void table_remove(struct vsock_conn *c)
{
    if (!c->in_table)
        return;
    struct vsock_conn **p = bucket(c->v, c->guest_port, c->host_port);
    while (*p != c)
        p = &(*p)->next;
    *p = c->next;
    c->in_table = false;
    if (c->is_ready)
        TAILQ_REMOVE(&c->v->ready, c, ready_link);
    c->is_ready = false;
}

static void close_socket(struct vsock_conn *c)
{
    if (c->source.fd < 0)
        return;
    loop_remove(&c->v->dev.loop, &c->source);
    close(c->source.fd);
    c->source.fd = -1;
    c->readable = false;
}

/* For one that waits: the other end is the supervisor's now, or nobody's. */
static void stop_waiting(struct vsock_conn *c)
{
    close(c->peer_fd);
    c->peer_fd = -1;
    TAILQ_REMOVE(&c->v->waiting, c, wait_link);
    c->v->nwaiting--;
}

void vsock_conn_free(struct vsock_conn *c)
{
    struct vsock *v = c->v;
    table_remove(c);
    if (c->peer_fd >= 0)
        stop_waiting(c);
    close_socket(c);
    if (c->is_lingering)
        TAILQ_REMOVE(&v->lingering, c, linger_link);
    TAILQ_REMOVE(&v->all, c, all_link);
    v->nconns--;
    free(c->ring.data);
    free(c);
}

void vsock_conn_kill(struct vsock_conn *c)
{
    if (c->in_table)
        vsock_reset(c->v, c->guest_port, c->host_port);
    vsock_conn_free(c);
}

/* `n` more bytes are with the host: the guest hears of it before its credit runs out. */
static void forwarded(struct vsock_conn *c, uint32_t n)
{
    c->fwd_cnt += n;
    uint32_t believed = c->buf_alloc - (c->rx_cnt - c->told_fwd_cnt);
    if (c->fwd_cnt != c->told_fwd_cnt && believed < c->buf_alloc / 2)
        c->owes |= VSOCK_OWES_CREDIT;
}

/* The host takes no more bytes: those that wait are lost, and the guest is told. */
static void host_stopped_reading(struct vsock_conn *c)
{
    uint32_t lost = c->ring.len;
    c->write_ended = true;
    c->shut |= VIRTIO_VSOCK_SHUTDOWN_RCV;
    c->ring.len = 0;
    forwarded(c, lost);
}

/* Sends from the vectors what the socket takes; the bytes sent, at most `len`. */
static uint32_t send_some(struct vsock_conn *c, const struct iovs *data)
{
    struct msghdr msg = {.msg_iov = data->v, .msg_iovlen = data->n};
    ssize_t n;
    do
        n = sendmsg(c->source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return (uint32_t)n;
    if (errno != EAGAIN)
        host_stopped_reading(c);
    return 0;
}

static void ring_add(struct vsock_conn *c, struct iovs data)
{
    struct vsock_ring *r = &c->ring;
    if (!r->data) {
        r->cap = c->buf_alloc;
        r->data = xmalloc(r->cap);
    }
    if (!r->len)
        r->head = 0;
    while (data.len) {
        uint32_t tail = (r->head + r->len) % r->cap;
        uint32_t room = tail < r->head ? r->head - tail : r->cap - tail;
        size_t n = iovs_read(&data, r->data + tail, room);
        iovs_drop(&data, n);
        r->len += (uint32_t)n;
    }
}

static void ring_flush(struct vsock_conn *c)
{
    struct vsock_ring *r = &c->ring;
    while (r->len) {
        uint32_t first = r->len < r->cap - r->head ? r->len : r->cap - r->head;
        struct iovec v[2] = {{r->data + r->head, first}, {r->data, r->len - first}};
        struct iovs s = {.v = v, .n = first < r->len ? 2 : 1, .len = r->len};
        uint32_t n = send_some(c, &s);
        if (!n)
            return;
        r->head = (r->head + n) % r->cap;
        r->len -= n;
        forwarded(c, n);
    }
}

int vsock_conn_data(struct vsock_conn *c, struct iovs data)
{
    uint32_t len = (uint32_t)data.len;
    if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND || len > c->buf_alloc - (c->rx_cnt - c->fwd_cnt))
        return -1;
    c->rx_cnt += len;
    if (!c->write_ended && !c->ring.len && len) {
        uint32_t n = send_some(c, &data);
        iovs_drop(&data, n);
        forwarded(c, n);
    }
    if (c->write_ended)
        forwarded(c, (uint32_t)data.len);
    else
        ring_add(c, data);
    vsock_ready(c);
    return 0;
}

void vsock_conn_shutdown(struct vsock_conn *c, uint32_t flags)
{
    c->guest_shut |= flags;
    vsock_conn_settle(c);
}

/*
 * What the guest had sent before still goes to the host, so that the last words of a guest that
 * did not wait for the end are not lost.
 */
void vsock_conn_reset_by_guest(struct vsock_conn *c)
{
    table_remove(c);
    vsock_conn_shutdown(c, VSOCK_SHUT_BOTH);
}

static void linger(struct vsock_conn *c)
{
    close_socket(c);
    TAILQ_INSERT_TAIL(&c->v->lingering, c, linger_link);
    c->is_lingering = true;
}

void vsock_conn_settle(struct vsock_conn *c)
{
    if (c->hup && c->shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
        host_stopped_reading(c);
    if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND && !c->ring.len && !c->write_ended) {
        c->write_ended = true;
        shutdown(c->source.fd, SHUT_WR);
    }
    if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV && !c->read_ended) {
        c->read_ended = true;
        shutdown(c->source.fd, SHUT_RD);
    }
    if (c->guest_shut == VSOCK_SHUT_BOTH && c->write_ended) {
        vsock_conn_kill(c);
        return;
    }
    if (c->told == VSOCK_SHUT_BOTH && !c->is_lingering)
        linger(c);
    vsock_ready(c);
}

static int on_socket(void *data, uint32_t events, struct err *err)
{
    struct vsock_conn *c = data;
    struct vsock *v = c->v;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->readable = true;
    if (events & EPOLLHUP)
        c->hup = true;
    if (events & EPOLLOUT)
        ring_flush(c);
    vsock_conn_settle(c);
    return vsock_pump(v, err);
}

/* Gives the other end to the supervisor: 0, or -1 with errno. */
static int handover(struct vsock_conn *c)
{
    uint32_t ports[2] = {htole32(c->host_port), htole32(c->guest_port)};
    if (send_fds(c->v->supervisor.fd, ports, sizeof(ports), &c->peer_fd, 1))
        return -1;
    stop_waiting(c);
    c->owes |= VSOCK_OWES_RESPONSE;
    vsock_ready(c);
    return 0;
}

int vsock_handover_all(void *data, uint32_t events, struct err *err)
{
    struct vsock *v = data;
    if (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) {
        loop_remove(&v->dev.loop, &v->supervisor);
        v->supervisor.fd = -1;
    }
    for (struct vsock_conn *c = TAILQ_FIRST(&v->waiting), *next; c; c = next) {
        next = TAILQ_NEXT(c, wait_link);
        if (v->supervisor.fd >= 0 && !handover(c))
            continue;
        if (v->supervisor.fd >= 0 && errno == EAGAIN)
            break;
        vsock_conn_kill(c);
    }
    return vsock_pump(v, err);
}

/* Makes room for one more connection if need be. */
static bool room_for_conn(struct vsock *v)
{
    if (v->supervisor.fd < 0 || v->nwaiting == VSOCK_HANDOVER_MAX)
        return false;
    if (v->nconns < v->conns_max)
        return true;
    if (TAILQ_EMPTY(&v->lingering))
        return false;
    vsock_conn_kill(TAILQ_FIRST(&v->lingering));
    return true;
}

static struct vsock_conn *conn_new(struct vsock *v, const struct virtio_vsock_hdr *h, int pair[2])
{
    struct vsock_conn *c = xcalloc(1, sizeof(*c));
    c->v = v;
    c->guest_port = le32toh(h->src_port);
    c->host_port = le32toh(h->dst_port);
    c->buf_alloc = v->nconns < VSOCK_CREDIT_CONNS ? VSOCK_CREDIT : VSOCK_CREDIT_LOW;
    c->source = (struct loop_source){.fd = pair[0], .handle = on_socket, .data = c};
    c->peer_fd = pair[1];
    struct vsock_conn **b = bucket(v, c->guest_port, c->host_port);
    c->next = *b;
    *b = c;
    c->in_table = true;
    TAILQ_INSERT_TAIL(&v->all, c, all_link);
    TAILQ_INSERT_TAIL(&v->waiting, c, wait_link);
    v->nwaiting++;
    v->nconns++;
    return c;
}

struct vsock_conn *vsock_conn_open(struct vsock *v, const struct virtio_vsock_hdr *h)
{
    int pair[2];
    if (!room_for_conn(v) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return NULL;
    struct vsock_conn *c = conn_new(v, h, pair);
    uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    if (!loop_add(&v->dev.loop, &c->source, events, NULL)) {
        if (TAILQ_FIRST(&v->waiting) != c || !handover(c) || errno == EAGAIN)
            return c;
    }
    vsock_conn_free(c);
    return NULL;
}
