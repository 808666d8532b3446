/* SPDX-License-Identifier: Apache-2.0 */
/* The vhost-user back end fed with messages: valid ones, damaged ones, and raw bytes at the end. */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "input.h"
#include "vmm/devices/rng.h"
#include "vmm/devices/vhost_user.h"

static int memfd, event;

/* A payload that fits the request, before damage; returns its length. */
static uint32_t fill(struct input *in, struct vu_message *m, size_t *ret_nfds)
{
    uint64_t base = GUEST_UADDR + input_u8(in) % 3 * 0x1000ULL;
    *ret_nfds = 0;
    switch (m->header.request) {
    case VU_SET_FEATURES:
        m->payload.u64 = 1ULL << 32 | (uint64_t)(input_u8(in) & 7) << 28;
        return 8;
    case VU_SET_PROTOCOL_FEATURES:
        m->payload.u64 = 1ULL << VU_PF_REPLY_ACK;
        return 8;
    case VU_SET_MEM_TABLE:
        m->payload.table.n = 1;
        m->payload.table.regions[0] = (struct vu_region){GUEST_GPA, 65536, GUEST_UADDR, 0};
        *ret_nfds = 1;
        return 40;
    case VU_ADD_MEM_REG:
    case VU_REM_MEM_REG:
        m->payload.reg.region = (struct vu_region){GUEST_GPA + 65536 * (input_u8(in) % 3), 65536,
                                                   GUEST_UADDR + 65536 * (input_u8(in) % 3), 0};
        *ret_nfds = m->header.request == VU_ADD_MEM_REG;
        return 40;
    case VU_SET_VRING_NUM:
        m->payload.state = (struct vu_vring_state){0, 1U << input_u8(in) % 12};
        return 8;
    case VU_SET_VRING_BASE:
    case VU_GET_VRING_BASE:
    case VU_SET_VRING_ENABLE:
        m->payload.state = (struct vu_vring_state){0, input_u8(in) & 1};
        return 8;
    case VU_SET_VRING_ADDR:
        m->payload.addr =
            (struct vu_vring_addr){.desc = base, .avail = base + 0x1000, .used = base + 0x2000};
        return 40;
    case VU_SET_VRING_KICK:
    case VU_SET_VRING_CALL:
    case VU_SET_VRING_ERR:
        *ret_nfds = 1;
        return 8;
    case VU_GET_CONFIG:
    case VU_SET_CONFIG:
        m->payload.config = (struct vu_config){.offset = input_u8(in), .size = input_u8(in) % 16};
        return VU_CONFIG_HEADER + m->payload.config.size;
    default:
        return 0;
    }
}

static void send_message(struct input *in, int sock)
{
    static const uint8_t requests[] = {1,  2,  3,  4,  5,  8,  9,  10, 11, 12, 13,
                                       14, 15, 16, 17, 18, 24, 25, 34, 36, 37, 38};
    struct vu_message m = {0};
    int fds[FDPASS_MAX];
    size_t nfds;
    m.header.request = requests[input_u8(in) % sizeof(requests)];
    m.header.flags = VU_VERSION | (input_u8(in) & VU_NEED_REPLY);
    m.header.size = fill(in, &m, &nfds);
    uint32_t len = (uint32_t)sizeof(m.header) + m.header.size;
    int fd =
        m.header.request == VU_SET_MEM_TABLE || m.header.request == VU_ADD_MEM_REG ? memfd : event;
    if (input_rarely(in))
        ((uint8_t *)&m.header)[input_u8(in) % len] = input_u8(in);
    if (input_rarely(in))
        nfds = input_u8(in) % (FDPASS_MAX + 1);
    if (input_rarely(in))
        fd = input_u8(in) & 1 ? memfd : event;
    for (size_t i = 0; i < nfds; i++)
        fds[i] = fd;
    MUST(!send_fds(sock, &m.header, len, fds, nfds));
}

static void drop_replies(int sock)
{
    char tmp[4096];
    while (recv(sock, tmp, sizeof(tmp), MSG_DONTWAIT) > 0)
        ;
}

static void run(struct input *in, struct rng *rng, struct vhost_user *vu, int sock)
{
    struct err err;
    while (in->left) {
        if (input_u8(in) == 255) {
            /* The rest as it is; then the end, so that nothing waits. */
            MUST(!write_all(sock, in->p, in->left < 4096 ? in->left : 4096));
            in->left = 0;
            shutdown(sock, SHUT_WR);
            while (!vu->closed && !vhost_user_receive(vu, &err))
                drop_replies(sock);
            return;
        }
        send_message(in, sock);
        /* A message that claims to be longer than it is waits for the rest, so there is an end. */
        if (input_rarely(in))
            shutdown(sock, SHUT_WR);
        rng->dev.again |= 1;
        if (device_turn(&rng->dev, &err) || vu->closed)
            return;
        drop_replies(sock);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct rng rng = {0};
    struct vhost_user vu;
    int sv[2];
    if (!memfd) {
        memfd = memfd_create("guest", MFD_CLOEXEC);
        event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        MUST(!ftruncate(memfd, 65536));
    }
    struct timeval soon = {.tv_usec = 20000};
    MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
    /* A message whose size was damaged would wait for ever. */
    MUST(!setsockopt(sv[1], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)));
    MUST(!rng_init(&rng, NULL) && !vhost_user_init(&vu, &rng.dev, sv[1], NULL));
    run(&in, &rng, &vu, sv[0]);
    vhost_user_free(&vu);
    rng_free(&rng);
    close(sv[0]);
    close(sv[1]);
    return 0;
}
