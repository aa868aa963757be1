#ifndef MICROVM_BOOT_H
#define MICROVM_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "microvm/kernel_image.h"

/* What a kernel finds in memory when it is entered: its arguments, the memory map, a random seed.
 */

#define BOOT_SEED_SIZE 32

struct guest_memory;

struct boot_plan {
    const struct kernel_image *image; /* borrowed */
    uint64_t memory_bytes;            /* RAM, below and above the hole together */
    const char *cmdline;              /* borrowed */
    uint64_t initrd_address;
    uint64_t initrd_size; /* 0: there is none */
};

/** RAM below and above the hole. Pure. */
uint64_t boot_low_memory(uint64_t memory_bytes);
uint64_t boot_high_memory(uint64_t memory_bytes);

/**
 * Decides where the initrd goes, and whether all fits. Pure.
 *
 * @image, @cmdline  borrowed as long as the plan is used
 *
 * Returns 0, or -ENOSPC (more memory would help), or -EINVAL.
 */
int boot_plan(const struct kernel_image *image, uint64_t memory_bytes, const char *cmdline,
              uint64_t initrd_size, struct boot_plan *ret_plan, struct error *err);

/**
 * Writes GDT, page tables, command line and the kernel's arguments, into memory that is all zero.
 *
 * @memory  has RAM up to 1 MiB at least
 * @seed    random bytes for the kernel's generator; not for PVH, which has no place for them
 */
void boot_write(const struct boot_plan *plan, const uint8_t seed[BOOT_SEED_SIZE],
                const struct guest_memory *memory);

#endif
