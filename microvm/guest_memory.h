#ifndef MICROVM_GUEST_MEMORY_H
#define MICROVM_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The guest's memory as the VMM sees it: a few regions, each contiguous on both sides.
 *
 * Every address that comes from the guest goes through the functions below. What they return points
 * into memory that the guest changes at any time: copy a value once, then check it, then use it. */

/* RAM below and above the hole, and the image of the root. */
#define GUEST_MEMORY_REGIONS_MAX 4

struct guest_region {
    uint64_t address; /* in the guest */
    uint64_t size;
    uint8_t *host;     /* borrowed; lives as long as the machine */
    bool is_read_only; /* devices may read from it (a DAX page is sent), never write */
};

struct guest_memory {
    struct guest_region regions[GUEST_MEMORY_REGIONS_MAX];
    size_t region_count;
};

/**
 * Adds a region. Regions may not overlap and may not wrap around.
 *
 * Returns 0, -EINVAL, or -ENOSPC when there are GUEST_MEMORY_REGIONS_MAX already.
 */
int guest_memory_add(struct guest_memory *memory, const struct guest_region *region,
                     struct error *err);

/** The bytes at @address, wholly within one region; NULL when they are not, or @length is 0. */
const void *guest_memory_readable(const struct guest_memory *memory, uint64_t address,
                                  uint64_t length);
/** As above, in a region that may be written. */
void *guest_memory_writable(const struct guest_memory *memory, uint64_t address, uint64_t length);

/** Copies out of the guest. False, and nothing copied, when the range is not readable. */
bool guest_memory_read(const struct guest_memory *memory, uint64_t address, void *bytes,
                       size_t length);
/** Copies into the guest. False, and nothing copied, when the range is not writable. */
bool guest_memory_write(const struct guest_memory *memory, uint64_t address, const void *bytes,
                        size_t length);

#endif
