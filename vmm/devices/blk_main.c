/* SPDX-License-Identifier: Apache-2.0 */
/* appc-dev-blk: a disk made of file ranges. */
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "vmm/devices/blk.h"
#include "vmm/devices/program.h"

static struct program program;
static struct blk blk;
static struct blk_extent_spec *extents;
static size_t nextents, extents_cap;
static unsigned queues = 1;

static const struct jail_rule rules[] = {
    {.nr = SCMP_SYS(preadv)},          /* reading */
    {.nr = SCMP_SYS(pwritev)},         /* writing */
    {.nr = SCMP_SYS(pwritev2)},        /* writing through */
    {.nr = SCMP_SYS(fdatasync)},       /* FLUSH */
    {.nr = SCMP_SYS(fallocate)},       /* DISCARD and WRITE_ZEROES */
    {.nr = SCMP_SYS(timerfd_settime)}, /* the limits */
};

static int set_extent(void *self, const char *arg, struct err *err)
{
    struct blk_extent_spec spec;
    (void)self;
    if (blk_extent_parse(arg, &spec, err))
        return -1;
    if (nextents == BLK_EXTENTS_MAX)
        return err_set(err, 0, "more than %d extents", BLK_EXTENTS_MAX);
    if (spec.fd >= 0 && program_keep_fd(&program, spec.fd, err))
        return -1;
    array_grow(&extents, nextents, &extents_cap, sizeof(*extents));
    extents[nextents++] = spec;
    return 0;
}

static int set_read_only(void *self, const char *arg, struct err *err)
{
    (void)self;
    (void)arg;
    (void)err;
    blk.read_only = true;
    return 0;
}

static int set_serial(void *self, const char *arg, struct err *err)
{
    (void)self;
    if (strlen(arg) > BLK_SERIAL_MAX)
        return err_set(err, 0, "\"%s\" is longer than %d bytes", arg, BLK_SERIAL_MAX);
    memcpy(blk.serial, arg, strlen(arg));
    return 0;
}

static int set_queues(void *self, const char *arg, struct err *err)
{
    uint64_t n;
    (void)self;
    if (parse_u64(arg, BLK_QUEUES_MAX, &n) || !n)
        return err_set(err, 0, "\"%s\" is not a number from 1 to %d", arg, BLK_QUEUES_MAX);
    queues = (unsigned)n;
    return 0;
}

static int set_rate(const char *arg, uint64_t *ret, struct err *err)
{
    if (parse_u64(arg, INT64_MAX, ret) || !*ret)
        return err_set(err, 0, "\"%s\" is not a number from 1 on", arg);
    return 0;
}

static int set_bytes(void *self, const char *arg, struct err *err)
{
    (void)self;
    return set_rate(arg, &blk.bytes.rate, err);
}

static int set_requests(void *self, const char *arg, struct err *err)
{
    (void)self;
    return set_rate(arg, &blk.requests.rate, err);
}

static const struct program_option options[] = {
    {"extent", "EXTENT", "FD:OFFSET:LENGTH or zero:LENGTH; the disk is all of them in turn",
     set_extent},
    {"read-only", NULL, "refuse to write", set_read_only},
    {"serial", "NAME", "what the guest knows the disk by, at most 20 bytes", set_serial},
    {"queues", "N", "request queues (1)", set_queues},
    {"bytes-per-second", "N", "limit of reads and writes together (none)", set_bytes},
    {"requests-per-second", "N", "the same for their number (none)", set_requests},
};

static int init(void *self, struct device **ret_dev, struct err *err)
{
    (void)self;
    for (size_t i = 0; i < nextents; i++) {
        if (blk_add_extent(&blk, &extents[i], err))
            return -1;
    }
    if (blk_init(&blk, queues, err))
        return -1;
    *ret_dev = &blk.dev;
    return 0;
}

int main(int argc, char **argv)
{
    program = (struct program){
        .name = "appc-dev-blk",
        .about = "virtio-blk back end: a disk made of ranges of files",
        .options = options,
        .noptions = ARRAY_SIZE(options),
        .rules = rules,
        .nrules = ARRAY_SIZE(rules),
        .init = init,
    };
    program_exit(program_main(&program, argc, argv));
}
