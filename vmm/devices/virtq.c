/* SPDX-License-Identifier: Apache-2.0 */
/* The device's side of a split virtqueue. */
#include "vmm/devices/virtq.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/devices/mem.h"

#define RING_ALIGN_DESC  16
#define RING_ALIGN_AVAIL 2
#define RING_ALIGN_USED  4

static uint16_t load16(const __virtio16 *p)
{
    return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static void store16(__virtio16 *p, uint16_t v)
{
    __atomic_store_n(p, htole16(v), __ATOMIC_RELAXED);
}

static void *ring_part(const struct virtq *q, const char *what, uint64_t uaddr, uint64_t len,
                       unsigned align, struct err *err)
{
    void *p = mem_at_uaddr(q->mem, uaddr, len);
    if (p && uaddr % align == 0 && (uintptr_t)p % align == 0)
        return p;
    err_set(err, 0, "queue %u: the %s at 0x%" PRIx64 " is %s", q->index, what, uaddr,
            p ? "not aligned" : "not in guest memory");
    return NULL;
}

int virtq_remap(struct virtq *q, struct err *err)
{
    uint64_t n = q->num;
    q->desc = ring_part(q, "descriptor table", q->addr.desc, 16 * n, RING_ALIGN_DESC, err);
    if (!q->desc)
        return -1;
    q->avail = ring_part(q, "available ring", q->addr.avail, 6 + 2 * n, RING_ALIGN_AVAIL, err);
    if (!q->avail)
        return -1;
    q->used = ring_part(q, "used ring", q->addr.used, 6 + 8 * n, RING_ALIGN_USED, err);
    return q->used ? 0 : -1;
}

int virtq_start(struct virtq *q, uint64_t features, struct err *err)
{
    if (!q->num || q->num > VIRTQ_NUM_MAX || q->num & (q->num - 1))
        return err_set(err, 0, "queue %u: %u is not a valid size", q->index, q->num);
    if (virtq_remap(q, err))
        return -1;
    q->event_idx = features & (1ULL << VIRTIO_RING_F_EVENT_IDX);
    q->indirect = features & (1ULL << VIRTIO_RING_F_INDIRECT_DESC);
    q->used_idx = load16(&q->used->idx);
    q->shown_idx = q->used_idx;
    q->signalled_valid = false;
    q->running = true;
    return 0;
}

void virtq_stop(struct virtq *q)
{
    q->running = false;
    q->desc = NULL;
    q->avail = NULL;
    q->used = NULL;
}

static int chain_add(const struct virtq *q, struct virtq_chain *c, const struct vring_desc *d,
                     struct err *err)
{
    uint64_t addr = le64toh(d->addr);
    uint32_t len = le32toh(d->len);
    bool write = le16toh(d->flags) & VRING_DESC_F_WRITE;
    if (!write && c->writable.n)
        return err_set(err, 0, "queue %u: a readable buffer follows a writable one", q->index);
    if (!len)
        return 0;
    unsigned n = c->readable.n + c->writable.n;
    if (n == VIRTQ_CHAIN_MAX)
        return err_set(err, 0, "queue %u: a request of more than %d buffers", q->index,
                       VIRTQ_CHAIN_MAX);
    void *p = mem_at(q->mem, addr, len);
    if (!p)
        return err_set(err, 0,
                       "queue %u: a buffer of %" PRIu32 " bytes at 0x%" PRIx64
                       " is not in guest memory",
                       q->index, len, addr);
    struct iovs *part = write ? &c->writable : &c->readable;
    if (!part->n)
        part->v = &c->iov[n];
    c->iov[n] = (struct iovec){p, len};
    part->n++;
    part->len += len;
    return 0;
}

static int chain_walk(const struct virtq *q, struct virtq_chain *c, const struct vring_desc *table,
                      unsigned n, unsigned first, bool nested, struct err *err);

/* Section 2.7.5.3: the table is never nested and is the end of the chain. */
static int chain_indirect(const struct virtq *q, struct virtq_chain *c, const struct vring_desc *d,
                          struct err *err)
{
    uint64_t addr = le64toh(d->addr);
    uint32_t len = le32toh(d->len);
    if (le16toh(d->flags) & VRING_DESC_F_NEXT)
        return err_set(err, 0, "queue %u: an indirect descriptor has a successor", q->index);
    if (!len || len % sizeof(*d) || len / sizeof(*d) > VIRTQ_CHAIN_MAX)
        return err_set(err, 0, "queue %u: %" PRIu32 " bytes are no valid indirect table", q->index,
                       len);
    const struct vring_desc *table = mem_at(q->mem, addr, len);
    if (!table)
        return err_set(err, 0,
                       "queue %u: the indirect table at 0x%" PRIx64 " is not in guest memory",
                       q->index, addr);
    return chain_walk(q, c, table, len / sizeof(*d), 0, true, err);
}

static int chain_walk(const struct virtq *q, struct virtq_chain *c, const struct vring_desc *table,
                      unsigned n, unsigned first, bool nested, struct err *err)
{
    unsigned i = first;
    for (unsigned steps = 0; steps < n; steps++) {
        struct vring_desc d;
        /* By bytes, as an indirect table need not be aligned. */
        guest_copy(&d, (const uint8_t *)table + (size_t)i * sizeof(d), sizeof(d));
        uint16_t flags = le16toh(d.flags);
        if (flags & VRING_DESC_F_INDIRECT) {
            if (nested || !q->indirect)
                return err_set(err, 0, "queue %u: an indirect descriptor where none may be",
                               q->index);
            return chain_indirect(q, c, &d, err);
        }
        if (chain_add(q, c, &d, err))
            return -1;
        if (!(flags & VRING_DESC_F_NEXT))
            return 0;
        i = le16toh(d.next);
        if (i >= n)
            return err_set(err, 0, "queue %u: descriptor %u does not exist", q->index, i);
    }
    return err_set(err, 0, "queue %u: the descriptors from %u on form a loop", q->index, first);
}

int virtq_pop(struct virtq *q, struct virtq_chain *ret, struct err *err)
{
    uint16_t idx = le16toh(__atomic_load_n(&q->avail->idx, __ATOMIC_ACQUIRE));
    uint16_t pending = (uint16_t)(idx - q->last_avail);
    if (!pending)
        return 0;
    if (pending > q->num)
        return err_set(err, 0, "queue %u: %u requests in a ring of %u", q->index, pending, q->num);
    uint16_t head = load16(&q->avail->ring[q->last_avail & (q->num - 1)]);
    if (head >= q->num)
        return err_set(err, 0, "queue %u: descriptor %u does not exist", q->index, head);
    ret->head = head;
    ret->readable = (struct iovs){.v = ret->iov};
    ret->writable = (struct iovs){.v = ret->iov};
    if (chain_walk(q, ret, q->desc, q->num, head, false, err))
        return -1;
    q->last_avail++;
    return 1;
}

void virtq_unpop(struct virtq *q, unsigned n)
{
    q->last_avail = (uint16_t)(q->last_avail - n);
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t written)
{
    struct vring_used_elem *e = &q->used->ring[q->used_idx & (q->num - 1)];
    e->id = htole32(head);
    e->len = htole32(written);
    q->used_idx++;
}

static bool wants_interrupt(struct virtq *q)
{
    if (!q->event_idx)
        return !(load16(&q->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
    uint16_t old = q->signalled, now = q->used_idx;
    bool valid = q->signalled_valid;
    q->signalled = now;
    q->signalled_valid = true;
    uint16_t event = load16(&q->avail->ring[q->num]);
    return !valid || (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

void virtq_flush(struct virtq *q)
{
    if (!q->running || q->shown_idx == q->used_idx)
        return;
    __atomic_store_n(&q->used->idx, htole16(q->used_idx), __ATOMIC_RELEASE);
    q->shown_idx = q->used_idx;
    /* The index must be visible before the driver's wish is read, or both sides may sleep. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (q->call_fd < 0 || !wants_interrupt(q))
        return;
    uint64_t one = 1;
    while (write(q->call_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void virtq_kicks_off(struct virtq *q)
{
    /* With EVENT_IDX the event index that stays behind does it. */
    if (!q->event_idx)
        store16(&q->used->flags, VRING_USED_F_NO_NOTIFY);
}

bool virtq_kicks_on(struct virtq *q)
{
    if (q->event_idx)
        store16((__virtio16 *)&q->used->ring[q->num], q->last_avail);
    else
        store16(&q->used->flags, 0);
    /* The wish must be visible before the index is read: a driver that missed it is seen now. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return load16(&q->avail->idx) != q->last_avail;
}
