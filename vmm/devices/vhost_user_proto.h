/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the vhost-user protocol, as far as the back ends speak it. Host byte order. */
#ifndef APPC_VMM_DEVICES_VHOST_USER_PROTO_H
#define APPC_VMM_DEVICES_VHOST_USER_PROTO_H

#include <stddef.h>
#include <stdint.h>

enum vu_request {
    VU_GET_FEATURES = 1,
    VU_SET_FEATURES = 2,
    VU_SET_OWNER = 3,
    VU_RESET_OWNER = 4,
    VU_SET_MEM_TABLE = 5,
    VU_SET_VRING_NUM = 8,
    VU_SET_VRING_ADDR = 9,
    VU_SET_VRING_BASE = 10,
    VU_GET_VRING_BASE = 11,
    VU_SET_VRING_KICK = 12,
    VU_SET_VRING_CALL = 13,
    VU_SET_VRING_ERR = 14,
    VU_GET_PROTOCOL_FEATURES = 15,
    VU_SET_PROTOCOL_FEATURES = 16,
    VU_GET_QUEUE_NUM = 17,
    VU_SET_VRING_ENABLE = 18,
    VU_GET_CONFIG = 24,
    VU_SET_CONFIG = 25,
    VU_RESET_DEVICE = 34,
    VU_GET_MAX_MEM_SLOTS = 36,
    VU_ADD_MEM_REG = 37,
    VU_REM_MEM_REG = 38,
    VU_REQUESTS = 39,
};

#define VU_VERSION      1U
#define VU_VERSION_MASK 3U
#define VU_REPLY        4U
#define VU_NEED_REPLY   8U

/* Bit of the virtio feature word that says that there are protocol features. */
#define VU_F_PROTOCOL_FEATURES 30

enum vu_protocol_feature {
    VU_PF_MQ = 0,
    VU_PF_REPLY_ACK = 3,
    VU_PF_CONFIG = 9,
    VU_PF_RESET_DEVICE = 13,
    VU_PF_CONFIGURE_MEM_SLOTS = 15,
};

/* The file descriptor messages carry the queue here, and a bit for "no descriptor". */
#define VU_VRING_IDX_MASK 0xffU
#define VU_VRING_NOFD     0x100U

#define VU_MEM_TABLE_MAX 8

struct vu_header {
    uint32_t request;
    uint32_t flags;
    uint32_t size; /* of the payload */
};

struct vu_vring_state {
    uint32_t index;
    uint32_t num;
};

struct vu_vring_addr {
    uint32_t index;
    uint32_t flags;
    uint64_t desc;
    uint64_t used;
    uint64_t avail;
    uint64_t log;
};

struct vu_region {
    uint64_t gpa;
    uint64_t size;
    uint64_t uaddr;
    uint64_t offset;
};

struct vu_mem_table {
    uint32_t n;
    uint32_t padding;
    struct vu_region regions[VU_MEM_TABLE_MAX];
};

struct vu_mem_reg {
    uint64_t padding;
    struct vu_region region;
};

#define VU_CONFIG_HEADER 12
#define VU_CONFIG_MAX    256
struct vu_config {
    uint32_t offset;
    uint32_t size;
    uint32_t flags;
    uint8_t bytes[VU_CONFIG_MAX];
};

/* Header and payload are adjacent on the wire; the field in front aligns both. */
struct vu_message {
    uint32_t align;
    struct vu_header header;
    union {
        uint64_t u64;
        struct vu_vring_state state;
        struct vu_vring_addr addr;
        struct vu_mem_table table;
        struct vu_mem_reg reg;
        struct vu_config config;
    } payload;
};
_Static_assert(offsetof(struct vu_message, payload) ==
                   offsetof(struct vu_message, header) + sizeof(struct vu_header),
               "the payload follows the header");

#endif
