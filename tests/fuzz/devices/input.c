/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions from bytes, and a guest's memory and rings, for the device fuzzers. */
#include "input.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint8_t input_u8(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->p++;
}

uint16_t input_u16(struct input *in)
{
    return (uint16_t)(input_u8(in) | input_u8(in) << 8);
}

uint32_t input_u32(struct input *in)
{
    return input_u16(in) | (uint32_t)input_u16(in) << 16;
}

uint64_t input_u64(struct input *in)
{
    return input_u32(in) | (uint64_t)input_u32(in) << 32;
}

bool input_rarely(struct input *in)
{
    return input_u8(in) > 240;
}

void guest_init(struct guest *g)
{
    g->memfd = memfd_create("guest", MFD_CLOEXEC);
    MUST(g->memfd >= 0 && !ftruncate(g->memfd, GUEST_SIZE));
    g->mem = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, g->memfd, 0);
    MUST(g->mem != MAP_FAILED);
}

void *guest_at(struct guest *g, uint64_t gpa)
{
    return g->mem + (gpa - GUEST_GPA);
}

/* Each queue has a page for each of its parts, and one for indirect tables. */
static uint64_t part(unsigned q, unsigned i)
{
    return 0x4000ULL * q + 0x1000ULL * i;
}

void guest_start(struct guest *g, struct device *d, unsigned nqueues, uint64_t features)
{
    const struct mem_desc desc = {GUEST_GPA, GUEST_SIZE, GUEST_UADDR, 0};
    memset(g->mem, 0, 0x10000);
    if (!d->mem.n)
        MUST(!mem_add(&d->mem, &desc, g->memfd, NULL));
    d->features = features;
    for (unsigned q = 0; q < nqueues; q++) {
        struct virtq *vq = &d->queues[q];
        vq->num = GUEST_NUM;
        vq->addr = (struct virtq_addr){GUEST_UADDR + part(q, 0), GUEST_UADDR + part(q, 1),
                                       GUEST_UADDR + part(q, 2)};
        vq->last_avail = 0;
        MUST(!virtq_start(vq, features, NULL));
        g->next_desc[q] = g->avail[q] = g->used[q] = 0;
    }
}

static void damage(struct guest *g, struct input *in, struct vring_desc *d)
{
    switch (input_u8(in) % 6) {
    case 0:
        d->addr = input_u64(in);
        break;
    case 1:
        d->len = input_u32(in);
        break;
    case 2:
        d->flags = input_u16(in);
        break;
    case 3:
        d->next = input_u16(in);
        break;
    case 4:
        d->addr = GUEST_GPA + input_u32(in) % (2 * GUEST_SIZE);
        break;
    default:
        d->addr = GUEST_GPA; /* the rings themselves */
    }
    (void)g;
}

static void fill_table(struct guest *g, struct input *in, struct vring_desc *t, unsigned first,
                       unsigned mask, const struct guest_buf *bufs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint16_t flags = bufs[i].write ? VRING_DESC_F_WRITE : 0;
        if (i + 1 < n)
            flags |= VRING_DESC_F_NEXT;
        struct vring_desc *d = &t[(first + i) & mask];
        *d = (struct vring_desc){bufs[i].gpa, bufs[i].len, flags,
                                 (uint16_t)((first + i + 1) & mask)};
        if (input_rarely(in))
            damage(g, in, d);
    }
}

void guest_add(struct guest *g, struct input *in, unsigned q, const struct guest_buf *bufs,
               unsigned n)
{
    struct vring_desc *desc = (void *)(g->mem + part(q, 0));
    struct vring_avail *avail = (void *)(g->mem + part(q, 1));
    uint16_t head = g->next_desc[q];
    if (n > GUEST_NUM || input_u8(in) & 1) {
        struct vring_desc *table = (void *)(g->mem + part(q, 3));
        fill_table(g, in, table, 0, 0xff, bufs, n);
        const struct guest_buf one = {GUEST_GPA + part(q, 3), n * 16, false};
        fill_table(g, in, desc, head, GUEST_NUM - 1, &one, 1);
        desc[head].flags |= VRING_DESC_F_INDIRECT;
        n = 1;
    } else {
        fill_table(g, in, desc, head, GUEST_NUM - 1, bufs, n);
    }
    avail->ring[g->avail[q] % GUEST_NUM] = input_rarely(in) ? input_u16(in) : head;
    g->next_desc[q] = (uint16_t)((head + n) % GUEST_NUM);
    g->avail[q]++;
    avail->idx = input_rarely(in) && input_rarely(in) ? input_u16(in) : g->avail[q];
    avail->flags = input_u8(in) & 1;
    avail->ring[GUEST_NUM] = (uint16_t)(g->used[q] + input_u8(in) % 4);
}

bool guest_used(struct guest *g, unsigned q, uint16_t *ret_head, uint32_t *ret_len)
{
    const struct vring_used *used = (const void *)(g->mem + part(q, 2));
    if (used->idx == g->used[q])
        return false;
    *ret_head = (uint16_t)used->ring[g->used[q] % GUEST_NUM].id;
    *ret_len = used->ring[g->used[q] % GUEST_NUM].len;
    g->used[q]++;
    return true;
}
