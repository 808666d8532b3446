/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's CPUID shows: KVM's list, made consistent with the machine's topology. */
#include <linux/kvm.h>
#include <string.h>

#include "base/cleanup.h"
#include "vmm/x86/x86.h"

enum cpuid_register { EAX, EBX, ECX, EDX };

#define BIT(n) (1u << (n))

/* Intel and AMD both allow sub-leaves to be counted until a type of zero. */
#define CACHE_TYPE_MASK  0x1fu
#define CACHE_LEVEL(eax) (((eax) >> 5) & 7)

/*
 * Bits that are taken away wherever they are: the guest gets no nested
 * virtualization, no performance counters and their stores, no SGX, no
 * tracing, no transactions, and nothing that needs firmware.
 */
static const struct {
    uint32_t function;
    uint32_t index;
    enum cpuid_register reg;
    uint32_t bits;
} removed[] = {
    {0x1, 0, ECX, BIT(2) | BIT(3) | BIT(5) | BIT(15)},          /* DTES64 MONITOR VMX PDCM */
    {0x1, 0, EDX, BIT(7) | BIT(14) | BIT(21) | BIT(22)},        /* MCE MCA DS ACPI */
    {0x6, 0, EAX, ~BIT(2)},                                     /* all but ARAT */
    {0x6, 0, EBX, ~0u},                                         /* thermal thresholds */
    {0x6, 0, ECX, ~0u},                                         /* APERF, EPB */
    {0x7, 0, EBX, BIT(2) | BIT(4) | BIT(11) | BIT(25)},         /* SGX HLE RTM PT */
    {0x7, 0, ECX, BIT(30)},                                     /* SGX_LC */
    {0x7, 0, EDX, BIT(19)},                                     /* ARCH_LBR */
    {0x80000001, 0, ECX, BIT(2) | BIT(10) | BIT(23) | BIT(28)}, /* SVM IBS PerfCtr */
    {0x40000001, 0, EAX, BIT(4) | BIT(10) | BIT(14) | BIT(15)}, /* async page faults, MSI */
};

/* Leaves that are emptied: perf counters, SGX, trace, LBR, SVM, IBS, AMD's perf counters. */
static const uint32_t emptied[] = {0xa, 0x12, 0x14, 0x1c, 0x8000000a, 0x8000001b, 0x80000022};

unsigned x86_apic_bits(unsigned count)
{
    unsigned bits = 0;

    while ((1u << bits) < count)
        bits++;
    return bits;
}

static uint32_t *reg_of(struct kvm_cpuid_entry2 *e, enum cpuid_register r)
{
    uint32_t *regs[] = {&e->eax, &e->ebx, &e->ecx, &e->edx};

    return regs[r];
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < c->nent; i++)
        if (c->entries[i].function == function && c->entries[i].index == index)
            return &c->entries[i];
    return NULL;
}

static void set_field(uint32_t *reg, unsigned low, unsigned width, uint32_t value)
{
    uint32_t mask = (BIT(width) - 1) << low;

    *reg = (*reg & ~mask) | ((value << low) & mask);
}

static void remove_features(struct kvm_cpuid2 *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(removed); i++) {
        struct kvm_cpuid_entry2 *e = find(c, removed[i].function, removed[i].index);

        if (e)
            *reg_of(e, removed[i].reg) &= ~removed[i].bits;
    }
    for (uint32_t i = 0; i < c->nent; i++) {
        struct kvm_cpuid_entry2 *e = &c->entries[i];

        for (size_t k = 0; k < ARRAY_SIZE(emptied); k++)
            if (e->function == emptied[k])
                e->eax = e->ebx = e->ecx = e->edx = 0;
    }
}

static void set_leaf_1(struct kvm_cpuid2 *c, const struct x86_cpu *cpu)
{
    struct kvm_cpuid_entry2 *e = find(c, 0x1, 0);

    if (!e)
        return;
    set_field(&e->ebx, 24, 8, cpu->index);
    set_field(&e->ebx, 16, 8, BIT(x86_apic_bits(cpu->count)));
    set_field(&e->ebx, 8, 8, 8); /* CLFLUSH: 64 bytes */
    e->ecx |= BIT(31);           /* a hypervisor is here */
    set_field(&e->ecx, 24, 1, cpu->tsc_deadline);
    set_field(&e->edx, 28, 1, cpu->count > 1); /* HTT: the count in EBX is valid */
}

/* Without this bit the kernel wants the PIT as broadcast timer. */
static void set_arat(struct kvm_cpuid2 *c)
{
    struct kvm_cpuid_entry2 *e = find(c, 0x6, 0);

    if (e)
        e->eax |= BIT(2);
}

/* The highest level is shared by all CPUs, the others by none. */
static void set_cache_sharing(struct kvm_cpuid2 *c, const struct x86_cpu *cpu, uint32_t function)
{
    uint32_t all = BIT(x86_apic_bits(cpu->count)) - 1;

    for (uint32_t i = 0; i < c->nent; i++) {
        struct kvm_cpuid_entry2 *e = &c->entries[i];

        if (e->function != function || !(e->eax & CACHE_TYPE_MASK))
            continue;
        set_field(&e->eax, 14, 12, CACHE_LEVEL(e->eax) >= 3 ? all : 0);
        if (function == 0x4)
            set_field(&e->eax, 26, 6, all);
    }
}

static void drop_leaf(struct kvm_cpuid2 *c, uint32_t function)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < c->nent; i++)
        if (c->entries[i].function != function)
            c->entries[kept++] = c->entries[i];
    c->nent = kept;
}

static void add_level(struct kvm_cpuid2 *c, uint32_t function, uint32_t index, uint32_t shift,
                      uint32_t count, uint32_t type, uint32_t apic_id)
{
    c->entries[c->nent++] = (struct kvm_cpuid_entry2){
        .function = function,
        .index = index,
        .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        .eax = shift,
        .ebx = count,
        .ecx = type << 8 | index,
        .edx = apic_id,
    };
}

/* Extended topology: one thread a core, all cores in one package. */
static void set_topology(struct kvm_cpuid2 *c, const struct x86_cpu *cpu, uint32_t function)
{
    enum { LEVEL_NONE, LEVEL_SMT, LEVEL_CORE };
    struct kvm_cpuid_entry2 *leaf0 = find(c, 0x0, 0);

    drop_leaf(c, function);
    if (!leaf0 || leaf0->eax < function)
        return;
    add_level(c, function, 0, 0, 1, LEVEL_SMT, cpu->index);
    add_level(c, function, 1, x86_apic_bits(cpu->count), cpu->count, LEVEL_CORE, cpu->index);
    add_level(c, function, 2, 0, 0, LEVEL_NONE, cpu->index);
}

static bool is_amd(struct kvm_cpuid2 *c)
{
    const struct kvm_cpuid_entry2 *e = find(c, 0x0, 0);

    return e && (memcmp(&e->ebx, "Auth", 4) == 0 || memcmp(&e->ebx, "Hygo", 4) == 0);
}

/* AMD says the topology three times, and kernels compare. */
static void set_amd_topology(struct kvm_cpuid2 *c, const struct x86_cpu *cpu)
{
    struct kvm_cpuid_entry2 *features = find(c, 0x80000001, 0);
    struct kvm_cpuid_entry2 *sizes = find(c, 0x80000008, 0);
    struct kvm_cpuid_entry2 *ids = find(c, 0x8000001e, 0);

    if (!is_amd(c))
        return;
    if (features) {
        set_field(&features->ecx, 1, 1, cpu->count > 1); /* CmpLegacy */
        if (!ids)
            set_field(&features->ecx, 22, 1, 0); /* topology extensions */
    }
    if (sizes) {
        set_field(&sizes->ecx, 0, 8, cpu->count - 1);
        set_field(&sizes->ecx, 12, 4, x86_apic_bits(cpu->count));
    }
    if (ids) {
        ids->eax = cpu->index;
        ids->ebx = cpu->index; /* core id; one thread a core */
        ids->ecx = 0;          /* one node */
        ids->edx = 0;
    }
}

void x86_cpuid_filter(struct kvm_cpuid2 *c, const struct x86_cpu *cpu)
{
    remove_features(c);
    set_leaf_1(c, cpu);
    set_arat(c);
    set_cache_sharing(c, cpu, 0x4);
    set_cache_sharing(c, cpu, 0x8000001d);
    set_topology(c, cpu, 0xb);
    set_topology(c, cpu, 0x1f);
    set_amd_topology(c, cpu);
}
