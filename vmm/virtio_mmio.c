/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-mmio registers and the device status machine. */
#include "vmm/virtio_mmio.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#include "vmm/memory.h"

#define MAGIC  0x74726976u /* "virt" */
#define VENDOR 0x63707061u /* "appc" */

/* Bits 24 to 49 belong to the transport; of these only the ones below are ours. */
#define DEVICE_BITS    (((1ull << 24) - 1) | ~((1ull << 50) - 1))
#define TRANSPORT_BITS ((1ull << 28) | (1ull << 29) | (1ull << VIRTIO_F_VERSION_1))

#define STATUS_KNOWN       (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define STATUS_NEEDS_RESET ((uint32_t)VIRTIO_CONFIG_S_NEEDS_RESET)
#define STATUS_FEATURES_OK ((uint32_t)VIRTIO_CONFIG_S_FEATURES_OK)
#define STATUS_DRIVER_OK   ((uint32_t)VIRTIO_CONFIG_S_DRIVER_OK)

static void put32(struct virtio_mmio *d, uint32_t off, uint32_t value)
{
    /* One store: the guest may be reading the register. */
    __atomic_store_n((uint32_t *)(d->page + off), value, __ATOMIC_RELEASE);
}

/* The registers whose value depends on a selector. */
static void update_selected(struct virtio_mmio *d)
{
    const struct virtio_queue *q = d->queue_sel < d->nqueues ? &d->queues[d->queue_sel] : NULL;
    uint32_t features = 0;

    if (d->features_sel < 2)
        features = (uint32_t)(d->features >> (32 * d->features_sel));
    put32(d, VIRTIO_MMIO_DEVICE_FEATURES, features);
    put32(d, VIRTIO_MMIO_QUEUE_NUM_MAX, q ? VIRTIO_QUEUE_SIZE : 0);
    put32(d, VIRTIO_MMIO_QUEUE_READY, q ? q->ready : 0);
}

void virtio_mmio_init(struct virtio_mmio *d, uint32_t id, unsigned nqueues, uint64_t features,
                      const uint8_t config[VIRTIO_CONFIG_MAX], uint8_t *page,
                      const struct guest_memory *memory, const struct virtio_backend *backend,
                      void *self)
{
    *d = (struct virtio_mmio){
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .memory = memory,
        .backend = backend,
        .self = self,
        .page = page,
        .features = features & (DEVICE_BITS | TRANSPORT_BITS),
        .nqueues = nqueues,
    };
    memset(page, 0, VIRTIO_MMIO_PAGE);
    memcpy(page + VIRTIO_MMIO_CONFIG, config, VIRTIO_CONFIG_MAX);
    put32(d, VIRTIO_MMIO_MAGIC_VALUE, MAGIC);
    put32(d, VIRTIO_MMIO_VERSION, 2);
    put32(d, VIRTIO_MMIO_DEVICE_ID, id);
    put32(d, VIRTIO_MMIO_VENDOR_ID, VENDOR);
    put32(d, VIRTIO_MMIO_INTERRUPT_STATUS, VIRTIO_MMIO_INT_VRING);
    put32(d, VIRTIO_MMIO_SHM_LEN_LOW, UINT32_MAX); /* all ones: no such region */
    put32(d, VIRTIO_MMIO_SHM_LEN_HIGH, UINT32_MAX);
    put32(d, VIRTIO_MMIO_SHM_BASE_LOW, UINT32_MAX);
    put32(d, VIRTIO_MMIO_SHM_BASE_HIGH, UINT32_MAX);
    update_selected(d);
}

void virtio_mmio_done(struct virtio_mmio *d)
{
    pthread_mutex_destroy(&d->lock);
}

static void set_status(struct virtio_mmio *d, uint32_t status)
{
    d->status = status;
    put32(d, VIRTIO_MMIO_STATUS, status);
}

/* Section 2.1.2: after a reset nothing of the driver's is left. */
static int reset(struct virtio_mmio *d, struct err *err)
{
    if (d->started && d->backend->stop(d->self, d, err))
        return -1;
    d->started = false;
    d->driver_features = 0;
    d->features_sel = d->driver_features_sel = d->queue_sel = 0;
    memset(d->queues, 0, sizeof(d->queues));
    update_selected(d);
    set_status(d, 0);
    return 0;
}

/* Sections 2.2, 3.1.1: a known driver, a subset of what was offered, and never a legacy one. */
static bool features_ok(const struct virtio_mmio *d, uint32_t status)
{
    return (status & STATUS_KNOWN) == STATUS_KNOWN && !(d->driver_features & ~d->features) &&
           (d->driver_features & (1ull << VIRTIO_F_VERSION_1));
}

static int write_status(struct virtio_mmio *d, uint32_t value, struct err *err)
{
    uint32_t added = value & ~d->status;

    if (value == 0)
        return reset(d, err);
    if ((d->status & ~value & ~STATUS_NEEDS_RESET) || (added & STATUS_NEEDS_RESET))
        return 0; /* only a reset takes a bit away, only the device asks for one */
    if ((added & STATUS_FEATURES_OK) && !features_ok(d, value)) {
        value &= ~STATUS_FEATURES_OK;
        added &= ~STATUS_FEATURES_OK;
    }
    if ((added & STATUS_DRIVER_OK) && !(value & STATUS_FEATURES_OK))
        return 0;
    if (added & STATUS_DRIVER_OK) {
        if (d->backend->start(d->self, d, err))
            return -1;
        d->started = true;
    }
    set_status(d, value | (d->status & STATUS_NEEDS_RESET));
    return 0;
}

static void write_driver_features(struct virtio_mmio *d, uint32_t value)
{
    unsigned shift = 32 * d->driver_features_sel;

    if ((d->status & STATUS_FEATURES_OK) || d->driver_features_sel > 1)
        return;
    d->driver_features &= ~((uint64_t)UINT32_MAX << shift);
    d->driver_features |= (uint64_t)value << shift;
}

/* Section 2.7: sizes and alignments of the three parts of a ring. */
static bool queue_ok(const struct virtio_mmio *d, const struct virtio_queue *q)
{
    uint64_t n = q->size;

    if (n == 0 || n > VIRTIO_QUEUE_SIZE || (n & (n - 1)))
        return false;
    if (q->desc % 16 || q->avail % 2 || q->used % 4)
        return false;
    return memory_at(d->memory, q->desc, 16 * n) && memory_at(d->memory, q->avail, 6 + 2 * n) &&
           memory_at(d->memory, q->used, 6 + 8 * n);
}

static void write_queue_ready(struct virtio_mmio *d, struct virtio_queue *q, uint32_t value)
{
    if (value != 1 || q->ready)
        return; /* a ring stops by a reset of the device only */
    if (queue_ok(d, q))
        q->ready = true;
    else
        set_status(d, d->status | STATUS_NEEDS_RESET);
    update_selected(d);
}

static void set_low(uint64_t *p, uint32_t value)
{
    *p = (*p & ~(uint64_t)UINT32_MAX) | value;
}

static void set_high(uint64_t *p, uint32_t value)
{
    *p = (*p & UINT32_MAX) | (uint64_t)value << 32;
}

/* Section 4.2.3.2: a ring can be set up after FEATURES_OK, before it is ready and DRIVER_OK. */
static void write_queue(struct virtio_mmio *d, uint64_t off, uint32_t value)
{
    struct virtio_queue *q = d->queue_sel < d->nqueues ? &d->queues[d->queue_sel] : NULL;

    if (!q || q->ready || !(d->status & STATUS_FEATURES_OK) || (d->status & STATUS_DRIVER_OK))
        return;
    switch (off) {
    case VIRTIO_MMIO_QUEUE_NUM:
        q->size = value;
        break;
    case VIRTIO_MMIO_QUEUE_READY:
        write_queue_ready(d, q, value);
        break;
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
        set_low(&q->desc, value);
        break;
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
        set_high(&q->desc, value);
        break;
    case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
        set_low(&q->avail, value);
        break;
    case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
        set_high(&q->avail, value);
        break;
    case VIRTIO_MMIO_QUEUE_USED_LOW:
        set_low(&q->used, value);
        break;
    case VIRTIO_MMIO_QUEUE_USED_HIGH:
        set_high(&q->used, value);
        break;
    default:
        break;
    }
}

static int write_register(struct virtio_mmio *d, uint64_t off, uint32_t value, struct err *err)
{
    switch (off) {
    case VIRTIO_MMIO_STATUS:
        return write_status(d, value & 0xff, err);
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
        d->features_sel = value;
        update_selected(d);
        return 0;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
        d->driver_features_sel = value;
        return 0;
    case VIRTIO_MMIO_DRIVER_FEATURES:
        write_driver_features(d, value);
        return 0;
    case VIRTIO_MMIO_QUEUE_SEL:
        d->queue_sel = value;
        update_selected(d);
        return 0;
    default:
        write_queue(d, off, value);
        return 0;
    }
}

static int write_config(struct virtio_mmio *d, uint64_t off, const void *data, uint32_t len,
                        struct err *err)
{
    uint8_t config[VIRTIO_CONFIG_MAX];

    if (len > 8 || off + len > VIRTIO_CONFIG_MAX || !(d->status & STATUS_FEATURES_OK))
        return 0;
    memcpy(config, d->page + VIRTIO_MMIO_CONFIG, sizeof(config));
    if (d->backend->write_config(d->self, (uint32_t)off, data, len, config, err))
        return -1;
    memcpy(d->page + VIRTIO_MMIO_CONFIG, config, sizeof(config));
    return 0;
}

int virtio_mmio_write(struct virtio_mmio *d, uint64_t off, const void *data, uint32_t len,
                      struct err *err)
{
    uint32_t value;
    int r = 0;

    pthread_mutex_lock(&d->lock);
    if (off >= VIRTIO_MMIO_CONFIG && off < VIRTIO_MMIO_PAGE) {
        r = write_config(d, off - VIRTIO_MMIO_CONFIG, data, len, err);
    } else if (len == sizeof(value) && off % sizeof(value) == 0) {
        memcpy(&value, data, sizeof(value));
        r = write_register(d, off, value, err);
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

void virtio_mmio_read(struct virtio_mmio *d, uint64_t off, void *data, uint32_t len)
{
    memset(data, 0, len);
    pthread_mutex_lock(&d->lock);
    if (off < VIRTIO_MMIO_PAGE && len <= VIRTIO_MMIO_PAGE - off)
        memcpy(data, d->page + off, len);
    pthread_mutex_unlock(&d->lock);
}
