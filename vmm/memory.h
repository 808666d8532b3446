/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's RAM, and the one door through which the VMM reaches it. */
#ifndef APPC_VMM_MEMORY_H
#define APPC_VMM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* RAM below and above the hole that is kept for devices. */
#define MEMORY_REGIONS_MAX 2

struct memory_region {
    uint64_t gpa;    /* guest-physical address */
    uint64_t size;   /* bytes, a multiple of the page size */
    uint64_t offset; /* in the memory file */
    uint8_t *host;   /* where it is mapped */
};

/* One memory file, shared with the device processes. */
struct guest_memory {
    int fd;
    uint64_t size;
    struct memory_region regions[MEMORY_REGIONS_MAX];
    size_t nregions;
};

/*
 * Makes the memory file and maps its regions, whose `gpa` and `size` the
 * caller filled in. Nothing is prefaulted; huge pages are asked for where the
 * host gives them. memory_destroy() releases it.
 */
int memory_create(struct guest_memory *m, struct err *err);

/* Unmaps and closes; a zeroed structure with fd -1 is allowed. */
void memory_destroy(struct guest_memory *m);

/*
 * Pointer to [gpa, gpa + len) or NULL unless the whole range lies in one
 * region. Nothing else turns a guest address into a pointer.
 */
void *memory_at(const struct guest_memory *m, uint64_t gpa, uint64_t len);

/*
 * Copies `len` bytes of the regular file `fd` from `offset` to gpa, through
 * the page cache and not through the map: a page fault for each page costs more than
 * the copy. `name` is for the message. A file that is too short is an error.
 */
int memory_load_file(const struct guest_memory *m, uint64_t gpa, int fd, uint64_t offset,
                     uint64_t len, const char *name, struct err *err);

/* Copies bytes to gpa. */
int memory_write(const struct guest_memory *m, uint64_t gpa, const void *data, size_t len,
                 struct err *err);

#endif
