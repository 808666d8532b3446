/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF loader. Every number of the file is checked before it is used. */
#include "vmm/elf_load.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/io.h"
#include "vmm/memory.h"

#define PHDRS_MAX 64

static int check_ident(const Elf64_Ehdr *h, unsigned machine, struct err *err)
{
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
        return err_set(err, 0, "not an ELF file: give an uncompressed vmlinux");
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB)
        return err_set(err, 0, "not a 64-bit little-endian ELF file");
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return err_set(err, 0, "ELF type %u is not an executable", h->e_type);
    if (h->e_machine != machine)
        return err_set(err, 0, "built for ELF machine %u, not %u", h->e_machine, machine);
    return 0;
}

static int read_headers(int fd, unsigned machine, Elf64_Ehdr *eh, Elf64_Phdr *ph, struct err *err)
{
    if (pread_all(fd, eh, sizeof(*eh), 0))
        return err_set(err, errno, "can't read the ELF header");
    if (check_ident(eh, machine, err))
        return -1;
    if (eh->e_phentsize != sizeof(*ph) || eh->e_phnum == 0 || eh->e_phnum > PHDRS_MAX)
        return err_set(err, 0, "has %u program headers of %u bytes", eh->e_phnum, eh->e_phentsize);
    if (eh->e_phoff > INT32_MAX || pread_all(fd, ph, eh->e_phnum * sizeof(*ph), (off_t)eh->e_phoff))
        return err_set(err, 0, "the program headers at %#" PRIx64 " can't be read", eh->e_phoff);
    return 0;
}

static int check_segment(const Elf64_Phdr *p, uint64_t file_size, uint64_t low, uint64_t high,
                         struct err *err)
{
    if (p->p_offset > file_size || p->p_filesz > file_size - p->p_offset)
        return err_set(err, 0, "segment at %#" PRIx64 " lies outside of the file", p->p_paddr);
    if (p->p_filesz > p->p_memsz)
        return err_set(err, 0, "segment at %#" PRIx64 " is larger in the file than in memory",
                       p->p_paddr);
    if (p->p_paddr < low || p->p_paddr > high || p->p_memsz > high - p->p_paddr)
        return err_set(err, 0,
                       "segment of %" PRIu64 " bytes at %#" PRIx64
                       " does not fit into the guest's memory: give it more",
                       p->p_memsz, p->p_paddr);
    return 0;
}

static int check_overlap(const struct elf_image *image, const struct elf_segment *s,
                         struct err *err)
{
    for (size_t i = 0; i < image->nsegments; i++) {
        const struct elf_segment *o = &image->segments[i];

        if (s->paddr < o->paddr + o->memsz && o->paddr < s->paddr + s->memsz)
            return err_set(err, 0, "segments at %#" PRIx64 " and %#" PRIx64 " overlap", o->paddr,
                           s->paddr);
    }
    return 0;
}

static int add_segment(struct elf_image *image, const Elf64_Phdr *p, struct err *err)
{
    struct elf_segment s = {p->p_offset, p->p_filesz, p->p_paddr, p->p_memsz};

    if (image->nsegments == ELF_SEGMENTS_MAX)
        return err_set(err, 0, "has more than %d segments", ELF_SEGMENTS_MAX);
    if (check_overlap(image, &s, err))
        return -1;
    image->segments[image->nsegments++] = s;
    if (s.paddr + s.memsz > image->end)
        image->end = s.paddr + s.memsz;
    return 0;
}

static int check_entry(const struct elf_image *image, struct err *err)
{
    for (size_t i = 0; i < image->nsegments; i++) {
        const struct elf_segment *s = &image->segments[i];

        if (image->entry >= s->paddr && image->entry - s->paddr < s->filesz)
            return 0;
    }
    return err_set(err, 0, "entry %#" PRIx64 " is in no segment", image->entry);
}

int elf_read(int fd, unsigned machine, uint64_t low, uint64_t high, struct elf_image *ret,
             struct err *err)
{
    struct elf_image image = {0};
    Elf64_Ehdr eh;
    Elf64_Phdr ph[PHDRS_MAX];
    struct stat st;

    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return err_set(err, 0, "not a regular file");
    if (read_headers(fd, machine, &eh, ph, err))
        return -1;
    image.entry = eh.e_entry;
    for (unsigned i = 0; i < eh.e_phnum; i++) {
        if (ph[i].p_type != PT_LOAD || ph[i].p_memsz == 0)
            continue;
        if (check_segment(&ph[i], (uint64_t)st.st_size, low, high, err) ||
            add_segment(&image, &ph[i], err))
            return -1;
    }
    if (check_entry(&image, err))
        return -1;
    *ret = image;
    return 0;
}

int elf_load(const struct elf_image *image, int fd, const struct guest_memory *m, struct err *err)
{
    for (size_t i = 0; i < image->nsegments; i++) {
        const struct elf_segment *s = &image->segments[i];

        if (memory_load_file(m, s->paddr, fd, s->offset, s->filesz, "segment", err))
            return -1;
    }
    return 0;
}
