/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register writes of a hostile guest, mostly to registers that exist. Whatever
 * it does, the back end is started and stopped in turn, with checked features and rings.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "vmm/memory.h"
#include "vmm/virtio_mmio.h"

#define RAM_SIZE 65536u
#define OFFERED  (1ull << 32 | 1ull << 29 | 1ull << 28 | 1ull << 5)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool running;

static void check_ring(const struct virtio_mmio *d, const struct virtio_queue *q)
{
    if (q->size == 0 || q->size > VIRTIO_QUEUE_SIZE || (q->size & (q->size - 1)) ||
        !memory_at(d->memory, q->desc, 16ull * q->size) ||
        !memory_at(d->memory, q->avail, 6 + 2ull * q->size) ||
        !memory_at(d->memory, q->used, 6 + 8ull * q->size))
        abort();
}

static int on_start(void *self, const struct virtio_mmio *d, struct err *err)
{
    (void)self;
    (void)err;
    if (running || (d->driver_features & ~OFFERED) || !(d->driver_features >> 32 & 1))
        abort();
    for (unsigned i = 0; i < VMM_QUEUES_MAX; i++) {
        if (!d->queues[i].ready)
            continue;
        if (i >= d->nqueues)
            abort();
        check_ring(d, &d->queues[i]);
    }
    running = true;
    return 0;
}

static int on_stop(void *self, const struct virtio_mmio *d, struct err *err)
{
    (void)self;
    (void)d;
    (void)err;
    if (!running)
        abort();
    running = false;
    return 0;
}

static int on_config(void *self, uint32_t off, const void *data, uint32_t len, uint8_t *config,
                     struct err *err)
{
    (void)self;
    (void)err;
    if (off > VIRTIO_CONFIG_MAX || len > VIRTIO_CONFIG_MAX - off)
        abort();
    memcpy(config + off, data, len);
    return 0;
}

/* What drivers write; an input byte chooses one, or a free offset. */
static const uint16_t registers[] = {0x014, 0x020, 0x024, 0x030, 0x038, 0x044, 0x050, 0x064, 0x070,
                                     0x080, 0x084, 0x090, 0x094, 0x0a0, 0x0a4, 0x0ac, 0x100, 0x104};
#define NREGISTERS (sizeof(registers) / sizeof(registers[0]))

static void access_register(struct virtio_mmio *d, const uint8_t *in)
{
    uint64_t off = in[0] < 240 ? registers[in[0] % NREGISTERS] : in[0] * 259ull;
    uint32_t len = in[1] < 200 ? 4 : in[1] % 9;
    uint8_t value[8] = {in[2], in[3], in[4], in[5]};
    uint8_t read[8];
    struct err err;

    if (virtio_mmio_write(d, off, value, len, &err))
        abort();
    virtio_mmio_read(d, off, read, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct virtio_backend backend = {on_start, on_stop, on_config};
    static uint8_t ram[RAM_SIZE], page[VIRTIO_MMIO_PAGE];
    const struct guest_memory memory = {.nregions = 1, .regions[0] = {0, RAM_SIZE, 0, ram}};
    uint8_t config[VIRTIO_CONFIG_MAX] = {0};
    struct virtio_mmio d;

    running = false;
    virtio_mmio_init(&d, 2, 3, OFFERED, config, page, &memory, &backend, NULL);
    for (; size >= 6; data += 6, size -= 6)
        access_register(&d, data);
    virtio_mmio_done(&d);
    return 0;
}
