/* SPDX-License-Identifier: Apache-2.0 */
/* vhost-user messages as they stand on the socket, and their bounded exchange. */
#ifndef APPC_VMM_VHOST_USER_MSG_H
#define APPC_VMM_VHOST_USER_MSG_H

#include <stddef.h>
#include <stdint.h>

struct err;

enum vhost_request {
    VHOST_GET_FEATURES = 1,
    VHOST_SET_FEATURES = 2,
    VHOST_SET_OWNER = 3,
    VHOST_SET_MEM_TABLE = 5,
    VHOST_SET_VRING_NUM = 8,
    VHOST_SET_VRING_ADDR = 9,
    VHOST_SET_VRING_BASE = 10,
    VHOST_GET_VRING_BASE = 11,
    VHOST_SET_VRING_KICK = 12,
    VHOST_SET_VRING_CALL = 13,
    VHOST_GET_PROTOCOL_FEATURES = 15,
    VHOST_SET_PROTOCOL_FEATURES = 16,
    VHOST_GET_QUEUE_NUM = 17,
    VHOST_SET_VRING_ENABLE = 18,
    VHOST_GET_CONFIG = 24,
    VHOST_SET_CONFIG = 25
};

#define VHOST_VERSION    0x1u
#define VHOST_REPLY      0x4u
#define VHOST_NEED_REPLY 0x8u

#define VHOST_F_PROTOCOL_FEATURES 30
#define VHOST_PROTOCOL_MQ         0
#define VHOST_PROTOCOL_REPLY_ACK  3
#define VHOST_PROTOCOL_CONFIG     9

/* Large enough for every message that either side of ours sends. */
#define VHOST_PAYLOAD_MAX 512
#define VHOST_REGIONS_MAX 8

struct vhost_header {
    uint32_t request;
    uint32_t flags;
    uint32_t size;
};

struct vhost_vring_state {
    uint32_t index;
    uint32_t num;
};

struct vhost_vring_addr {
    uint32_t index;
    uint32_t flags;
    uint64_t desc, used, avail, log;
};

struct vhost_region {
    uint64_t gpa;
    uint64_t size;
    uint64_t user_addr;
    uint64_t offset;
};

struct vhost_mem_table {
    uint32_t nregions;
    uint32_t padding;
    struct vhost_region regions[VHOST_REGIONS_MAX];
};

#define VHOST_CONFIG_MAX 256
struct vhost_config {
    uint32_t offset;
    uint32_t size;
    uint32_t flags;
    uint8_t data[VHOST_CONFIG_MAX];
};

/*
 * Sends one message with up to nfds (at most VHOST_REGIONS_MAX) descriptors. Waits for room in the
 * socket until timeout_ms is over. -1 when the peer hung up or does not read.
 */
int vhost_send(int sock, uint32_t request, uint32_t flags, const void *payload, size_t len,
               const int *fds, size_t nfds, int timeout_ms, struct err *err);

/*
 * Receives the reply to `request`: at most `cap` bytes into payload, their number into *ret_len. A
 * reply to another request, a longer one, a hang-up and silence until
 * timeout_ms is over are errors. Descriptors in it are discarded.
 */
int vhost_recv_reply(int sock, uint32_t request, void *payload, size_t cap, size_t *ret_len,
                     int timeout_ms, struct err *err);

#endif
