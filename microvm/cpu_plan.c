#include "microvm/cpu_plan.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "microvm/layout.h"

/* CPUID (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E). */
#define LEAF_FEATURES    0x1
#define LEAF_CACHES      0x4
#define LEAF_TOPOLOGY    0xb
#define LEAF_TOPOLOGY2   0x1f
#define LEAF_AMD_SIZES   0x80000008
#define LEAF_AMD_TOPO    0x8000001e
#define ECX_TSC_DEADLINE (1U << 24)
#define ECX_HYPERVISOR   (1U << 31)
#define EDX_HTT          (1U << 28)
#define LEVEL_INVALID    0
#define LEVEL_THREAD     1
#define LEVEL_CORE       2

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TASK 0x20
#define GDT_LIMIT     (6 * 8 - 1)
#define CR0_PE        0x1ULL
#define CR0_MP        0x2ULL
#define CR0_ET        0x10ULL
#define CR0_NE        0x20ULL
#define CR0_WP        0x10000ULL
#define CR0_PG        0x80000000ULL
#define CR4_PAE       0x20ULL
#define EFER_LME_LMA  0x500ULL
#define RFLAGS_ALWAYS 0x2ULL
/* The local vector table in the APIC's page. */
#define LAPIC_LVT0 0x350
#define LAPIC_LVT1 0x360
#define LVT_EXTINT 0x700U
#define LVT_NMI    0x400U

/* The bits that hold an index below @cpus. */
static uint32_t index_bits(uint32_t cpus)
{
    uint32_t bits = 0;

    while ((1U << bits) < cpus)
        bits++;
    return bits;
}

static void plan_features(struct kvm_cpuid_entry2 *entry, uint32_t index, uint32_t cpus)
{
    entry->ebx = (entry->ebx & 0xffff) | cpus << 16 | index << 24;
    entry->ecx |= ECX_HYPERVISOR | ECX_TSC_DEADLINE;
    if (cpus > 1)
        entry->edx |= EDX_HTT;
    else
        entry->edx &= ~EDX_HTT;
}

/* Bits 14 to 25: CPUs that share the cache, less 1: the last level all of them, others none. Bits
 * 26 to 31: cores in the package, less 1. */
static void plan_cache(struct kvm_cpuid_entry2 *entry, uint32_t cpus)
{
    const uint32_t level = (entry->eax >> 5) & 7;
    const uint32_t sharing = level >= 3 ? (1U << index_bits(cpus)) - 1 : 0;

    if ((entry->eax & 0x1f) != 0)
        entry->eax =
            (entry->eax & 0x3fff) | sharing << 14 | (((1U << index_bits(cpus)) - 1) & 0x3f) << 26;
}

static void plan_topology(struct kvm_cpuid_entry2 *entry, uint32_t index, uint32_t cpus)
{
    const uint32_t level = entry->index;

    entry->eax = level == 1 ? index_bits(cpus) : 0;
    entry->ebx = level == 0 ? 1 : level == 1 ? cpus : 0;
    entry->ecx = level | (level == 0 ? LEVEL_THREAD : level == 1 ? LEVEL_CORE : LEVEL_INVALID) << 8;
    entry->edx = index;
}

void cpu_cpuid_plan(struct kvm_cpuid_entry2 *entries, uint32_t count, uint32_t index, uint32_t cpus)
{
    assert(entries != NULL);
    assert(index < cpus);

    for (uint32_t i = 0; i < count; i++) {
        struct kvm_cpuid_entry2 *entry = &entries[i];

        switch (entry->function) {
        case LEAF_FEATURES:
            plan_features(entry, index, cpus);
            break;
        case LEAF_CACHES:
            plan_cache(entry, cpus);
            break;
        case LEAF_TOPOLOGY:
        case LEAF_TOPOLOGY2:
            plan_topology(entry, index, cpus);
            break;
        case LEAF_AMD_SIZES:
            entry->ecx = index_bits(cpus) << 12 | (cpus - 1);
            break;
        case LEAF_AMD_TOPO:
            entry->eax = index;
            entry->ebx = index;
            entry->ecx = 0;
            break;
        default:
            break;
        }
    }
}

void cpu_sregs_plan(enum kernel_entry entry, struct kvm_sregs *sregs)
{
    const bool is_long = entry == KERNEL_ENTRY_LINUX64;
    const struct kvm_segment code = {
        .limit = 0xffffffff,
        .selector = SELECTOR_CODE,
        .type = 0xb,
        .present = 1,
        .db = !is_long,
        .s = 1,
        .l = is_long,
        .g = 1,
    };
    const struct kvm_segment data = {
        .limit = 0xffffffff,
        .selector = SELECTOR_DATA,
        .type = 0x3,
        .present = 1,
        .db = 1,
        .s = 1,
        .g = 1,
    };

    assert(sregs != NULL);

    sregs->cs = code;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
    sregs->tr =
        (struct kvm_segment){ .limit = 0x67, .selector = SELECTOR_TASK, .type = 0xb, .present = 1 };
    sregs->gdt = (struct kvm_dtable){ .base = LAYOUT_GDT, .limit = GDT_LIMIT };
    sregs->idt = (struct kvm_dtable){ 0 };
    if (is_long) {
        sregs->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
        sregs->cr3 = LAYOUT_PAGE_TABLES;
        sregs->cr4 = CR4_PAE;
        sregs->efer = EFER_LME_LMA;
    } else {
        sregs->cr0 = CR0_PE | CR0_ET;
        sregs->cr3 = 0;
        sregs->cr4 = 0;
        sregs->efer = 0;
    }
}

void cpu_regs_plan(enum kernel_entry entry, uint64_t entry_address, struct kvm_regs *ret_regs)
{
    assert(ret_regs != NULL);

    *ret_regs =
        (struct kvm_regs){ .rip = entry_address, .rsp = LAYOUT_STACK, .rflags = RFLAGS_ALWAYS };
    if (entry == KERNEL_ENTRY_PVH)
        ret_regs->rbx = LAYOUT_START_INFO;
    else
        ret_regs->rsi = LAYOUT_ZERO_PAGE;
}

static void set_vector(struct kvm_lapic_state *lapic, size_t offset, uint32_t mode)
{
    uint32_t value;

    memcpy(&value, lapic->regs + offset, sizeof(value));
    value = (value & ~0x700U) | mode;
    memcpy(lapic->regs + offset, &value, sizeof(value));
}

void cpu_lapic_plan(struct kvm_lapic_state *lapic)
{
    assert(lapic != NULL);
    set_vector(lapic, LAPIC_LVT0, LVT_EXTINT);
    set_vector(lapic, LAPIC_LVT1, LVT_NMI);
}
