#include "microvm/guest_memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int guest_memory_add(struct guest_memory *memory, const struct guest_region *region,
                     struct error *err)
{
    uint64_t end;

    assert(memory != NULL);
    assert(region != NULL);

    if (region->size == 0 || __builtin_add_overflow(region->address, region->size, &end))
        return error_set(err, EINVAL, "guest memory at 0x%llx: no place for %llu bytes",
                         (unsigned long long)region->address, (unsigned long long)region->size);
    for (size_t i = 0; i < memory->region_count; i++) {
        const struct guest_region *other = &memory->regions[i];

        if (region->address < other->address + other->size && other->address < end)
            return error_set(err, EINVAL, "guest memory at 0x%llx: there is memory already",
                             (unsigned long long)region->address);
    }
    if (memory->region_count == GUEST_MEMORY_REGIONS_MAX)
        return error_set(err, ENOSPC, "guest memory at 0x%llx: too many regions",
                         (unsigned long long)region->address);
    memory->regions[memory->region_count++] = *region;
    return 0;
}

static const struct guest_region *find_region(const struct guest_memory *memory, uint64_t address,
                                              uint64_t length)
{
    for (size_t i = 0; i < memory->region_count; i++) {
        const struct guest_region *region = &memory->regions[i];

        /* Subtractions only: an address near 2^64 may not wrap around. */
        if (address >= region->address && address - region->address < region->size &&
            length <= region->size - (address - region->address))
            return region;
    }
    return NULL;
}

const void *guest_memory_readable(const struct guest_memory *memory, uint64_t address,
                                  uint64_t length)
{
    const struct guest_region *region;

    assert(memory != NULL);

    region = find_region(memory, address, length);
    return region == NULL || length == 0 ? NULL : region->host + (address - region->address);
}

void *guest_memory_writable(const struct guest_memory *memory, uint64_t address, uint64_t length)
{
    const struct guest_region *region;

    assert(memory != NULL);

    region = find_region(memory, address, length);
    if (region == NULL || length == 0 || region->is_read_only)
        return NULL;
    return region->host + (address - region->address);
}

bool guest_memory_read(const struct guest_memory *memory, uint64_t address, void *bytes,
                       size_t length)
{
    const void *from = guest_memory_readable(memory, address, length);

    if (from == NULL)
        return false;
    memcpy(bytes, from, length);
    return true;
}

bool guest_memory_write(const struct guest_memory *memory, uint64_t address, const void *bytes,
                        size_t length)
{
    void *to = guest_memory_writable(memory, address, length);

    if (to == NULL)
        return false;
    memcpy(to, bytes, length);
    return true;
}
