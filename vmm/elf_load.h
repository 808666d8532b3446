/* SPDX-License-Identifier: Apache-2.0 */
/* Reads an uncompressed ELF kernel and puts its segments into guest memory. */
#ifndef APPC_VMM_ELF_LOAD_H
#define APPC_VMM_ELF_LOAD_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct guest_memory;

#define ELF_SEGMENTS_MAX 32

/* A PT_LOAD segment; ranges are checked by elf_read(). */
struct elf_segment {
    uint64_t offset; /* in the file */
    uint64_t filesz;
    uint64_t paddr;
    uint64_t memsz; /* at least filesz */
};

struct elf_image {
    uint64_t entry; /* physical */
    uint64_t end;   /* first address behind the highest segment */
    struct elf_segment segments[ELF_SEGMENTS_MAX];
    size_t nsegments;
};

/*
 * Reads and checks the headers of the kernel in `fd`: ELF64, little-endian,
 * executable, for `machine` (EM_*); every segment lies in [low, high) and in
 * the file, none overlap, the entry is inside of one.
 */
int elf_read(int fd, unsigned machine, uint64_t low, uint64_t high, struct elf_image *ret,
             struct err *err);

/* Copies the segments. What lies behind filesz is zero already, as fresh memory is. */
int elf_load(const struct elf_image *image, int fd, const struct guest_memory *m, struct err *err);

#endif
