#ifndef MICROVM_FUSE_SLOTS_H
#define MICROVM_FUSE_SLOTS_H

#include <stddef.h>
#include <stdint.h>

/* Numbers for things that a guest may name: found in one step, never used twice, and any number
 * that was not given out names nothing. Starts as { 0 }, with its limit set. */

struct fuse_slot {
    uint64_t id; /* low half: its index */
    void *item;  /* NULL: free */
    size_t next_free;
};

struct fuse_slots {
    size_t max; /* things at the same time */
    struct fuse_slot *slots;
    size_t size;
    size_t used;       /* slots that ever were in use */
    size_t first_free; /* index + 1; 0: none */
    uint32_t serial;
};

/** Returns the number, from 1 on; the first one is 1. 0: there are as many as may be. */
uint64_t fuse_slots_add(struct fuse_slots *slots, void *item);
/**
 * Gives a thing the number that it had in another table, before any is given out here;
 * fuse_slots_resume() comes behind the last one.
 *
 * Returns 0, or -EINVAL: the number cannot be, or is taken.
 */
int fuse_slots_put(struct fuse_slots *slots, uint64_t id, void *item);
/** @serial  of that table, so that no number is given out again */
void fuse_slots_resume(struct fuse_slots *slots, uint32_t serial);
/** NULL: no such number. */
void *fuse_slots_find(const struct fuse_slots *slots, uint64_t id);
/** @id must be in use. */
void fuse_slots_remove(struct fuse_slots *slots, uint64_t id);
/** For a walk: the thing at @index, which may be NULL; up to slots->used. */
void *fuse_slots_at(const struct fuse_slots *slots, size_t index);
/** Forgets all and frees the table, not the things; only the limit stays. */
void fuse_slots_clear(struct fuse_slots *slots);

#endif
