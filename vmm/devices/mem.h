/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door to guest memory. A device process maps the regions that the front end names and
 * reaches them through mem_at() and mem_at_uaddr() alone; both check every byte of the range.
 */
#ifndef APPC_VMM_DEVICES_MEM_H
#define APPC_VMM_DEVICES_MEM_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* More than any front end asks for: QEMU sends at most 8 in a table and 509 one by one. */
#define MEM_REGIONS_MAX 32

struct mem_region {
    uint64_t gpa;   /* guest physical address */
    uint64_t size;  /* bytes, not 0 */
    uint64_t uaddr; /* where the front end has it; ring addresses are given so */
    uint8_t *host;  /* where we have it */
    void *map;      /* what munmap() gets */
    size_t map_len;
};

/* Zero-initialise. */
struct mem {
    struct mem_region regions[MEM_REGIONS_MAX];
    size_t n;
};

/* What the front end says of a region (vhost-user protocol, "Memory region description"). */
struct mem_desc {
    uint64_t gpa;
    uint64_t size;
    uint64_t uaddr;
    uint64_t offset; /* into the file */
};

/*
 * Maps a region of the file `fd`, which stays the caller's. The file must be a regular one (memfd
 * and the like) that is large enough, and the region may overlap no other; 0 or -1.
 */
int mem_add(struct mem *m, const struct mem_desc *d, int fd, struct err *err);

/* Unmaps the region that is exactly this one; -1 when there is none. */
int mem_remove(struct mem *m, const struct mem_desc *d, struct err *err);

/* Unmaps everything. */
void mem_clear(struct mem *m);

/* The `len` bytes at guest physical address `gpa`, or NULL when they are not inside one region. */
void *mem_at(const struct mem *m, uint64_t gpa, uint64_t len);

/* The same by the front end's own address. */
void *mem_at_uaddr(const struct mem *m, uint64_t uaddr, uint64_t len);

/*
 * From now on an access to memory that the front end has cut off under the mapping (ftruncate)
 * ends the process with one line on standard error and status 3 instead of a bare SIGBUS.
 */
void mem_guard_install(void);

#endif
