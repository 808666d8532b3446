/* SPDX-License-Identifier: Apache-2.0 */
/* The pod's disks: found by serial, cut into one block device for each root file system. */
#include "guest-init/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#define SERIAL_MAX 20 /* VIRTIO_BLK_ID_BYTES */

/*
 * A program is read from its image page by page as it runs; every request is a way to the device
 * process and back, and what it reads is most often in the host's page cache.
 */
#define READ_AHEAD_SECTORS ((1ul << 20) / 512)

/* The serial of a block device; "" when it has none. */
static void read_serial(int sysblock, const char *name, char *ret)
{
    char path[300];
    ret[0] = '\0';
    snprintf(path, sizeof(path), "%s/serial", name);
    cleanup_close int fd = openat(sysblock, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, ret, SERIAL_MAX + 1) : -1;
    ret[n > 0 ? n : 0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}

char *disk_find(const char *serial, struct err *err)
{
    cleanup_dir DIR *d = opendir("/sys/block");
    if (!d) {
        err_set(err, errno, "can't list the block devices");
        return NULL;
    }
    for (struct dirent *e; (e = readdir(d));) {
        char found[SERIAL_MAX + 2];
        if (e->d_name[0] == '.' || str_starts(e->d_name, "loop"))
            continue;
        read_serial(dirfd(d), e->d_name, found);
        if (str_eq(found, serial))
            return xstrdup(e->d_name);
    }
    err_set(err, 0, "the virtual machine has no disk with serial \"%s\"", serial);
    return NULL;
}

char **disk_numbers(void)
{
    char **list = xcalloc(1, sizeof(*list));
    size_t n = 0;
    cleanup_dir DIR *d = opendir("/sys/block");
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300];
        cleanup_free char *text = NULL;
        size_t len;
        snprintf(path, sizeof(path), "%s/dev", e->d_name);
        if (!str_starts(e->d_name, "vd") || read_file_at(dirfd(d), path, 32, &text, &len, NULL) < 0)
            continue;
        text[strcspn(text, "\n")] = '\0';
        list = xreallocarray(list, n + 2, sizeof(*list));
        list[n++] = take_ptr(text);
        list[n] = NULL;
    }
    return list;
}

void disk_numbers_free(char **numbers)
{
    for (char **n = numbers; n && *n; n++)
        free(*n);
    free(numbers);
}

static int add_partition(int disk, unsigned number, uint64_t offset, uint64_t length)
{
    struct blkpg_partition part = {
        .start = (long long)offset, .length = (long long)length, .pno = (int)number};
    struct blkpg_ioctl_arg arg = {
        .op = BLKPG_ADD_PARTITION, .datalen = sizeof(part), .data = &part};
    return ioctl(disk, BLKPG, &arg);
}

static char *add_loop(int disk, uint64_t offset, uint64_t length, struct err *err)
{
    cleanup_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int number = control >= 0 ? ioctl(control, LOOP_CTL_GET_FREE) : -1;
    if (number < 0) {
        err_set(err, errno, "can't get a loop device");
        return NULL;
    }
    struct loop_config config = {
        .fd = (unsigned)disk,
        .info = {.lo_offset = offset, .lo_sizelimit = length, .lo_flags = LO_FLAGS_READ_ONLY},
    };
    cleanup_free char *path = xasprintf("/dev/loop%d", number);
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
        err_set(err, errno, "can't set up %s", path);
        return NULL;
    }
    return take_ptr(path);
}

char *disk_slice(const char *name, unsigned number, uint64_t offset, uint64_t length,
                 struct err *err)
{
    cleanup_free char *path = xasprintf("/dev/%s", name);
    cleanup_close int disk = open(path, O_RDONLY | O_CLOEXEC);
    if (disk < 0) {
        err_set(err, errno, "can't open %s", path);
        return NULL;
    }
    (void)ioctl(disk, BLKRASET, READ_AHEAD_SECTORS);
    if (number <= DISK_PARTITIONS && add_partition(disk, number, offset, length) == 0)
        return xasprintf("/dev/%s%s%u", name, is_digit(name[strlen(name) - 1]) ? "p" : "", number);
    return add_loop(disk, offset, length, err);
}
