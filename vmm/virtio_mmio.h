/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic virtio-mmio (version 2) front end: registers and the device
 * status machine of any device, which stands behind a table of operations.
 *
 * What the guest reads is a page that is kept up to date after every write.
 * The page may be mapped into the guest read-only, so that reads never leave
 * it: all registers but the few that depend on a selector are constant, and
 * a selector is a write. InterruptStatus always reports a used buffer; that
 * makes a driver look at its rings, which it may do at any time. So neither a device's
 * interrupt nor its acknowledgement needs the VMM.
 *
 * Virtual I/O Device (VIRTIO) 1.2, sections 2.1 (status), 2.7 (split rings),
 * 3.1.1 (initialization), 4.2.2 (registers).
 */
#ifndef APPC_VMM_VIRTIO_MMIO_H
#define APPC_VMM_VIRTIO_MMIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/options.h"

struct err;
struct guest_memory;
struct virtio_mmio;

#define VIRTIO_MMIO_PAGE  0x1000u
#define VIRTIO_CONFIG_MAX 256u
#define VIRTIO_QUEUE_SIZE 256u /* largest ring that is offered */

/* Registers that KVM signals on an eventfd, without the VMM. */
#define VIRTIO_MMIO_QUEUE_NOTIFY  0x050u
#define VIRTIO_MMIO_INTERRUPT_ACK 0x064u

/* A ring as the driver set it; checked when `ready` becomes true. */
struct virtio_queue {
    uint32_t size;
    uint64_t desc, avail, used; /* guest-physical */
    bool ready;
};

/* What stands behind the registers. An error of any operation ends the machine. */
struct virtio_backend {
    /* DRIVER_OK: d->driver_features and the ready queues are final. */
    int (*start)(void *self, const struct virtio_mmio *d, struct err *err);
    /* Reset after start: must not touch the rings any more when it returns. */
    int (*stop)(void *self, const struct virtio_mmio *d, struct err *err);
    /* The driver wrote len (1, 2, 4 or 8) bytes of configuration at off; updates `config`. */
    int (*write_config)(void *self, uint32_t off, const void *data, uint32_t len,
                        uint8_t config[VIRTIO_CONFIG_MAX], struct err *err);
};

struct virtio_mmio {
    pthread_mutex_t lock; /* vCPUs write at the same time */
    const struct guest_memory *memory;
    const struct virtio_backend *backend;
    void *self;
    uint8_t *page; /* VIRTIO_MMIO_PAGE bytes that the guest reads */
    uint64_t features;
    uint64_t driver_features;
    uint32_t status;
    uint32_t features_sel, driver_features_sel, queue_sel;
    struct virtio_queue queues[VMM_QUEUES_MAX];
    unsigned nqueues;
    bool started;
};

/*
 * Fills the page for a device `id` that offers `features` (those that the
 * rings of this transport can't carry are left out) and has `nqueues`
 * rings. `page`, `memory` and `self` stay with the caller. virtio_mmio_done() releases the lock.
 */
void virtio_mmio_init(struct virtio_mmio *d, uint32_t id, unsigned nqueues, uint64_t features,
                      const uint8_t config[VIRTIO_CONFIG_MAX], uint8_t *page,
                      const struct guest_memory *memory, const struct virtio_backend *backend,
                      void *self);
void virtio_mmio_done(struct virtio_mmio *d);

/*
 * The guest wrote `len` bytes at `off` of the page. What the specification
 * doesn't allow is ignored, as nobody else is harmed by it. -1 only when the
 * back end failed.
 */
int virtio_mmio_write(struct virtio_mmio *d, uint64_t off, const void *data, uint32_t len,
                      struct err *err);

/* A read that did leave the guest, on hosts without read-only slots: bytes of the page. */
void virtio_mmio_read(struct virtio_mmio *d, uint64_t off, void *data, uint32_t len);

#endif
