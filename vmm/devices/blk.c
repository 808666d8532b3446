/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-blk: requests. The disk behind them is blk_disk.c. */
#include "vmm/devices/blk.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

/* Buffers of one request: those of 1 MiB in single pages, header and status left out. */
#define BLK_SEG_MAX 254

/* Ranges in one DISCARD or WRITE_ZEROES request, and how many sectors they may have together. */
#define BLK_RANGES_MAX        16
#define BLK_RANGE_SECTORS_MAX (1U << 21)

/* An interrupt is not held back longer than for this much input and output. */
#define BLK_BATCH_BYTES    (1U << 20)
#define BLK_BATCH_REQUESTS 64

#define NS_PER_S 1000000000ULL

static struct blk *blk_of(struct device *d)
{
    return (struct blk *)((char *)d - offsetof(struct blk, dev));
}

/* Whether `len` bytes from `sector` are whole sectors of the disk; *ret_pos is the first byte. */
static bool range_ok(const struct blk *b, uint64_t sector, uint64_t len, uint64_t *ret_pos)
{
    uint64_t sectors = b->capacity / BLK_SECTOR;
    if (len % BLK_SECTOR || sector > sectors || len / BLK_SECTOR > sectors - sector)
        return false;
    *ret_pos = sector * BLK_SECTOR;
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Whether the limits hold queue q back; the timer then brings it back. */
static bool held_back(struct blk *b, unsigned q)
{
    if (b->timer.fd < 0)
        return false;
    uint64_t now = now_ns(), wait = throttle_wait(&b->bytes, now);
    uint64_t other = throttle_wait(&b->requests, now);
    if (other > wait)
        wait = other;
    if (!wait)
        return false;
    struct itimerspec its = {
        .it_value = {.tv_sec = (time_t)(wait / NS_PER_S), .tv_nsec = (long)(wait % NS_PER_S)}};
    timerfd_settime(b->timer.fd, 0, &its, NULL);
    b->held |= 1U << q;
    return true;
}

static void charge(struct blk *b, uint64_t bytes)
{
    if (b->timer.fd < 0)
        return;
    uint64_t now = now_ns();
    throttle_charge(&b->bytes, now, bytes);
    throttle_charge(&b->requests, now, 1);
}

static int on_timer(void *data, uint32_t events, struct err *err)
{
    struct blk *b = data;
    uint64_t n;
    (void)events;
    if (read(b->timer.fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
        return err_set(err, errno, "cannot read the timer");
    for (unsigned q = 0; q < b->dev.nqueues; q++) {
        if (b->held >> q & 1)
            device_again(&b->dev, q);
    }
    b->held = 0;
    return 0;
}

static int open_timer(struct blk *b, struct err *err)
{
    b->timer = (struct loop_source){.fd = -1, .handle = on_timer, .data = b};
    if (!b->bytes.rate && !b->requests.rate)
        return 0;
    b->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (b->timer.fd < 0)
        return err_set(err, errno, "cannot make a timer");
    return loop_add(&b->dev.loop, &b->timer, EPOLLIN, err);
}

static uint8_t status_of(int result)
{
    if (!result)
        return VIRTIO_BLK_S_OK;
    return errno == EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

static uint8_t request_in(struct blk *b, struct iovs data, uint64_t sector)
{
    uint64_t pos;
    if (!range_ok(b, sector, data.len, &pos))
        return VIRTIO_BLK_S_IOERR;
    charge(b, data.len);
    return status_of(blk_read(b, data, pos));
}

static uint8_t request_out(struct blk *b, struct iovs data, uint64_t sector)
{
    uint64_t pos;
    if (b->read_only || !range_ok(b, sector, data.len, &pos))
        return VIRTIO_BLK_S_IOERR;
    charge(b, data.len);
    /* Without FLUSH the driver takes the disk for write-through (section 5.2.6.2). */
    return status_of(blk_write(b, data, pos, !device_has(&b->dev, VIRTIO_BLK_F_FLUSH)));
}

static uint8_t request_id(const struct blk *b, const struct iovs *data)
{
    return iovs_write(data, b->serial, sizeof(b->serial)) < sizeof(b->serial) ? VIRTIO_BLK_S_IOERR
                                                                              : VIRTIO_BLK_S_OK;
}

static uint8_t one_range(struct blk *b, uint32_t type,
                         const struct virtio_blk_discard_write_zeroes *r, uint64_t *left)
{
    uint64_t pos, sectors = le32toh(r->num_sectors);
    uint32_t flags = le32toh(r->flags);
    bool zero = type == VIRTIO_BLK_T_WRITE_ZEROES;
    /* The only flag is "unmap", and DISCARD has none (section 5.2.6.2). */
    if (flags & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0U))
        return VIRTIO_BLK_S_UNSUPP;
    if (sectors > *left || !range_ok(b, le64toh(r->sector), sectors * BLK_SECTOR, &pos))
        return VIRTIO_BLK_S_IOERR;
    *left -= sectors;
    uint64_t len = sectors * BLK_SECTOR;
    return status_of(zero ? blk_zero(b, pos, len, flags) : blk_discard(b, pos, len));
}

static uint8_t request_ranges(struct blk *b, uint32_t type, struct iovs data)
{
    struct virtio_blk_discard_write_zeroes r;
    uint64_t left = BLK_RANGE_SECTORS_MAX;
    if (b->read_only || data.len % sizeof(r) || data.len / sizeof(r) > BLK_RANGES_MAX)
        return VIRTIO_BLK_S_IOERR;
    for (; data.len; iovs_drop(&data, sizeof(r))) {
        iovs_read(&data, &r, sizeof(r));
        uint8_t status = one_range(b, type, &r, &left);
        if (status != VIRTIO_BLK_S_OK)
            return status;
    }
    return VIRTIO_BLK_S_OK;
}

static uint8_t request(struct blk *b, const struct virtio_blk_outhdr *h, struct iovs readable,
                       struct iovs writable)
{
    uint32_t type = le32toh(h->type);
    switch (type) {
    case VIRTIO_BLK_T_IN:
        return request_in(b, writable, le64toh(h->sector));
    case VIRTIO_BLK_T_OUT:
        return request_out(b, readable, le64toh(h->sector));
    case VIRTIO_BLK_T_FLUSH:
        return status_of(blk_flush(b));
    case VIRTIO_BLK_T_GET_ID:
        return request_id(b, &writable);
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return request_ranges(b, type, readable);
    default:
        return VIRTIO_BLK_S_UNSUPP;
    }
}

/* Where the last byte of a non-empty run of vectors lies. */
static uint8_t *last_byte(const struct iovs *s)
{
    const struct iovec *v = &s->v[s->n - 1];
    return (uint8_t *)v->iov_base + v->iov_len - 1;
}

/* Works off the request in b->chain; returns what goes into the used ring's length. */
static uint32_t answer(struct blk *b)
{
    struct virtq_chain *c = &b->chain;
    struct virtio_blk_outhdr h;
    if (!c->writable.len)
        return 0; /* nowhere to put a status */
    uint8_t *status = last_byte(&c->writable), s = VIRTIO_BLK_S_IOERR;
    iovs_drop_end(&c->writable, 1);
    uint64_t room = c->writable.len;
    if (iovs_read(&c->readable, &h, sizeof(h)) == sizeof(h)) {
        iovs_drop(&c->readable, sizeof(h));
        s = request(b, &h, c->readable, c->writable);
    }
    *status = s;
    /* A failed request may have filled a part only, and the length promises what was written. */
    return (s == VIRTIO_BLK_S_OK && room < UINT32_MAX) || !room ? (uint32_t)room + 1 : 0;
}

static int blk_run(struct device *d, unsigned q, struct err *err)
{
    struct blk *b = blk_of(d);
    struct virtq *vq = &d->queues[q];
    uint64_t bytes = 0;
    bool more = true;
    virtq_kicks_off(vq);
    for (unsigned n = 0; more && n < BLK_BATCH_REQUESTS && bytes < BLK_BATCH_BYTES; n++) {
        if (held_back(b, q)) {
            virtq_flush(vq);
            return 0;
        }
        int r = virtq_pop(vq, &b->chain, err);
        if (r < 0)
            return -1;
        if (r == 0) {
            more = virtq_kicks_on(vq);
            continue;
        }
        bytes += b->chain.readable.len + b->chain.writable.len;
        virtq_push(vq, b->chain.head, answer(b));
    }
    virtq_flush(vq);
    if (more)
        device_again(d, q);
    return 0;
}

static void blk_stopped(struct device *d, unsigned q)
{
    blk_of(d)->held &= ~(1U << q);
}

static const struct device_ops blk_ops = {.name = "blk", .run = blk_run, .stopped = blk_stopped};

static void fill_config(struct blk *b, unsigned queues)
{
    b->config = (struct virtio_blk_config){
        .capacity = htole64(b->capacity / BLK_SECTOR),
        .seg_max = htole32(BLK_SEG_MAX),
        .blk_size = htole32(BLK_SECTOR),
        .num_queues = htole16((uint16_t)queues),
        .max_discard_sectors = htole32(BLK_RANGE_SECTORS_MAX),
        .max_discard_seg = htole32(BLK_RANGES_MAX),
        .discard_sector_alignment = htole32(4096 / BLK_SECTOR),
        .max_write_zeroes_sectors = htole32(BLK_RANGE_SECTORS_MAX),
        .max_write_zeroes_seg = htole32(BLK_RANGES_MAX),
        .write_zeroes_may_unmap = 1,
    };
}

int blk_init(struct blk *b, unsigned queues, struct err *err)
{
    if (!b->nextents)
        return err_set(err, 0, "a disk needs at least one extent");
    uint64_t f = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE;
    if (b->read_only)
        f |= 1ULL << VIRTIO_BLK_F_RO;
    else
        f |= 1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_DISCARD |
             1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
    if (queues > 1)
        f |= 1ULL << VIRTIO_BLK_F_MQ;
    fill_config(b, queues);
    b->dev.ops = &blk_ops;
    b->dev.offered = f;
    b->dev.nqueues = queues;
    b->dev.config = &b->config;
    b->dev.config_len = sizeof(b->config);
    return device_init(&b->dev, err) ? -1 : open_timer(b, err);
}

void blk_free(struct blk *b)
{
    if (b->timer.handle && b->timer.fd >= 0)
        close(b->timer.fd);
    device_free(&b->dev);
    free(b->extents);
    free(b->files);
    b->extents = NULL;
    b->files = NULL;
}
