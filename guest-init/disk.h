/* SPDX-License-Identifier: Apache-2.0 */
/* The pod's disks: found by serial, cut into one block device for each root file system. */
#ifndef APPC_GUEST_DISK_H
#define APPC_GUEST_DISK_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* The name of the block device whose virtio serial is `serial` ("vda"); the caller frees. NULL with
 * *err. */
char *disk_find(const char *serial, struct err *err);

/*
 * Makes a block device of `length` bytes at `offset` of disk `name` and returns
 * its path; the caller frees. `number` counts from 1: up to DISK_PARTITIONS it
 * becomes a partition, beyond that, or where a partition is refused, a read-only loop device.
 */
#define DISK_PARTITIONS 255
char *disk_slice(const char *name, unsigned number, uint64_t offset, uint64_t length,
                 struct err *err);

/* All virtio disks as MAJOR:MINOR, NULL-terminated; free with disk_numbers_free(). */
char **disk_numbers(void);
void disk_numbers_free(char **numbers);

#endif
