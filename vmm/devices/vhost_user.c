/* SPDX-License-Identifier: Apache-2.0 */
/* The vhost-user back end: reading, checking and answering messages. */
#include "vmm/devices/vhost_user.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "vmm/devices/vhost_user_queue.h"

/* What each message must look like. A request that is not here is refused. */
enum vu_answer {
    ANSWER_NONE, /* only an acknowledgement when one is asked for */
    ANSWER_SAME, /* a reply of the message's own kind */
};

struct vu_call {
    struct vhost_user *vu;
    struct vu_message *m;
    int *fds; /* a handler that keeps one sets it to -1 */
    size_t nfds;
    struct err *err;
};

static uint64_t features_offered(const struct vhost_user *vu)
{
    return vu->dev->offered | 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX |
           1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VU_F_PROTOCOL_FEATURES;
}

static uint64_t protocol_offered(const struct vhost_user *vu)
{
    uint64_t f = 1ULL << VU_PF_MQ | 1ULL << VU_PF_REPLY_ACK | 1ULL << VU_PF_RESET_DEVICE |
                 1ULL << VU_PF_CONFIGURE_MEM_SLOTS;
    if (vu->dev->config_len)
        f |= 1ULL << VU_PF_CONFIG;
    return f;
}

static bool has_protocol(const struct vhost_user *vu, enum vu_protocol_feature bit)
{
    return vu->protocol_features >> bit & 1;
}

static int reply_u64(struct vu_call *c, uint64_t v)
{
    c->m->payload.u64 = v;
    c->m->header.size = sizeof(v);
    return 0;
}

static int on_get_features(struct vu_call *c)
{
    return reply_u64(c, features_offered(c->vu));
}

static int on_set_features(struct vu_call *c)
{
    uint64_t f = c->m->payload.u64;
    if (f & ~features_offered(c->vu))
        return err_set(c->err, 0, "features 0x%llx were not offered",
                       (unsigned long long)(f & ~features_offered(c->vu)));
    return vu_set_features(c->vu, f, c->err);
}

static int on_nothing(struct vu_call *c)
{
    (void)c;
    return 0;
}

static int on_reset(struct vu_call *c)
{
    vu_queues_reset(c->vu);
    c->vu->dev->features = 0;
    return 0;
}

static int add_region(struct vu_call *c, const struct vu_region *r, int fd)
{
    const struct mem_desc d = {r->gpa, r->size, r->uaddr, r->offset};
    return mem_add(&c->vu->dev->mem, &d, fd, c->err);
}

static int on_set_mem_table(struct vu_call *c)
{
    const struct vu_mem_table *t = &c->m->payload.table;
    size_t head = offsetof(struct vu_mem_table, regions);
    if (c->m->header.size < head || t->n > VU_MEM_TABLE_MAX ||
        c->m->header.size != head + t->n * sizeof(t->regions[0]) || c->nfds != t->n)
        return err_set(c->err, 0, "a memory table of %u bytes with %zu descriptors is malformed",
                       c->m->header.size, c->nfds);
    mem_clear(&c->vu->dev->mem);
    for (uint32_t i = 0; i < t->n; i++) {
        if (add_region(c, &t->regions[i], c->fds[i]))
            return -1;
    }
    return vu_queues_remap(c->vu, c->err);
}

static int on_add_mem_reg(struct vu_call *c)
{
    if (c->nfds != 1)
        return err_set(c->err, 0, "a memory region with %zu descriptors", c->nfds);
    return add_region(c, &c->m->payload.reg.region, c->fds[0]);
}

static int on_rem_mem_reg(struct vu_call *c)
{
    const struct vu_region *r = &c->m->payload.reg.region;
    const struct mem_desc d = {r->gpa, r->size, r->uaddr, r->offset};
    if (mem_remove(&c->vu->dev->mem, &d, c->err))
        return -1;
    return vu_queues_remap(c->vu, c->err);
}

static int on_get_max_mem_slots(struct vu_call *c)
{
    return reply_u64(c, MEM_REGIONS_MAX);
}

static int on_set_vring_num(struct vu_call *c)
{
    const struct vu_vring_state *s = &c->m->payload.state;
    return vu_queue_set_num(c->vu, s->index, s->num, c->err);
}

static int on_set_vring_base(struct vu_call *c)
{
    const struct vu_vring_state *s = &c->m->payload.state;
    return vu_queue_set_base(c->vu, s->index, s->num, c->err);
}

static int on_set_vring_addr(struct vu_call *c)
{
    const struct vu_vring_addr *a = &c->m->payload.addr;
    const struct virtq_addr addr = {a->desc, a->avail, a->used};
    return vu_queue_set_addr(c->vu, a->index, &addr, c->err);
}

static int on_get_vring_base(struct vu_call *c)
{
    struct vu_vring_state *s = &c->m->payload.state;
    uint16_t base;
    if (vu_queue_stop(c->vu, s->index, &base, c->err))
        return -1;
    s->num = base;
    return 0;
}

static int on_set_vring_enable(struct vu_call *c)
{
    const struct vu_vring_state *s = &c->m->payload.state;
    if (s->num > 1)
        return err_set(c->err, 0, "queue %u: %u is neither on nor off", s->index, s->num);
    return vu_queue_enable(c->vu, s->index, s->num, c->err);
}

/* The three messages that carry a queue's descriptor: *ret_fd is it, or -1 for "none". */
static int vring_fd(struct vu_call *c, unsigned *ret_index, int *ret_fd)
{
    uint64_t v = c->m->payload.u64;
    bool none = v & VU_VRING_NOFD;
    if (v & ~(uint64_t)(VU_VRING_IDX_MASK | VU_VRING_NOFD) || c->nfds != !none)
        return err_set(c->err, 0, "message %u with %zu descriptors is malformed",
                       c->m->header.request, c->nfds);
    *ret_index = v & VU_VRING_IDX_MASK;
    *ret_fd = none ? -1 : take_fd(c->fds[0]);
    return 0;
}

static int on_set_vring_kick(struct vu_call *c)
{
    unsigned i;
    cleanup_close int fd = -1;
    if (vring_fd(c, &i, &fd))
        return -1;
    return vu_queue_set_kick(c->vu, i, take_fd(fd), c->err);
}

static int on_set_vring_call(struct vu_call *c)
{
    unsigned i;
    cleanup_close int fd = -1;
    if (vring_fd(c, &i, &fd))
        return -1;
    return vu_queue_set_call(c->vu, i, take_fd(fd), c->err);
}

/* Errors end the device, so its descriptor for errors is never written to. */
static int on_set_vring_err(struct vu_call *c)
{
    unsigned i;
    cleanup_close int fd = -1;
    if (vring_fd(c, &i, &fd))
        return -1;
    return vu_queue_check(c->vu, i, c->err);
}

static int on_get_protocol_features(struct vu_call *c)
{
    return reply_u64(c, protocol_offered(c->vu));
}

static int on_set_protocol_features(struct vu_call *c)
{
    uint64_t f = c->m->payload.u64;
    if (f & ~protocol_offered(c->vu))
        return err_set(c->err, 0, "protocol features 0x%llx were not offered",
                       (unsigned long long)(f & ~protocol_offered(c->vu)));
    c->vu->protocol_features = f;
    return 0;
}

static int on_get_queue_num(struct vu_call *c)
{
    return reply_u64(c, c->vu->dev->nqueues);
}

static int check_config(struct vu_call *c)
{
    const struct vu_config *g = &c->m->payload.config;
    uint32_t size = c->m->header.size;
    if (size < VU_CONFIG_HEADER || g->size != size - VU_CONFIG_HEADER || g->size > VU_CONFIG_MAX ||
        g->offset > VU_CONFIG_MAX - g->size)
        return err_set(c->err, 0, "a configuration message of %u bytes is malformed", size);
    return 0;
}

static int on_get_config(struct vu_call *c)
{
    if (check_config(c))
        return -1;
    const struct device *d = c->vu->dev;
    uint8_t space[DEVICE_CONFIG_MAX] = {0};
    if (d->config_len)
        memcpy(space, d->config, d->config_len);
    struct vu_config *g = &c->m->payload.config;
    memcpy(g->bytes, space + g->offset, g->size);
    return 0;
}

/* Returns 1 when the device refuses: the driver wrote where nothing can be written. */
static int on_set_config(struct vu_call *c)
{
    if (check_config(c))
        return -1;
    struct device *d = c->vu->dev;
    const struct vu_config *g = &c->m->payload.config;
    if (!d->ops->set_config || g->offset + g->size > d->config_len)
        return 1;
    return d->ops->set_config(d, g->offset, g->bytes, g->size) ? 1 : 0;
}

#define U64       sizeof(uint64_t), sizeof(uint64_t)
#define STATE     sizeof(struct vu_vring_state), sizeof(struct vu_vring_state)
#define ADDR      sizeof(struct vu_vring_addr), sizeof(struct vu_vring_addr)
#define MEM_REG   sizeof(struct vu_mem_reg), sizeof(struct vu_mem_reg)
#define MEM_TABLE offsetof(struct vu_mem_table, regions), sizeof(struct vu_mem_table)
#define CONFIG    VU_CONFIG_HEADER, sizeof(struct vu_config)

static const struct vu_rule {
    int (*handle)(struct vu_call *c); /* 0, 1 "refused", or -1 malformed */
    uint32_t size_min;
    uint32_t size_max;
    uint32_t fds_max;
    enum vu_answer answer;
} rules[VU_REQUESTS] = {
    [VU_GET_FEATURES] = {on_get_features, 0, 0, 0, ANSWER_SAME},
    [VU_SET_FEATURES] = {on_set_features, U64, 0, ANSWER_NONE},
    [VU_SET_OWNER] = {on_nothing, 0, 0, 0, ANSWER_NONE},
    [VU_RESET_OWNER] = {on_nothing, 0, 0, 0, ANSWER_NONE},
    [VU_SET_MEM_TABLE] = {on_set_mem_table, MEM_TABLE, VU_MEM_TABLE_MAX, ANSWER_NONE},
    [VU_SET_VRING_NUM] = {on_set_vring_num, STATE, 0, ANSWER_NONE},
    [VU_SET_VRING_ADDR] = {on_set_vring_addr, ADDR, 0, ANSWER_NONE},
    [VU_SET_VRING_BASE] = {on_set_vring_base, STATE, 0, ANSWER_NONE},
    [VU_GET_VRING_BASE] = {on_get_vring_base, STATE, 0, ANSWER_SAME},
    [VU_SET_VRING_KICK] = {on_set_vring_kick, U64, 1, ANSWER_NONE},
    [VU_SET_VRING_CALL] = {on_set_vring_call, U64, 1, ANSWER_NONE},
    [VU_SET_VRING_ERR] = {on_set_vring_err, U64, 1, ANSWER_NONE},
    [VU_GET_PROTOCOL_FEATURES] = {on_get_protocol_features, 0, 0, 0, ANSWER_SAME},
    [VU_SET_PROTOCOL_FEATURES] = {on_set_protocol_features, U64, 0, ANSWER_NONE},
    [VU_GET_QUEUE_NUM] = {on_get_queue_num, 0, 0, 0, ANSWER_SAME},
    [VU_SET_VRING_ENABLE] = {on_set_vring_enable, STATE, 0, ANSWER_NONE},
    [VU_GET_CONFIG] = {on_get_config, CONFIG, 0, ANSWER_SAME},
    [VU_SET_CONFIG] = {on_set_config, CONFIG, 0, ANSWER_NONE},
    [VU_RESET_DEVICE] = {on_reset, 0, 0, 0, ANSWER_NONE},
    [VU_GET_MAX_MEM_SLOTS] = {on_get_max_mem_slots, 0, 0, 0, ANSWER_SAME},
    [VU_ADD_MEM_REG] = {on_add_mem_reg, MEM_REG, 1, ANSWER_NONE},
    /* Front ends send the region's descriptor along, which is not needed. */
    [VU_REM_MEM_REG] = {on_rem_mem_reg, MEM_REG, 1, ANSWER_NONE},
};

static int send_reply(struct vu_call *c)
{
    struct vu_header *h = &c->m->header;
    h->flags = VU_VERSION | VU_REPLY;
    if (write_all(c->vu->sock, h, sizeof(*h) + h->size)) {
        if (errno == EPIPE || errno == ECONNRESET) {
            c->vu->closed = true;
            return 0;
        }
        return err_set(c->err, errno, "cannot answer message %u", h->request);
    }
    return 0;
}

static int handle(struct vu_call *c)
{
    const struct vu_header *h = &c->m->header;
    const struct vu_rule *rule = &rules[h->request];
    if (c->nfds > rule->fds_max)
        return err_set(c->err, 0, "message %u with %zu descriptors is malformed", h->request,
                       c->nfds);
    bool ack = h->flags & VU_NEED_REPLY && has_protocol(c->vu, VU_PF_REPLY_ACK);
    int r = rule->handle(c);
    if (r < 0)
        return -1;
    if (rule->answer == ANSWER_SAME)
        return send_reply(c);
    if (!ack)
        return 0;
    reply_u64(c, r ? 1 : 0);
    return send_reply(c);
}

static int check_header(const struct vu_header *h, struct err *err)
{
    if ((h->flags & VU_VERSION_MASK) != VU_VERSION || h->flags & VU_REPLY)
        return err_set(err, 0, "message %u has the flags 0x%x", h->request, h->flags);
    if (h->request >= VU_REQUESTS || !rules[h->request].handle)
        return err_set(err, 0, "message %u is not known", h->request);
    const struct vu_rule *rule = &rules[h->request];
    if (h->size < rule->size_min || h->size > rule->size_max)
        return err_set(err, 0, "message %u of %u bytes is malformed", h->request, h->size);
    return 0;
}

/* Reads the rest of `len` bytes of which `have` are there. */
static int read_rest(struct vhost_user *vu, void *data, size_t have, size_t len, struct err *err)
{
    if (have < len && read_all(vu->sock, (uint8_t *)data + have, len - have))
        return err_set(err, errno, "the front end sent half a message");
    return 0;
}

static int receive(struct vhost_user *vu, struct vu_call *c)
{
    struct vu_message *m = c->m;
    ssize_t n = recv_fds(vu->sock, &m->header, sizeof(m->header), c->fds, &c->nfds);
    if (n < 0 && errno != ECONNRESET)
        return err_set(c->err, errno, "cannot read from the front end");
    if (n <= 0) {
        vu->closed = true;
        return 0;
    }
    if (read_rest(vu, &m->header, (size_t)n, sizeof(m->header), c->err) ||
        check_header(&m->header, c->err) || read_rest(vu, &m->payload, 0, m->header.size, c->err))
        return -1;
    return handle(c);
}

int vhost_user_receive(struct vhost_user *vu, struct err *err)
{
    struct vu_message m = {0};
    int fds[FDPASS_MAX];
    struct vu_call c = {.vu = vu, .m = &m, .fds = fds, .err = err};
    int r = receive(vu, &c);
    for (size_t i = 0; i < c.nfds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    return r < 0 ? err_prefix(err, "vhost-user") : 0;
}

static int on_socket(void *data, uint32_t events, struct err *err)
{
    (void)events;
    return vhost_user_receive(data, err);
}

int vhost_user_init(struct vhost_user *vu, struct device *dev, int sock, struct err *err)
{
    *vu = (struct vhost_user){.dev = dev, .sock = sock};
    vu->source = (struct loop_source){.fd = sock, .handle = on_socket, .data = vu};
    vu_queues_init(vu);
    if (set_nonblock(sock, false))
        return err_set(err, errno, "vhost-user: descriptor %d is no socket", sock);
    return loop_add(&dev->loop, &vu->source, EPOLLIN, err);
}

void vhost_user_free(struct vhost_user *vu)
{
    vu_queues_reset(vu);
    loop_remove(&vu->dev->loop, &vu->source);
}

int vhost_user_serve(struct device *dev, int sock, struct err *err)
{
    struct vhost_user vu;
    if (vhost_user_init(&vu, dev, sock, err))
        return -1;
    int r = 0;
    while (!r && !vu.closed)
        r = device_turn(dev, err);
    vhost_user_free(&vu);
    while (!r && dev->ops->busy && dev->ops->busy(dev))
        r = device_turn(dev, err);
    return r;
}
