#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <string.h>

#include "base/auto.h"
#include "microvm/virtio_mmio.h"

/* A driver for tests: sets a device up by its registers and puts chains into its queues, right ones
 * or wrong ones, in memory of its own. */

#define DRIVER_MEMORY     (1u << 20)
#define DRIVER_BASE       0x10000ull /* where this memory is in the guest */
#define DRIVER_IMAGE      0x40000000ull
#define DRIVER_QUEUE_SIZE 16
/* Each queue has a part of the memory for its rings; buffers of a test start behind all of them. */
#define DRIVER_QUEUE_STRIDE 0x1000u
#define DRIVER_BUFFERS      0x10000u

#define DRIVER_EVENT_INDEX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define DRIVER_INDIRECT    (1ull << VIRTIO_RING_F_INDIRECT_DESC)

struct driver_queue {
    struct vring_desc *descriptors;
    uint16_t *available; /* flags, index, ring, used event */
    uint16_t *used;      /* flags, index, ring of 8 bytes each, available event */
    uint16_t next_descriptor;
    uint16_t seen_used;
};

struct driver {
    struct guest_memory memory;
    struct virtio_device *device;
    struct virtio_mmio *mmio;
    struct driver_queue queues[VIRTIO_QUEUES_MAX];
};

/* What a test puts into a chain: an offset in the driver's memory. */
struct driver_segment {
    uint32_t offset;
    uint32_t length;
    bool is_writable;
};

static uint8_t driver_memory[DRIVER_MEMORY] __attribute__((aligned(4096)));
static uint8_t driver_image[4096] __attribute__((aligned(4096)));

static inline uint32_t driver_read(const struct driver *driver, uint64_t offset)
{
    uint32_t value;

    virtio_mmio_read(driver->mmio, offset, &value, sizeof(value));
    return value;
}

static inline void driver_write(const struct driver *driver, uint64_t offset, uint32_t value)
{
    virtio_mmio_write(driver->mmio, offset, &value, sizeof(value));
}

/* Writes a 64-bit register that has a low and a high half. */
static inline void driver_write_pair(const struct driver *driver, uint64_t offset, uint64_t value)
{
    driver_write(driver, offset, (uint32_t)value);
    driver_write(driver, offset + 4, (uint32_t)(value >> 32));
}

/* RAM, and a read-only image far away. */
static inline void driver_open(struct driver *driver, struct virtio_device *device)
{
    const struct guest_region ram = { DRIVER_BASE, DRIVER_MEMORY, driver_memory, false };
    const struct guest_region image = { DRIVER_IMAGE, sizeof(driver_image), driver_image, true };
    int r;

    memset(driver_memory, 0, sizeof(driver_memory));
    *driver = (struct driver){ .device = device };
    r = guest_memory_add(&driver->memory, &ram, NULL);
    assert(r == 0);
    r = guest_memory_add(&driver->memory, &image, NULL);
    assert(r == 0);
    r = virtio_mmio_open(device, &driver->memory, NULL, -1, &driver->mmio, NULL);
    assert(r == 0);
}

static inline void driver_close(struct driver *driver)
{
    virtio_mmio_free(driver->mmio);
    driver->mmio = NULL;
}

/* Up to FEATURES_OK; returns what the status register says then. */
static inline uint32_t driver_negotiate(const struct driver *driver, uint64_t features)
{
    driver_write(driver, VIRTIO_MMIO_STATUS, 0);
    driver_write(driver, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
    driver_write(driver, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
    driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
    driver_write(driver, VIRTIO_MMIO_STATUS,
                 VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                     VIRTIO_CONFIG_S_FEATURES_OK);
    return driver_read(driver, VIRTIO_MMIO_STATUS);
}

static inline void driver_set_queue(struct driver *driver, unsigned index)
{
    uint32_t start = index * DRIVER_QUEUE_STRIDE;
    struct driver_queue *queue = &driver->queues[index];

    memset(driver_memory + start, 0, DRIVER_QUEUE_STRIDE);
    *queue = (struct driver_queue){
        .descriptors = (void *)(driver_memory + start),
        .available = (void *)(driver_memory + start + 0x400),
        .used = (void *)(driver_memory + start + 0x800),
    };
    driver_write(driver, VIRTIO_MMIO_QUEUE_SEL, index);
    driver_write(driver, VIRTIO_MMIO_QUEUE_NUM, DRIVER_QUEUE_SIZE);
    driver_write_pair(driver, VIRTIO_MMIO_QUEUE_DESC_LOW, DRIVER_BASE + start);
    driver_write_pair(driver, VIRTIO_MMIO_QUEUE_AVAIL_LOW, DRIVER_BASE + start + 0x400);
    driver_write_pair(driver, VIRTIO_MMIO_QUEUE_USED_LOW, DRIVER_BASE + start + 0x800);
    driver_write(driver, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* Sets everything up, with the given features besides VERSION_1. */
static inline void driver_start(struct driver *driver, uint64_t features)
{
    uint32_t status = driver_negotiate(driver, features | 1ull << VIRTIO_F_VERSION_1);

    assert((status & VIRTIO_CONFIG_S_FEATURES_OK) != 0);
    for (unsigned i = 0; i < virtio_mmio_queue_count(driver->mmio); i++)
        driver_set_queue(driver, i);
    driver_write(driver, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Puts @head into the available ring; nobody is told. */
static inline void driver_offer(struct driver *driver, unsigned index, uint16_t head)
{
    struct driver_queue *queue = &driver->queues[index];

    queue->available[2 + queue->available[1] % DRIVER_QUEUE_SIZE] = head;
    queue->available[1]++;
}

/* Adds a chain and offers it; returns its head. */
static inline uint16_t driver_add(struct driver *driver, unsigned index,
                                  const struct driver_segment *segments, size_t count)
{
    struct driver_queue *queue = &driver->queues[index];
    uint16_t head = queue->next_descriptor % DRIVER_QUEUE_SIZE;

    for (size_t i = 0; i < count; i++) {
        uint16_t at = queue->next_descriptor++ % DRIVER_QUEUE_SIZE;

        queue->descriptors[at] = (struct vring_desc){
            .addr = DRIVER_BASE + segments[i].offset,
            .len = segments[i].length,
            .flags = (uint16_t)((segments[i].is_writable ? VRING_DESC_F_WRITE : 0) |
                                (i + 1 < count ? VRING_DESC_F_NEXT : 0)),
            .next = queue->next_descriptor % DRIVER_QUEUE_SIZE,
        };
    }
    driver_offer(driver, index, head);
    return head;
}

static inline void driver_notify(struct driver *driver, unsigned index)
{
    driver_write(driver, VIRTIO_MMIO_QUEUE_NOTIFY, index);
}

static inline uint16_t driver_send(struct driver *driver, unsigned index,
                                   const struct driver_segment *segments, size_t count)
{
    uint16_t head = driver_add(driver, index, segments, count);

    driver_notify(driver, index);
    return head;
}

/* The next finished chain: its length, and its head when that is wanted. -1: none is finished. */
static inline int64_t driver_take(struct driver *driver, unsigned index, uint32_t *ret_head)
{
    struct driver_queue *queue = &driver->queues[index];
    struct vring_used_elem element;

    if (queue->used[1] == queue->seen_used)
        return -1;
    memcpy(&element,
           (uint8_t *)queue->used + 4 + sizeof(element) * (queue->seen_used % DRIVER_QUEUE_SIZE),
           sizeof(element));
    queue->seen_used++;
    if (ret_head != NULL)
        *ret_head = element.id;
    return element.len;
}

/* The reasons of interrupts since the last call. */
static inline uint32_t driver_interrupts(struct driver *driver)
{
    uint32_t status = driver_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS);

    driver_write(driver, VIRTIO_MMIO_INTERRUPT_ACK, status);
    return status;
}

static inline bool driver_is_broken(const struct driver *driver)
{
    return (driver_read(driver, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
}

#endif
