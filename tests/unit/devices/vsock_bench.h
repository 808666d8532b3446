/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's driver of virtio-vsock and the supervisor, as far as the tests need them. */
#ifndef APPC_TESTS_DEVICES_VSOCK_BENCH_H
#define APPC_TESTS_DEVICES_VSOCK_BENCH_H

#include "front.h"
#include "vmm/devices/vsock.h"

#define HDR      sizeof(struct virtio_vsock_hdr)
#define RX_BASE  (FRONT_GPA2 + 0x100000) /* the guest's receive buffers */
#define RX_SIZE  4096
#define RX_COUNT 64
#define TX_BASE  (FRONT_GPA2 + 0x800000)
#define TX_SLOT  (HDR + 65536 + 84) /* header and a whole packet */
#define TX_COUNT 32
#define PORT     1024
#define ROOM     262144

struct bench {
    struct vsock *v;
    struct front f;
    int supervisor;
    unsigned rx_used, tx_used, tx_done;
    struct virtio_vsock_hdr h; /* the last packet from the device ... */
    uint8_t data[RX_SIZE];     /* ... and its payload */
};

/* A device with at most conns_max connections; `rx`: with receive buffers in its queue. */
struct bench *bench_new(unsigned conns_max, bool rx);
void bench_free(struct bench *t);

/* The device must be well to the end. */
void bench_end(struct bench *t);

void post_all_rx(struct bench *t);

/* Packets of the guest. The payload is a second buffer. */
struct virtio_vsock_hdr packet(uint32_t port, enum virtio_vsock_op op);
void send_packet(struct bench *t, const struct virtio_vsock_hdr *h, const void *data, uint32_t len);
void send_op(struct bench *t, uint32_t port, enum virtio_vsock_op op);
void send_shutdown(struct bench *t, uint32_t port, uint32_t flags);
void send_data(struct bench *t, uint32_t port, const void *data, uint32_t len);

/* The next packet from the device, in t->h and t->data; its buffer is posted again. */
void receive(struct bench *t);
void expect(struct bench *t, uint32_t port, enum virtio_vsock_op op);
void expect_shutdown(struct bench *t, uint32_t port, uint32_t flags);

/* The supervisor's side: takes the next connection over. */
int take_over(struct bench *t, uint32_t guest_port);

/* Connects and takes over. */
int connect_guest(struct bench *t, uint32_t port);

#endif
