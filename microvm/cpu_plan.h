#ifndef MICROVM_CPU_PLAN_H
#define MICROVM_CPU_PLAN_H

#include <linux/kvm.h>
#include <stdint.h>

#include "microvm/kernel_image.h"

/* What a virtual CPU is told about itself, and in which state the first one begins. Pure. */

/**
 * Adapts what KVM supports (KVM_GET_SUPPORTED_CPUID) to one of several CPUs: its ids, the topology,
 * one thread per core, one package.
 *
 * @entries  has room for what KVM returned; changed in place
 */
void cpu_cpuid_plan(struct kvm_cpuid_entry2 *entries, uint32_t count, uint32_t index,
                    uint32_t cpus);

/** Changes the special registers that a new CPU has so that it begins at the kernel's entry. */
void cpu_sregs_plan(enum kernel_entry entry, struct kvm_sregs *sregs);
void cpu_regs_plan(enum kernel_entry entry, uint64_t entry_address, struct kvm_regs *ret_regs);
/** The local APIC's two pins: interrupts of the PIC, and NMI. */
void cpu_lapic_plan(struct kvm_lapic_state *lapic);

#endif
