/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock (virtio 1.2, section 5.10): the host's side. The guest opens connections; each is
 * one end of a stream socket pair here, whose other end goes to the supervisor.
 *
 *   vsock.c       the device: queues, packets from the guest
 *   vsock_conn.c  connections: their table, their life, bytes from the guest to the host
 *   vsock_rx.c    packets to the guest: bytes from the host, credit, resets
 *
 * Bytes move straight between guest memory and the socket. Only what the socket does not take at
 * once is kept, bounded by the credit that the guest was given (section 5.10.6.3). Host to guest
 * nothing is kept at all: a socket is read only when the guest has room and a buffer for it.
 */
#ifndef APPC_VMM_DEVICES_VSOCK_H
#define APPC_VMM_DEVICES_VSOCK_H

#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "vmm/devices/device.h"

struct err;
struct vsock;

#define VSOCK_HOST_CID 2

enum vsock_queue {
    VSOCK_RX,
    VSOCK_TX,
    VSOCK_EVENT,
    VSOCK_QUEUES,
};

#define VSOCK_HEADER     sizeof(struct virtio_vsock_hdr) /* 44 bytes */
#define VSOCK_PACKET_MAX 65536                           /* payload, in either direction */

#define VSOCK_CONNS_MAX    4096
#define VSOCK_HANDOVER_MAX 64   /* connections that wait for room in the supervisor's socket */
#define VSOCK_RESETS_MAX   1024 /* answers waiting for the guest before its packets have to wait */

/* Credit given to the guest: the first connections get much, thousands of them little. */
#define VSOCK_CREDIT       (256U << 10)
#define VSOCK_CREDIT_LOW   (16U << 10)
#define VSOCK_CREDIT_CONNS 64

#define VSOCK_SHUT_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

#define VSOCK_BUCKETS 1024

/* Bytes on their way to the host; `cap` bytes are allocated when the first one has to wait. */
struct vsock_ring {
    uint8_t *data;
    uint32_t cap, head, len;
};

/* Packets that a connection owes the guest. */
enum vsock_debt {
    VSOCK_OWES_RESPONSE = 1,
    VSOCK_OWES_CREDIT = 2,         /* CREDIT_UPDATE */
    VSOCK_OWES_CREDIT_REQUEST = 4, /* the guest's credit ran out */
};

struct vsock_conn {
    struct vsock *v;
    struct vsock_conn *next;             /* in its bucket */
    TAILQ_ENTRY(vsock_conn) all_link;    /* in v->all */
    TAILQ_ENTRY(vsock_conn) ready_link;  /* in v->ready while is_ready */
    TAILQ_ENTRY(vsock_conn) linger_link; /* in v->lingering while is_lingering */
    TAILQ_ENTRY(vsock_conn) wait_link;   /* in v->waiting while peer_fd is there */
    uint32_t guest_port, host_port;
    bool in_table; /* the guest can still reach it */
    bool is_ready; /* only while in_table */
    bool is_lingering;

    struct loop_source source; /* our end of the pair; fd -1 when it is closed */
    int peer_fd;               /* the supervisor's end while it waits to be handed over, or -1 */

    /* Guest to host. */
    struct vsock_ring ring;
    uint32_t buf_alloc;    /* what the guest may have in flight */
    uint32_t rx_cnt;       /* bytes that came from the guest */
    uint32_t fwd_cnt;      /* of these, bytes that the host has */
    uint32_t told_fwd_cnt; /* fwd_cnt as the guest knows it */

    /* Host to guest. */
    uint32_t peer_buf_alloc;
    uint32_t peer_fwd_cnt;
    uint32_t tx_cnt;
    bool readable;    /* the socket may have bytes or its end of file */
    bool starved;     /* credit was asked for and has not come */
    unsigned owes;    /* enum vsock_debt */
    uint32_t shut;    /* shutdown flags for the guest ... */
    uint32_t told;    /* ... and those it has been told */
    bool hup;         /* the host's end is closed altogether */
    bool read_ended;  /* no byte of the host is wanted any more */
    bool write_ended; /* no byte goes to the host any more */

    uint32_t guest_shut; /* shutdown flags from the guest */
};

/* Buffers of the guest that one read from a socket fills. */
#define VSOCK_BUFFERS_MAX 16
struct vsock_batch {
    struct {
        uint16_t head;
        struct iovs whole; /* in store */
        size_t room;       /* for payload */
    } buffers[VSOCK_BUFFERS_MAX];
    unsigned n;
    unsigned nstore;
    struct iovs payload; /* in parts */
    struct iovec store[VIRTQ_CHAIN_MAX];
    struct iovec parts[VIRTQ_CHAIN_MAX];
};

struct vsock_reset {
    uint32_t guest_port, host_port;
};

struct vsock {
    struct device dev;
    struct virtio_vsock_config config;
    uint64_t guest_cid;
    struct loop_source supervisor; /* where connections are handed over; fd -1 when it is closed */
    unsigned conns_max, nconns, nwaiting;
    uint32_t hash_key;
    struct vsock_conn *buckets[VSOCK_BUCKETS];
    TAILQ_HEAD(vsock_list, vsock_conn) all;
    struct vsock_list ready;     /* have something for the guest */
    struct vsock_list lingering; /* closed by the host; wait for the guest to agree */
    struct vsock_list waiting;   /* for room in the supervisor's socket */

    /*
     * Resets for the guest. The tx queue stops at VSOCK_RESETS_MAX, which its last packet may
     * exceed by one; from then on each connection may add one.
     */
    struct vsock_reset resets[VSOCK_RESETS_MAX + VSOCK_CONNS_MAX + 1];
    unsigned resets_head, resets_len;
    bool tx_waits; /* for room in resets */

    struct virtq_chain chain; /* the packet in hand */
    struct vsock_batch batch;
};

/* vsock.c */

/*
 * connect_fd (the caller's; -1 refuses all connections) is a connected SOCK_SEQPACKET socket to the
 * supervisor. At most conns_max connections at a time.
 */
int vsock_init(struct vsock *v, uint64_t guest_cid, int connect_fd, unsigned conns_max,
               struct err *err);
void vsock_free(struct vsock *v);

/* vsock_conn.c */

struct vsock_conn *vsock_conn_find(struct vsock *v, uint32_t guest_port, uint32_t host_port);

/* A new connection, asked for by the packet *h; NULL when it has to be refused. */
struct vsock_conn *vsock_conn_open(struct vsock *v, const struct virtio_vsock_hdr *h);

/* Takes over the guest's credit from a packet's header (section 5.10.6.3). */
void vsock_conn_credit(struct vsock_conn *c, const struct virtio_vsock_hdr *h);

/* Bytes from the guest. -1 when the guest exceeds its credit or sends after it shut down. */
int vsock_conn_data(struct vsock_conn *c, struct iovs data);

/* The guest has shut down (flags) or reset the connection. May free it. */
void vsock_conn_shutdown(struct vsock_conn *c, uint32_t flags);
void vsock_conn_reset_by_guest(struct vsock_conn *c);

/* Ends the connection at once and tells the guest so. */
void vsock_conn_kill(struct vsock_conn *c);

/* Frees without a word to anybody. */
void vsock_conn_free(struct vsock_conn *c);

/* Does what the connection's state asks for: shut down, linger, end. May free it. */
void vsock_conn_settle(struct vsock_conn *c);

/* Hands waiting connections over, or refuses them when the supervisor has gone. */
int vsock_handover_all(void *data, uint32_t events, struct err *err);

/* vsock_rx.c */

/* How much the guest has room for. */
uint32_t vsock_conn_room(const struct vsock_conn *c);

/* Queues a reset for ports that are no connection (any more). */
void vsock_reset(struct vsock *v, uint32_t guest_port, uint32_t host_port);

/* Puts the connection on the list of those with something for the guest, if it has. */
void vsock_ready(struct vsock_conn *c);

/* Sends what there is to send and what there are buffers for; -1: the rx ring is malformed. */
int vsock_pump(struct vsock *v, struct err *err);

#endif
