/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small vhost-user front end for the tests: guest memory in a memfd, rings built by hand, the
 * device in a thread of the test or in a process of its own.
 */
#ifndef APPC_TESTS_DEVICES_FRONT_H
#define APPC_TESTS_DEVICES_FRONT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <sys/types.h>

#include "base/err.h"
#include "vmm/devices/device.h"
#include "vmm/devices/vhost_user_proto.h"

#define FRONT_MEM    (32U << 20)
#define FRONT_GPA    0x100000ULL       /* of the first half of the memory ... */
#define FRONT_GPA2   0x40000000ULL     /* ... and of the second */
#define FRONT_UADDR  0x7f1200000000ULL /* addresses that mean nothing to the device */
#define FRONT_HALF   (FRONT_MEM / 2)
#define FRONT_QUEUES 3
#define FRONT_NUM    256
#define FRONT_DATA   0x200000ULL /* offset from FRONT_GPA that no ring reaches */

#define FRONT_BASE_FEATURES (1ULL << 32 | 1ULL << VU_F_PROTOCOL_FEATURES)
#define FRONT_EVENT_IDX     (1ULL << 29)
#define FRONT_INDIRECT      (1ULL << 28)

struct front_queue {
    unsigned num;
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    uint64_t gpa; /* of the descriptor table */
    int kick, call;
    uint16_t next_desc, avail_idx, last_used;
};

struct front {
    int sock;
    int memfd;
    uint8_t *mem;
    struct front_queue q[FRONT_QUEUES];
    unsigned nqueues;

    /* The device: a thread ... */
    struct device *dev;
    pthread_t thread;
    int result;
    struct err err;
    /* ... or a process. */
    pid_t pid;
};

/* A buffer of a chain. */
struct front_buf {
    uint64_t gpa;
    uint32_t len;
    bool write;
};

/* Makes memory and starts the device. The device must outlive front_end(). */
void front_start(struct front *f, struct device *dev);

/* The same with a program: argv[0] is its path; --socket-fd is added. It inherits all descriptors.
 */
void front_spawn(struct front *f, const char *const argv[]);

/* Closes the socket and waits: the result of vhost_user_serve() (f->err), or the wait status. */
int front_end(struct front *f);

/* Waits for a device that ends by itself. */
int front_wait_end(struct front *f);

/* Messages: send one; send one and read the reply; check that the device has worked all off. */
void front_send(struct front *f, uint32_t request, uint32_t flags, const void *payload, size_t size,
                const int *fds, size_t nfds);
void front_reply(struct front *f, uint32_t request, void *payload, size_t size);
uint64_t front_get_u64(struct front *f, uint32_t request);
void front_set_u64(struct front *f, uint32_t request, uint64_t v);
void front_state(struct front *f, uint32_t request, uint32_t index, uint32_t num);
void front_sync(struct front *f);

/* Features (FRONT_BASE_FEATURES are added) and memory; then queues 0 .. n-1 of FRONT_NUM entries.
 */
void front_negotiate(struct front *f, uint64_t features);
void front_mem_table(struct front *f);
void front_queues(struct front *f, unsigned n);
void front_queue_start(struct front *f, unsigned i);

/* Where the test has the guest's address. */
void *front_at(struct front *f, uint64_t gpa);

/* Lays a chain into the ring; the driver's index moves with front_publish(). Returns the head. */
uint16_t front_add(struct front *f, unsigned q, const struct front_buf *bufs, size_t n);
void front_publish(struct front *f, unsigned q);
void front_kick(struct front *f, unsigned q);

/* Waits for the next used entry, of which *ret_len are the bytes written; returns its head. */
uint16_t front_used(struct front *f, unsigned q, uint32_t *ret_len);
bool front_has_used(const struct front *f, unsigned q);

/* Interrupts since the last call. */
uint64_t front_interrupts(struct front *f, unsigned q);

#endif
