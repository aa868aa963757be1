#include "microvm/fuse_slots.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/auto.h"

#define FIRST_SIZE 64u

/* One that was never in use. */
static size_t slot_append(struct fuse_slots *slots)
{
    if (slots->used == slots->size) {
        slots->size = slots->size == 0 ? FIRST_SIZE : slots->size * 2;
        slots->slots = xrealloc(slots->slots, slots->size, sizeof(*slots->slots));
    }
    slots->slots[slots->used] = (struct fuse_slot){ 0 };
    return slots->used++;
}

static size_t slot_take(struct fuse_slots *slots)
{
    size_t index;

    if (slots->first_free == 0)
        return slot_append(slots);
    index = slots->first_free - 1;
    slots->first_free = slots->slots[index].next_free;
    return index;
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

int fuse_slots_put(struct fuse_slots *slots, uint64_t id, void *item)
{
    const size_t index = (uint32_t)id;

    assert(item != NULL);
    assert(slots->first_free == 0);
    if (index == 0 || index > slots->max ||
        (index <= slots->used && slots->slots[index - 1].item != NULL))
        return -EINVAL;
    while (slots->used < index)
        (void)slot_append(slots);
    slots->slots[index - 1] = (struct fuse_slot){ .id = id, .item = item };
    return 0;
}

void fuse_slots_resume(struct fuse_slots *slots, uint32_t serial)
{
    for (size_t i = slots->used; i > 0; i--) {
        struct fuse_slot *slot = &slots->slots[i - 1];

        if (slot->item != NULL)
            continue;
        slot->next_free = slots->first_free;
        slots->first_free = i;
    }
    /* 0 is of the very first number alone. */
    slots->serial = serial == 0 && slots->used > 0 ? 1 : serial;
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
