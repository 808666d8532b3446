/* SPDX-License-Identifier: Apache-2.0 */
/* 64-bit mode with a flat address space: tables in guest memory and the registers for them. */
#include <linux/kvm.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "vmm/memory.h"
#include "vmm/x86/x86.h"

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TSS  0x20

#define TYPE_CODE 0xb /* execute, read, accessed */
#define TYPE_DATA 0x3 /* read, write, accessed */
#define TYPE_TSS  0xb /* busy */

#define CR0_PE   0x1ull
#define CR0_PG   0x80000000ull
#define CR4_PAE  0x20ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull

#define PTE_PRESENT_WRITE 0x03ull
#define PTE_HUGE          0x80ull
#define HUGE_SIZE         0x200000ull
#define TABLE_ENTRIES     512u

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, bool code)
{
    return (struct kvm_segment){
        .limit = 0xffffffff,
        .selector = selector,
        .type = type,
        .present = 1,
        .s = 1,
        .l = code,
        .db = !code,
        .g = 1,
    };
}

/* The descriptor of a segment as it stands in the table (Intel SDM 3A, 3.4.5). */
static uint64_t descriptor(const struct kvm_segment *s)
{
    uint64_t limit = s->g ? s->limit >> 12 : s->limit;
    uint64_t flags = (uint64_t)(s->type | s->s << 4 | s->dpl << 5 | s->present << 7) |
                     (uint64_t)(s->avl | s->l << 1 | s->db << 2 | s->g << 3) << 12;

    return (limit & 0xffff) | (s->base & 0xffffff) << 16 | flags << 40 |
           ((limit >> 16) & 0xf) << 48 | ((s->base >> 24) & 0xff) << 56;
}

static int write_page_tables(const struct guest_memory *m, struct err *err)
{
    uint64_t pd[TABLE_ENTRIES];
    uint64_t pml4 = X86_PDPT | PTE_PRESENT_WRITE;
    uint64_t pdpt = X86_PD | PTE_PRESENT_WRITE;

    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        pd[i] = i * HUGE_SIZE | PTE_HUGE | PTE_PRESENT_WRITE;
    if (memory_write(m, X86_PML4, &pml4, sizeof(pml4), err) ||
        memory_write(m, X86_PDPT, &pdpt, sizeof(pdpt), err))
        return -1;
    return memory_write(m, X86_PD, pd, sizeof(pd), err);
}

int x86_long_mode(const struct guest_memory *m, struct kvm_sregs *sregs, struct err *err)
{
    struct kvm_segment code = flat_segment(SELECTOR_CODE, TYPE_CODE, true);
    struct kvm_segment data = flat_segment(SELECTOR_DATA, TYPE_DATA, false);
    struct kvm_segment tss = {
        .limit = 0xfffff, .selector = SELECTOR_TSS, .type = TYPE_TSS, .present = 1, .g = 1};
    uint64_t gdt[] = {0, 0, descriptor(&code), descriptor(&data), descriptor(&tss), 0};

    if (memory_write(m, X86_GDT, gdt, sizeof(gdt), err) || write_page_tables(m, err))
        return -1;
    sregs->cs = code;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
    sregs->tr = tss;
    sregs->gdt.base = X86_GDT;
    sregs->gdt.limit = sizeof(gdt) - 1;
    sregs->cr0 = CR0_PE | CR0_PG;
    sregs->cr3 = X86_PML4;
    sregs->cr4 = CR4_PAE;
    sregs->efer = EFER_LME | EFER_LMA;
    return 0;
}
