/* SPDX-License-Identifier: Apache-2.0 */
/* The tests' vhost-user front end. */
#include "front.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "vmm/devices/vhost_user.h"

/* Only a device that hangs takes so long. */
#define PATIENCE_MS 60000

static void *device_thread(void *arg)
{
    struct front *f = arg;
    f->result = vhost_user_serve(f->dev, f->result, &f->err);
    return NULL;
}

static void make_memory(struct front *f)
{
    memset(f, 0, sizeof(*f));
    f->memfd = memfd_create("guest", MFD_CLOEXEC);
    assert_true(f->memfd >= 0);
    assert_int_equal(ftruncate(f->memfd, FRONT_MEM), 0);
    f->mem = mmap(NULL, FRONT_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, f->memfd, 0);
    assert_ptr_not_equal(f->mem, MAP_FAILED);
}

void front_start(struct front *f, struct device *dev)
{
    int sv[2];
    make_memory(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    f->sock = sv[0];
    f->dev = dev;
    /* The thread closes the other end by the test's hand, in front_wait_end(). */
    f->pid = -sv[1];
    f->result = sv[1];
    assert_int_equal(pthread_create(&f->thread, NULL, device_thread, f), 0);
}

void front_spawn(struct front *f, const char *const argv[])
{
    int sv[2];
    char option[64];
    const char *args[64] = {0};
    make_memory(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    set_cloexec(sv[0], true);
    f->sock = sv[0];
    snprintf(option, sizeof(option), "--socket-fd=%d", sv[1]);
    size_t n = 0;
    for (; argv[n]; n++)
        args[n] = argv[n];
    args[n] = option;
    f->pid = fork();
    assert_true(f->pid >= 0);
    if (f->pid == 0) {
        execv(args[0], (char *const *)args);
        _exit(99);
    }
    close(sv[1]);
}

int front_wait_end(struct front *f)
{
    int result;
    if (f->dev) {
        pthread_join(f->thread, NULL);
        close(-f->pid);
        result = f->result;
    } else {
        assert_int_equal(waitpid(f->pid, &result, 0), f->pid);
    }
    if (f->sock >= 0)
        close(f->sock);
    for (unsigned i = 0; i < f->nqueues; i++) {
        close(f->q[i].kick);
        close(f->q[i].call);
    }
    munmap(f->mem, FRONT_MEM);
    close(f->memfd);
    return result;
}

int front_end(struct front *f)
{
    shutdown(f->sock, SHUT_RDWR);
    return front_wait_end(f);
}

void front_send(struct front *f, uint32_t request, uint32_t flags, const void *payload, size_t size,
                const int *fds, size_t nfds)
{
    struct vu_message m = {.header = {request, flags, (uint32_t)size}};
    assert_true(size <= sizeof(m.payload));
    if (size)
        memcpy(&m.payload, payload, size);
    assert_int_equal(send_fds(f->sock, &m.header, sizeof(m.header) + size, fds, nfds), 0);
}

void front_reply(struct front *f, uint32_t request, void *payload, size_t size)
{
    struct vu_header h;
    assert_int_equal(read_all(f->sock, &h, sizeof(h)), 0);
    assert_int_equal(h.request, request);
    assert_int_equal(h.flags, VU_VERSION | VU_REPLY);
    assert_int_equal(h.size, size);
    assert_int_equal(read_all(f->sock, payload, size), 0);
}

uint64_t front_get_u64(struct front *f, uint32_t request)
{
    uint64_t v;
    front_send(f, request, VU_VERSION, NULL, 0, NULL, 0);
    front_reply(f, request, &v, sizeof(v));
    return v;
}

void front_set_u64(struct front *f, uint32_t request, uint64_t v)
{
    front_send(f, request, VU_VERSION, &v, sizeof(v), NULL, 0);
}

void front_state(struct front *f, uint32_t request, uint32_t index, uint32_t num)
{
    struct vu_vring_state s = {index, num};
    front_send(f, request, VU_VERSION, &s, sizeof(s), NULL, 0);
}

void front_sync(struct front *f)
{
    front_get_u64(f, VU_GET_FEATURES);
}

void front_mem_table(struct front *f)
{
    struct vu_mem_table t = {
        .n = 2,
        .regions = {{FRONT_GPA, FRONT_HALF, FRONT_UADDR, 0},
                    {FRONT_GPA2, FRONT_HALF, FRONT_UADDR + FRONT_GPA2, FRONT_HALF}},
    };
    int fds[2] = {f->memfd, f->memfd};
    front_send(f, VU_SET_MEM_TABLE, VU_VERSION, &t,
               offsetof(struct vu_mem_table, regions) + 2 * sizeof(t.regions[0]), fds, 2);
}

void front_negotiate(struct front *f, uint64_t features)
{
    uint64_t offered = front_get_u64(f, VU_GET_FEATURES);
    features |= FRONT_BASE_FEATURES;
    assert_int_equal(features & ~offered, 0);
    front_set_u64(f, VU_SET_PROTOCOL_FEATURES, front_get_u64(f, VU_GET_PROTOCOL_FEATURES));
    front_send(f, VU_SET_OWNER, VU_VERSION, NULL, 0, NULL, 0);
    front_set_u64(f, VU_SET_FEATURES, features);
    front_mem_table(f);
}

void *front_at(struct front *f, uint64_t gpa)
{
    if (gpa >= FRONT_GPA2)
        return f->mem + FRONT_HALF + (gpa - FRONT_GPA2);
    return f->mem + (gpa - FRONT_GPA);
}

/* Each queue has 64 KiB: the table, then the two rings. */
static void place_queue(struct front *f, unsigned i)
{
    struct front_queue *q = &f->q[i];
    q->num = FRONT_NUM;
    q->gpa = FRONT_GPA + 0x10000ULL * i;
    q->desc = front_at(f, q->gpa);
    q->avail = front_at(f, q->gpa + 0x4000);
    q->used = front_at(f, q->gpa + 0x8000);
    q->kick = eventfd(0, EFD_CLOEXEC);
    q->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void front_queue_start(struct front *f, unsigned i)
{
    struct front_queue *q = &f->q[i];
    uint64_t uaddr = FRONT_UADDR + (q->gpa - FRONT_GPA), index = i;
    struct vu_vring_addr addr = {
        .index = i, .desc = uaddr, .avail = uaddr + 0x4000, .used = uaddr + 0x8000};
    front_state(f, VU_SET_VRING_NUM, i, q->num);
    front_state(f, VU_SET_VRING_BASE, i, q->avail_idx);
    front_send(f, VU_SET_VRING_ADDR, VU_VERSION, &addr, sizeof(addr), NULL, 0);
    front_send(f, VU_SET_VRING_CALL, VU_VERSION, &index, sizeof(index), &q->call, 1);
    front_send(f, VU_SET_VRING_KICK, VU_VERSION, &index, sizeof(index), &q->kick, 1);
    front_state(f, VU_SET_VRING_ENABLE, i, 1);
}

void front_queues(struct front *f, unsigned n)
{
    f->nqueues = n;
    for (unsigned i = 0; i < n; i++) {
        place_queue(f, i);
        front_queue_start(f, i);
    }
    front_sync(f);
}

uint16_t front_add(struct front *f, unsigned qi, const struct front_buf *bufs, size_t n)
{
    struct front_queue *q = &f->q[qi];
    uint16_t head = q->next_desc;
    for (size_t i = 0; i < n; i++) {
        uint16_t d = q->next_desc;
        q->next_desc = (uint16_t)((d + 1) % q->num);
        uint16_t flags = bufs[i].write ? VRING_DESC_F_WRITE : 0;
        if (i + 1 < n)
            flags |= VRING_DESC_F_NEXT;
        q->desc[d] = (struct vring_desc){bufs[i].gpa, bufs[i].len, flags, q->next_desc};
    }
    q->avail->ring[q->avail_idx % q->num] = head;
    q->avail_idx++;
    return head;
}

void front_publish(struct front *f, unsigned q)
{
    __atomic_store_n(&f->q[q].avail->idx, f->q[q].avail_idx, __ATOMIC_SEQ_CST);
}

void front_kick(struct front *f, unsigned q)
{
    uint64_t one = 1;
    front_publish(f, q);
    assert_int_equal(write(f->q[q].kick, &one, sizeof(one)), sizeof(one));
}

bool front_has_used(const struct front *f, unsigned q)
{
    return __atomic_load_n(&f->q[q].used->idx, __ATOMIC_ACQUIRE) != f->q[q].last_used;
}

uint64_t front_interrupts(struct front *f, unsigned q)
{
    uint64_t n;
    return read(f->q[q].call, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

uint16_t front_used(struct front *f, unsigned qi, uint32_t *ret_len)
{
    struct front_queue *q = &f->q[qi];
    for (;;) {
        /* Wanted now, if event indices are in use; then the look that must follow. */
        __atomic_store_n(&q->avail->ring[q->num], q->last_used, __ATOMIC_SEQ_CST);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (front_has_used(f, qi))
            break;
        struct pollfd p = {.fd = q->call, .events = POLLIN};
        assert_true(poll(&p, 1, PATIENCE_MS) > 0);
        front_interrupts(f, qi);
    }
    const struct vring_used_elem *e = &q->used->ring[q->last_used % q->num];
    q->last_used++;
    if (ret_len)
        *ret_len = e->len;
    return (uint16_t)e->id;
}
