/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk (virtio 1.2, section 5.2): a disk made of extents, which are ranges of files one after
 * the other. Requests are worked off in order and at once, with one system call for each extent
 * that a request touches; the answers to a batch are shown with one interrupt. Limits, when there
 * are any, hold for reads and writes of the disk together: what is over them stays in the ring.
 */
#ifndef APPC_VMM_DEVICES_BLK_H
#define APPC_VMM_DEVICES_BLK_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/device.h"
#include "vmm/devices/throttle.h"

struct err;

#define BLK_SECTOR      512
#define BLK_EXTENTS_MAX 65536
#define BLK_QUEUES_MAX  8
#define BLK_SERIAL_MAX  VIRTIO_BLK_ID_BYTES

/* Bytes `offset`.. of a file are bytes `start`.. of the disk; a hole when file is -1. */
struct blk_extent {
    uint64_t start;
    uint64_t length;
    uint64_t offset;
    int file; /* index into files */
};

struct blk_file {
    int fd; /* the caller's */
    uint64_t dev, ino;
    bool dirty; /* written since the last flush */
};

struct blk {
    struct device dev;
    struct virtio_blk_config config;
    struct blk_extent *extents; /* by start, without gaps */
    size_t nextents, extents_cap;
    struct blk_file *files; /* each once */
    size_t nfiles, files_cap;
    uint64_t capacity; /* bytes */
    bool read_only;
    char serial[BLK_SERIAL_MAX];
    struct throttle bytes, requests;
    struct loop_source timer; /* when the limits allow more; fd -1 without limits */
    uint32_t held;            /* queues that wait for it, a bit each */
    struct virtq_chain chain; /* the request in hand */
};

/* What the command line says of one extent. */
struct blk_extent_spec {
    int fd; /* -1 for a hole */
    uint64_t offset;
    uint64_t length;
};

/* Parses FD:OFFSET:LENGTH or zero:LENGTH (decimal bytes, LENGTH a multiple of 512). */
int blk_extent_parse(const char *text, struct blk_extent_spec *ret, struct err *err);

/* Appends an extent to a zero-initialised *b, whose read_only is set; fd stays the caller's. */
int blk_add_extent(struct blk *b, const struct blk_extent_spec *spec, struct err *err);

/*
 * Fills in the device's offer; extents, read_only, serial and the rates of the limits are there. 1
 * to BLK_QUEUES_MAX queues.
 */
int blk_init(struct blk *b, unsigned queues, struct err *err);

/* Frees what blk_add_extent() and blk_init() made. */
void blk_free(struct blk *b);

/*
 * Moves data.len bytes between the vectors and the disk at byte `pos`; the range is checked by the
 * caller. Bytes of holes and behind the end of a file read as zeros. 0, or -1 with errno (EROFS for
 * a write to a hole). With `sync` written bytes are on stable storage afterwards.
 */
int blk_read(struct blk *b, struct iovs data, uint64_t pos);
int blk_write(struct blk *b, struct iovs data, uint64_t pos, bool sync);

/* Makes written data stable; 0, or -1 with errno. */
int blk_flush(struct blk *b);

/* Frees or zeroes a checked range; 0, or -1 with errno (EOPNOTSUPP: the file cannot do it). */
int blk_discard(struct blk *b, uint64_t pos, uint64_t len);
int blk_zero(struct blk *b, uint64_t pos, uint64_t len, bool unmap);

#endif
