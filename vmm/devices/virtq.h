/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue (virtio 1.2, section 2.7), with EVENT_IDX and indirect
 * descriptors. The other side may be hostile: every index, address and length is checked, each
 * descriptor is copied once, and a chain ends after a bounded number of steps.
 */
#ifndef APPC_VMM_DEVICES_VIRTQ_H
#define APPC_VMM_DEVICES_VIRTQ_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/iov.h"

struct err;
struct mem;

/* The largest ring, and the longest chain with an indirect table (IOV_MAX, so one call takes it).
 */
#define VIRTQ_NUM_MAX   1024
#define VIRTQ_CHAIN_MAX 1024

/* Where the front end says the three areas are, in its own address space. */
struct virtq_addr {
    uint64_t desc;
    uint64_t avail;
    uint64_t used;
};

struct virtq {
    unsigned index; /* for messages */
    unsigned num;   /* entries, a power of two */
    struct virtq_addr addr;
    const struct mem *mem;
    bool running; /* between virtq_start() and virtq_stop(): the pointers are valid */
    bool event_idx;
    bool indirect;
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    uint16_t last_avail; /* the next entry of the available ring to take */
    uint16_t used_idx;   /* the next entry of the used ring to fill */
    uint16_t shown_idx;  /* used_idx as the driver sees it */
    uint16_t signalled;  /* used_idx at the last decision about an interrupt */
    bool signalled_valid;
    int call_fd; /* eventfd that interrupts the driver, or -1 */
};

/* A request: buffers of the driver in order. Some 16 KiB, so keep one and reuse it. */
struct virtq_chain {
    uint16_t head;
    struct iovs readable; /* what the device may read */
    struct iovs writable; /* what the device may write */
    struct iovec iov[VIRTQ_CHAIN_MAX];
};

/*
 * Checks size and addresses and starts at last_avail; q->num, addr, mem and last_avail are set.
 * Features are the negotiated ones. 0, or -1 when the ring is not wholly in guest memory.
 */
int virtq_start(struct virtq *q, uint64_t features, struct err *err);

/* Looks the addresses up again after the memory table has changed. */
int virtq_remap(struct virtq *q, struct err *err);

/* Nothing of the ring is touched afterwards. */
void virtq_stop(struct virtq *q);

/* Takes the next request: 1, or 0 when there is none, or -1 when the ring is malformed. */
int virtq_pop(struct virtq *q, struct virtq_chain *ret, struct err *err);

/* Gives the last `n` requests taken back, as if they had not been. */
void virtq_unpop(struct virtq *q, unsigned n);

/* Answers a request; the driver sees it after virtq_flush(). `written` bytes were written. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t written);

/* Shows the answers to the driver and interrupts it if it wants that (section 2.7.7). */
void virtq_flush(struct virtq *q);

/* Asks the driver not to kick while the device is looking anyway. */
void virtq_kicks_off(struct virtq *q);

/* Asks for kicks again; true when requests have come meanwhile, which will not be announced. */
bool virtq_kicks_on(struct virtq *q);

#endif
