/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/elf_load.c: a good kernel is loaded, and each way of being malformed is refused. */
#include <elf.h>
#include <sys/mman.h>

#include "tests/unit/vmm/util.h"
#include "vmm/arch.h"
#include "vmm/elf_load.h"
#include "vmm/memory.h"

#define LOW  0x100000ull
#define HIGH 0x4000000ull

/* A small kernel of two segments, to be spoilt by each test. */
struct image {
    Elf64_Ehdr eh;
    Elf64_Phdr ph[3];
    uint8_t text[64];
    uint8_t data[32];
};

static struct image good_image(void)
{
    struct image i = {
        .eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
               .e_type = ET_EXEC,
               .e_machine = EM_X86_64,
               .e_entry = 0x1000010,
               .e_phoff = offsetof(struct image, ph),
               .e_phentsize = sizeof(Elf64_Phdr),
               .e_phnum = 3},
        .ph = {{.p_type = PT_LOAD,
                .p_offset = offsetof(struct image, text),
                .p_filesz = sizeof(i.text),
                .p_memsz = sizeof(i.text),
                .p_paddr = 0x1000000},
               {.p_type = PT_NOTE},
               {.p_type = PT_LOAD,
                .p_offset = offsetof(struct image, data),
                .p_filesz = sizeof(i.data),
                .p_memsz = 0x10000,
                .p_paddr = 0x2000000}},
    };

    memset(i.text, 0x90, sizeof(i.text));
    memset(i.data, 0xda, sizeof(i.data));
    return i;
}

static int image_file(const struct image *i)
{
    int fd = memfd_create("kernel", 0);

    assert_true(fd >= 0);
    assert_int_equal(pwrite_all(fd, i, sizeof(*i), 0), 0);
    return fd;
}

static int read_image(const struct image *i, struct elf_image *ret, struct err *err)
{
    cleanup_close int fd = image_file(i);

    return elf_read(fd, EM_X86_64, LOW, HIGH, ret, err);
}

static void loads(void **state)
{
    (void)state;
    struct image i = good_image();
    cleanup_close int fd = image_file(&i);
    struct guest_memory m = {.fd = -1};
    struct elf_image image;
    struct err err;

    assert_int_equal(elf_read(fd, EM_X86_64, LOW, HIGH, &image, &err), 0);
    assert_int_equal(image.entry, 0x1000010);
    assert_int_equal(image.nsegments, 2);
    assert_int_equal(image.end, 0x2010000);
    arch_memory_layout(HIGH, &m);
    assert_int_equal(memory_create(&m, &err), 0);
    assert_int_equal(elf_load(&image, fd, &m, &err), 0);
    assert_memory_equal(memory_at(&m, 0x1000000, 64), i.text, 64);
    assert_memory_equal(memory_at(&m, 0x2000000, 32), i.data, 32);
    assert_int_equal(*(uint8_t *)memory_at(&m, 0x2000020, 1), 0);
    memory_destroy(&m);
}

/* Spoils one thing of a good image. */
#define REFUSED(spoil, says)                                                                       \
    do {                                                                                           \
        struct image i = good_image();                                                             \
        struct elf_image ret;                                                                      \
        struct err err;                                                                            \
        spoil;                                                                                     \
        assert_int_equal(read_image(&i, &ret, &err), -1);                                          \
        assert_says(err, says);                                                                    \
    } while (0)

static void refuses_headers(void **state)
{
    (void)state;
    REFUSED(i.eh.e_ident[0] = 'M', "not an ELF file");
    REFUSED(i.eh.e_ident[EI_CLASS] = ELFCLASS32, "not a 64-bit");
    REFUSED(i.eh.e_ident[EI_DATA] = ELFDATA2MSB, "not a 64-bit");
    REFUSED(i.eh.e_type = ET_REL, "ELF type 1");
    REFUSED(i.eh.e_machine = EM_AARCH64, "machine 183, not 62");
    REFUSED(i.eh.e_phentsize = 32, "program headers of 32 bytes");
    REFUSED(i.eh.e_phnum = 0, "has 0 program headers");
    REFUSED(i.eh.e_phnum = 65, "has 65 program headers");
    REFUSED(i.eh.e_phnum = 60, "can't be read");
    REFUSED(i.eh.e_phoff = UINT64_MAX, "can't be read");
    REFUSED(i.eh.e_phoff = sizeof(i), "can't be read");
}

static void refuses_segments(void **state)
{
    (void)state;
    REFUSED(i.ph[0].p_offset = sizeof(i) + 1, "outside of the file");
    REFUSED(i.ph[0].p_offset = UINT64_MAX, "outside of the file");
    REFUSED(i.ph[0].p_filesz = UINT64_MAX, "outside of the file");
    REFUSED(i.ph[0].p_memsz = 63, "larger in the file");
    REFUSED(i.ph[2].p_memsz = UINT64_MAX, "does not fit");
    REFUSED(i.ph[2].p_memsz = HIGH - 0x2000000 + 1, "does not fit");
    REFUSED(i.ph[2].p_paddr = LOW - 1, "does not fit");
    REFUSED(i.ph[2].p_paddr = UINT64_MAX, "does not fit");
    REFUSED(i.ph[2].p_paddr = 0x1000020, "overlap");
    REFUSED(i.ph[2].p_paddr = 0x1000000 - 0xffff, "overlap");
    REFUSED((i.ph[0].p_type = PT_NULL, i.ph[2].p_type = PT_NULL), "entry 0x1000010");
}

static void refuses_entry(void **state)
{
    (void)state;
    REFUSED(i.eh.e_entry = 0, "entry 0 is in no segment");
    REFUSED(i.eh.e_entry = 0x1000040, "entry 0x1000040");
    REFUSED(i.eh.e_entry = 0x2000020, "entry 0x2000020"); /* behind the file's bytes */
    REFUSED(i.eh.e_entry = UINT64_MAX, "in no segment");
}

static void refuses_files(void **state)
{
    (void)state;
    struct elf_image ret;
    struct err err;
    int pipe_fds[2];
    cleanup_close int empty = memfd_create("empty", 0);

    assert_int_equal(elf_read(empty, EM_X86_64, LOW, HIGH, &ret, &err), -1);
    assert_says(err, "can't read the ELF header");
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(elf_read(pipe_fds[0], EM_X86_64, LOW, HIGH, &ret, &err), -1);
    assert_says(err, "not a regular file");
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

/* The file shrinks between the look at its headers and the copy. */
static void shrinking_file(void **state)
{
    (void)state;
    struct image i = good_image();
    cleanup_close int fd = image_file(&i);
    struct guest_memory m = {.fd = -1};
    struct elf_image image;
    struct err err;

    assert_int_equal(elf_read(fd, EM_X86_64, LOW, HIGH, &image, &err), 0);
    assert_int_equal(ftruncate(fd, offsetof(struct image, data)), 0);
    arch_memory_layout(HIGH, &m);
    assert_int_equal(memory_create(&m, &err), 0);
    assert_int_equal(elf_load(&image, fd, &m, &err), -1);
    assert_says(err, "ends 32 bytes too early");
    memory_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads),
        cmocka_unit_test(refuses_headers),
        cmocka_unit_test(refuses_segments),
        cmocka_unit_test(refuses_entry),
        cmocka_unit_test(refuses_files),
        cmocka_unit_test(shrinking_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
