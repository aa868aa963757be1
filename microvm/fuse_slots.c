#include "microvm/fuse_slots.h"

#include <assert.h>
#include <stdlib.h>

#include "base/auto.h"

#define FIRST_SIZE 64u

static size_t slot_take(struct fuse_slots *slots)
{
    size_t index;

    if (slots->first_free != 0) {
        index = slots->first_free - 1;
        slots->first_free = slots->slots[index].next_free;
        return index;
    }
    if (slots->used == slots->size) {
        slots->size = slots->size == 0 ? FIRST_SIZE : slots->size * 2;
        slots->slots = xrealloc(slots->slots, slots->size, sizeof(*slots->slots));
    }
    return slots->used++;
}

uint64_t fuse_slots_add(struct fuse_slots *slots, void *item)
{
    struct fuse_slot *slot;
    size_t index;

    assert(item != NULL);
    /* Indexes are half of a number. */
    assert(slots->max < UINT32_MAX);
    if (slots->first_free == 0 && slots->used == slots->max)
        return 0;
    index = slot_take(slots);
    slot = &slots->slots[index];
    /* The serial is 0 for the first one alone, so that it is 1: the root of FUSE. */
    slot->id = (uint64_t)slots->serial << 32 | (index + 1);
    if (++slots->serial == 0)
        slots->serial = 1;
    slot->item = item;
    return slot->id;
}

void *fuse_slots_find(const struct fuse_slots *slots, uint64_t id)
{
    size_t index = (uint32_t)id;

    if (index == 0 || index > slots->used || slots->slots[index - 1].id != id)
        return NULL;
    return slots->slots[index - 1].item;
}

void fuse_slots_remove(struct fuse_slots *slots, uint64_t id)
{
    size_t index = (uint32_t)id;

    assert(fuse_slots_find(slots, id) != NULL);
    slots->slots[index - 1].item = NULL;
    slots->slots[index - 1].next_free = slots->first_free;
    slots->first_free = index;
}

void *fuse_slots_at(const struct fuse_slots *slots, size_t index)
{
    assert(index < slots->used);
    return slots->slots[index].item;
}

void fuse_slots_clear(struct fuse_slots *slots)
{
    free(slots->slots);
    *slots = (struct fuse_slots){ .max = slots->max };
}
