#include "microvm/virtqueue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* The rings are little-endian, and so is this machine. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "virtio needs a conversion here");

/* Offsets in the used ring. */
#define USED_INDEX 2
#define USED_RING  4

static uint64_t available_bytes(uint32_t size)
{
    return 6 + 2ull * size;
}

static uint64_t used_bytes(uint32_t size)
{
    return 6 + sizeof(struct vring_used_elem) * (uint64_t)size;
}

int virtqueue_open(struct virtqueue *queue, const struct guest_memory *memory,
                   const struct virtqueue_layout *layout, uint64_t features, struct error *err)
{
    uint32_t size = layout->size;
    struct virtqueue opened = {
        .memory = memory,
        .size = (uint16_t)size,
        .has_event_index = (features & 1ull << VIRTIO_RING_F_EVENT_IDX) != 0,
        .has_indirect = (features & 1ull << VIRTIO_RING_F_INDIRECT_DESC) != 0,
    };

    assert(queue != NULL);
    assert(memory != NULL);

    if (size == 0 || size > VIRTQUEUE_SIZE_MAX || (size & (size - 1)) != 0)
        return error_set(err, EINVAL, "a queue of %u entries", size);
    if (layout->descriptors % VRING_DESC_ALIGN_SIZE != 0 ||
        layout->available % VRING_AVAIL_ALIGN_SIZE != 0 ||
        layout->used % VRING_USED_ALIGN_SIZE != 0)
        return error_set(err, EINVAL, "a ring is not aligned");
    opened.descriptors = guest_memory_readable(memory, layout->descriptors,
                                               sizeof(struct vring_desc) * (uint64_t)size);
    opened.available = guest_memory_readable(memory, layout->available, available_bytes(size));
    opened.used = guest_memory_writable(memory, layout->used, used_bytes(size));
    if (opened.descriptors == NULL || opened.available == NULL || opened.used == NULL)
        return error_set(err, EINVAL, "a ring is not in the guest's memory");
    *queue = opened;
    return 0;
}

struct virtqueue_position virtqueue_position(const struct virtqueue *queue)
{
    assert(queue != NULL);
    return (struct virtqueue_position){ .next_available = queue->next_available,
                                        .next_used = queue->published,
                                        .signalled = queue->signalled,
                                        .is_broken = queue->is_broken };
}

void virtqueue_set_position(struct virtqueue *queue, const struct virtqueue_position *position)
{
    assert(queue != NULL);
    assert(position != NULL);
    queue->next_available = position->next_available;
    queue->next_used = queue->published = position->next_used;
    queue->signalled = position->signalled;
    queue->is_broken = position->is_broken != 0;
}

static uint16_t load_16(const uint16_t *from)
{
    return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

static int break_queue(struct virtqueue *queue)
{
    queue->is_broken = true;
    return -EBADMSG;
}

/* --- chains -------------------------------------------------------------------------------- */

/* A table in the guest, at any alignment. */
static struct vring_desc load_descriptor(const uint8_t *table, uint32_t index)
{
    struct vring_desc descriptor;

    memcpy(&descriptor, table + index * sizeof(descriptor), sizeof(descriptor));
    /* Checked and used is this copy: it may not be read from the guest again. */
    __asm__ volatile("" ::: "memory");
    return descriptor;
}

static int add_segment(struct virtqueue *queue, struct virtqueue_chain *chain,
                       const struct vring_desc *descriptor)
{
    bool is_writable = (descriptor->flags & VRING_DESC_F_WRITE) != 0;
    struct guest_bytes *run = is_writable ? &chain->writable : &chain->readable;
    size_t count = chain->readable.count + chain->writable.count;
    void *host;

    /* A chain is at most as long as the queue, so a loop ends here. */
    if (count == queue->size)
        return break_queue(queue);
    if (!is_writable && chain->writable.count > 0) /* all readable ones come first */
        return break_queue(queue);
    if (is_writable)
        host = guest_memory_writable(queue->memory, descriptor->addr, descriptor->len);
    else
        host = (void *)guest_memory_readable(queue->memory, descriptor->addr, descriptor->len);
    if (host == NULL)
        return break_queue(queue);
    if (run->count == 0)
        run->segments = &chain->segments[count];
    chain->segments[count] = (struct iovec){ .iov_base = host, .iov_len = descriptor->len };
    run->count++;
    run->length += descriptor->len;
    return 0;
}

/* The table that an indirect descriptor names. */
static const uint8_t *find_table(const struct virtqueue *queue, const struct vring_desc *descriptor,
                                 uint32_t *ret_size)
{
    if (!queue->has_indirect || (descriptor->flags & VRING_DESC_F_NEXT) != 0 ||
        descriptor->len % sizeof(*descriptor) != 0)
        return NULL;
    *ret_size = descriptor->len / (uint32_t)sizeof(*descriptor);
    return guest_memory_readable(queue->memory, descriptor->addr, descriptor->len);
}

static int walk_chain(struct virtqueue *queue, struct virtqueue_chain *chain)
{
    const uint8_t *table = queue->descriptors;
    uint32_t table_size = queue->size;
    uint32_t index = chain->head;
    bool is_indirect = false;

    for (;;) {
        struct vring_desc descriptor;
        int r;

        if (index >= table_size)
            return break_queue(queue);
        descriptor = load_descriptor(table, index);
        if ((descriptor.flags & VRING_DESC_F_INDIRECT) != 0) {
            table = is_indirect ? NULL : find_table(queue, &descriptor, &table_size);
            if (table == NULL)
                return break_queue(queue);
            is_indirect = true;
            index = 0;
            continue;
        }
        r = add_segment(queue, chain, &descriptor);
        if (r < 0)
            return r;
        if ((descriptor.flags & VRING_DESC_F_NEXT) == 0)
            return 0;
        index = descriptor.next;
    }
}

/* --- rings --------------------------------------------------------------------------------- */

/* How many chains wait; asks for a notification when there are none. */
static uint16_t waiting_chains(struct virtqueue *queue)
{
    uint16_t index = load_16(&queue->available[1]);

    if (index != queue->next_available)
        return (uint16_t)(index - queue->next_available);
    if (!queue->has_event_index) /* the driver always notifies */
        return 0;
    __atomic_store_n(
        (uint16_t *)(queue->used + USED_RING + sizeof(struct vring_used_elem) * queue->size),
        queue->next_available, __ATOMIC_RELEASE);
    /* A chain may have come before the driver saw that: look after it is sure to see it. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return (uint16_t)(load_16(&queue->available[1]) - queue->next_available);
}

int virtqueue_next(struct virtqueue *queue, struct virtqueue_chain *ret_chain)
{
    uint16_t waiting;
    int r;

    assert(queue != NULL);
    assert(ret_chain != NULL);

    if (queue->is_broken)
        return -EBADMSG;
    if (queue->size == 0)
        return 0;
    waiting = waiting_chains(queue);
    if (waiting == 0)
        return 0;
    if (waiting > queue->size)
        return break_queue(queue);
    ret_chain->head = load_16(&queue->available[2 + queue->next_available % queue->size]);
    ret_chain->readable = (struct guest_bytes){ 0 };
    ret_chain->writable = (struct guest_bytes){ 0 };
    r = walk_chain(queue, ret_chain);
    if (r < 0)
        return r;
    queue->next_available++;
    return 1;
}

void virtqueue_undo(struct virtqueue *queue, unsigned chains)
{
    queue->next_available = (uint16_t)(queue->next_available - chains);
    queue->next_used = queue->published;
}

void virtqueue_put(struct virtqueue *queue, uint16_t head, uint32_t written_bytes)
{
    struct vring_used_elem element = { .id = head, .len = written_bytes };

    memcpy(queue->used + USED_RING + sizeof(element) * (queue->next_used % queue->size), &element,
           sizeof(element));
    queue->next_used++;
}

void virtqueue_publish(struct virtqueue *queue)
{
    queue->published = queue->next_used;
    __atomic_store_n((uint16_t *)(queue->used + USED_INDEX), queue->published, __ATOMIC_RELEASE);
}

bool virtqueue_wants_interrupt(struct virtqueue *queue)
{
    uint16_t old = queue->signalled;
    uint16_t event;

    if (queue->published == old)
        return false;
    queue->signalled = queue->published;
    /* The driver writes its wish, then looks at the used index; we do it the other way around. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!queue->has_event_index)
        return (load_16(&queue->available[0]) & VRING_AVAIL_F_NO_INTERRUPT) == 0;
    event = load_16(&queue->available[2 + queue->size]);
    return (uint16_t)(queue->published - event - 1) < (uint16_t)(queue->published - old);
}
