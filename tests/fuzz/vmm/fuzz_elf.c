/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF loader with mostly valid kernels: the input is laid over a good
 * header, so that most of it gets past the first checks. What elf_read()
 * accepts has to lie within the bounds and to load, or to be refused.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "vmm/elf_load.h"
#include "vmm/memory.h"

#define LOW      0x100000ull
#define HIGH     0x400000ull
#define FILE_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const Elf64_Ehdr header = {
    .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
    .e_type = ET_EXEC,
    .e_machine = EM_X86_64,
    .e_entry = LOW,
    .e_phoff = sizeof(Elf64_Ehdr),
    .e_phentsize = sizeof(Elf64_Phdr),
    .e_phnum = 3,
};

/* Where the input is zero, the good header's byte stays. */
static void lay_over(uint8_t *file, size_t len)
{
    const uint8_t *good = (const uint8_t *)&header;

    for (size_t i = 0; i < len && i < sizeof(header); i++)
        file[i] ^= good[i];
}

static void check(const struct elf_image *image, size_t file_size)
{
    int entry_inside = 0;

    for (size_t i = 0; i < image->nsegments; i++) {
        const struct elf_segment *s = &image->segments[i];

        if (s->paddr < LOW || s->memsz > HIGH - s->paddr || s->filesz > s->memsz ||
            s->offset > file_size || s->filesz > file_size - s->offset)
            abort();
        entry_inside |= image->entry >= s->paddr && image->entry < s->paddr + s->filesz;
    }
    if (!entry_inside)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guest_memory memory;
    static uint8_t file[FILE_MAX];
    struct elf_image image;
    struct err err;
    int fd;

    if (!memory.nregions) {
        memory.nregions = 1;
        memory.regions[0].size = HIGH;
        if (memory_create(&memory, &err))
            abort();
    }
    if (size > sizeof(file))
        return -1;
    memcpy(file, data, size);
    lay_over(file, size);
    fd = memfd_create("kernel", 0);
    if (pwrite_all(fd, file, size, 0))
        abort();
    if (!elf_read(fd, EM_X86_64, LOW, HIGH, &image, &err)) {
        check(&image, size);
        if (elf_load(&image, fd, &memory, &err))
            abort();
    }
    close(fd);
    return 0;
}
