#ifndef MICROVM_VIRTQUEUE_H
#define MICROVM_VIRTQUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "microvm/guest_bytes.h"
#include "microvm/guest_memory.h"

/* One split virtqueue, seen from the device (virtio 1.2, 2.7), in memory that a hostile guest
 * writes to all the time. Each index, descriptor and flag is read once, checked, then used. A ring
 * that is wrong makes the queue broken: it gives no chain any more. */

#define VIRTQUEUE_SIZE_MAX 256

/* As the driver set it up. */
struct virtqueue_layout {
    uint32_t size; /* a power of two up to VIRTQUEUE_SIZE_MAX */
    uint64_t descriptors;
    uint64_t available;
    uint64_t used;
};

/* All zero: a queue that the driver did not set up, and that never has a chain. */
struct virtqueue {
    const struct guest_memory *memory;
    uint16_t size;
    bool has_event_index;
    bool has_indirect;
    bool is_broken;
    const uint8_t *descriptors; /* these three point into the guest */
    const uint16_t *available;  /* flags, index, ring[size], used event */
    uint8_t *used;              /* flags, index, ring[size], available event */
    uint16_t next_available;    /* the next entry to be taken */
    uint16_t next_used;         /* where the next finished chain goes */
    uint16_t published;         /* the used index that the guest sees */
    uint16_t signalled;         /* the used index at the last interrupt */
};

/* What the driver put up for the device: bytes to read, then bytes to write. May not be copied, as
 * both runs point into @segments. */
struct virtqueue_chain {
    uint16_t head; /* its name towards the driver */
    struct guest_bytes readable;
    struct guest_bytes writable;
    struct iovec segments[VIRTQUEUE_SIZE_MAX];
};

/**
 * Begins to use a queue.
 *
 * @features  what the driver accepted: VIRTIO_RING_F_EVENT_IDX and VIRTIO_RING_F_INDIRECT_DESC
 * count
 *
 * -EINVAL: the size is not allowed, or a ring is misaligned or not in the guest's memory.
 */
int virtqueue_open(struct virtqueue *queue, const struct guest_memory *memory,
                   const struct virtqueue_layout *layout, uint64_t features, struct error *err);

/* Where a queue stands, to go on with it in another process. */
struct virtqueue_position {
    uint16_t next_available;
    uint16_t next_used;
    uint16_t signalled;
    uint16_t is_broken;
};

/** What is put and not published does not count. */
struct virtqueue_position virtqueue_position(const struct virtqueue *queue);
void virtqueue_set_position(struct virtqueue *queue, const struct virtqueue_position *position);

/**
 * Takes the next chain.
 *
 * When there is none, the driver notifies as soon as there is one.
 *
 * Returns 1 and the chain, 0 when there is none, -EBADMSG when the queue is broken.
 */
int virtqueue_next(struct virtqueue *queue, struct virtqueue_chain *ret_chain);
/** Takes back the last @chains calls of virtqueue_next(), and what virtqueue_put() has written
 * since virtqueue_publish(). */
void virtqueue_undo(struct virtqueue *queue, unsigned chains);

/** Writes a finished chain to the used ring; the driver does not see it yet. */
void virtqueue_put(struct virtqueue *queue, uint16_t head, uint32_t written_bytes);
/** Shows all finished chains to the driver. */
void virtqueue_publish(struct virtqueue *queue);
/** Whether the driver wants an interrupt for what was published since it had one. */
bool virtqueue_wants_interrupt(struct virtqueue *queue);

#endif
