/* SPDX-License-Identifier: Apache-2.0 */
/* The 64-bit boot protocol of Linux on x86 (Documentation/arch/x86/boot.rst). */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/err.h"
#include "vmm/arch.h"
#include "vmm/elf_load.h"
#include "vmm/machine.h"
#include "vmm/memory.h"
#include "vmm/x86/x86.h"

#define E820_RAM          1
#define LOADER_UNDEFINED  0xff
#define PROTOCOL_VERSION  0x020f
#define BOOT_FLAG         0xaa55
#define HEADER_MAGIC      0x53726448u /* "HdrS" */
#define KERNEL_ALIGNMENT  0x1000000u
#define SETUP_RNG_SEED_ID 9u
#define PAGE_SIZE_4K      0x1000ull

void arch_memory_layout(uint64_t size, struct guest_memory *m)
{
    uint64_t low = size < X86_GAP_START ? size : X86_GAP_START;

    m->nregions = 1;
    m->regions[0] = (struct memory_region){.gpa = 0, .size = low};
    if (size > low)
        m->regions[m->nregions++] = (struct memory_region){.gpa = X86_GAP_END, .size = size - low};
}

static void add_e820(struct boot_params *bp, uint64_t start, uint64_t end)
{
    bp->e820_table[bp->e820_entries++] =
        (struct boot_e820_entry){.addr = start, .size = end - start, .type = E820_RAM};
}

static void fill_memory_map(struct boot_params *bp, const struct guest_memory *m)
{
    add_e820(bp, 0, X86_LOW_END);
    add_e820(bp, X86_HIGH_START, m->regions[0].size);
    if (m->nregions > 1)
        add_e820(bp, m->regions[1].gpa, m->regions[1].gpa + m->regions[1].size);
}

void x86_boot_params(struct boot_params *bp, const struct x86_boot_info *info,
                     const struct guest_memory *m)
{
    struct setup_header *h = &bp->hdr;

    memset(bp, 0, sizeof(*bp));
    h->boot_flag = BOOT_FLAG;
    h->header = HEADER_MAGIC;
    h->version = PROTOCOL_VERSION;
    h->type_of_loader = LOADER_UNDEFINED;
    h->loadflags = LOADED_HIGH;
    h->kernel_alignment = KERNEL_ALIGNMENT;
    h->cmd_line_ptr = (uint32_t)info->cmdline;
    h->cmdline_size = info->cmdline_len;
    h->ramdisk_image = (uint32_t)info->initrd; /* below the gap, so below 4 GiB */
    h->ramdisk_size = (uint32_t)info->initrd_len;
    h->setup_data = info->setup_data;
    fill_memory_map(bp, m);
}

/* At the top of low memory, above the kernel. */
static int load_initrd(struct machine *m, uint64_t kernel_end, struct x86_boot_info *info,
                       struct err *err)
{
    int fd = m->options->initrd_fd;
    uint64_t top = m->memory.regions[0].size;
    struct stat st;

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size <= 0)
        return err_set(err, 0, "initrd: not a regular file, or empty");
    if ((uint64_t)st.st_size > top || top - (uint64_t)st.st_size < kernel_end + PAGE_SIZE_4K)
        return err_set(err, 0, "initrd of %lld bytes does not fit into the guest's memory",
                       (long long)st.st_size);
    info->initrd_len = (uint64_t)st.st_size;
    info->initrd = (top - info->initrd_len) & ~(PAGE_SIZE_4K - 1);
    return memory_load_file(&m->memory, info->initrd, fd, 0, info->initrd_len, "initrd", err);
}

/* One node of the list that boot_params.hdr.setup_data begins; returns where the next one goes. */
static uint64_t finish_node(struct setup_data *node, uint64_t at, uint32_t type, uint32_t len,
                            bool last)
{
    uint64_t next = (at + sizeof(*node) + len + 15) & ~15ull;

    node->next = last ? 0 : next;
    node->type = type;
    node->len = len;
    return next;
}

/* The device tree, and random bytes so that the kernel need not wait for any. */
static int write_setup_data(struct machine *m, struct err *err)
{
    struct x86_hardware hw = {.cpus = m->options->cpus, .devices = (unsigned)m->ndevices};
    uint64_t at = X86_SETUP_DATA;
    struct setup_data *node =
        memory_at(&m->memory, at, X86_FDT_MAX + X86_SEED_SIZE + 3 * sizeof(*node));
    int len;

    if (!node)
        return err_set(err, 0, "no memory for the boot data");
    len = x86_fdt(&hw, node->data, X86_FDT_MAX, err);
    if (len < 0)
        return -1;
    at = finish_node(node, at, SETUP_DTB, (uint32_t)len, false);
    node = memory_at(&m->memory, at, sizeof(*node) + X86_SEED_SIZE);
    finish_node(node, at, SETUP_RNG_SEED_ID, X86_SEED_SIZE, true);
    if (getrandom(node->data, X86_SEED_SIZE, 0) != X86_SEED_SIZE)
        return err_set(err, errno, "no random bytes");
    return 0;
}

int arch_load(struct machine *m, uint64_t *ret_entry, struct err *err)
{
    const char *cmdline = m->options->cmdline;
    struct x86_boot_info info = {
        .cmdline = X86_CMDLINE,
        .cmdline_len = (uint32_t)strlen(cmdline),
        .setup_data = X86_SETUP_DATA,
    };
    struct boot_params bp;
    struct elf_image image;

    if (elf_read(m->options->kernel_fd, EM_X86_64, X86_HIGH_START, m->memory.regions[0].size,
                 &image, err) ||
        elf_load(&image, m->options->kernel_fd, &m->memory, err))
        return err_prefix(err, "kernel");
    if (load_initrd(m, image.end, &info, err) || write_setup_data(m, err))
        return -1;
    x86_boot_params(&bp, &info, &m->memory);
    if (memory_write(&m->memory, X86_ZERO_PAGE, &bp, sizeof(bp), err) ||
        memory_write(&m->memory, X86_CMDLINE, cmdline, strlen(cmdline) + 1, err))
        return -1;
    *ret_entry = image.entry;
    return 0;
}
