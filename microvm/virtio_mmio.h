#ifndef MICROVM_VIRTIO_MMIO_H
#define MICROVM_VIRTIO_MMIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/event.h"
#include "microvm/guest_memory.h"
#include "microvm/machine_state.h"
#include "microvm/virtio_device.h"

/* The registers by which a driver finds and controls one device (virtio 1.2, 4.2.2, version 2).
 *
 * A bus of its own for each device: one page of the guest's addresses and one edge-triggered
 * interrupt. Registers of the queues are ignored once a queue is ready or the device runs. */

/* The size of the window that virtio_mmio_read() and _write() serve. */
#define VIRTIO_MMIO_WINDOW 0x1000

struct virtio_mmio;

/**
 * Puts a device behind registers.
 *
 * @device   owned from now on, also when this fails
 * @memory   borrowed
 * @io_loop  borrowed: the device's work is done there, and it must end before virtio_mmio_free().
 *           NULL for tests: then notifications are served by the write to the register itself
 * @irq_fd   an eventfd, borrowed: 1 is written to interrupt the guest; -1: nothing is
 */
int virtio_mmio_open(struct virtio_device *device, const struct guest_memory *memory,
                     struct event_loop *io_loop, int irq_fd, struct virtio_mmio **ret_mmio,
                     struct error *err);
void virtio_mmio_free(struct virtio_mmio *mmio);
DEFINE_AUTO(virtio_mmio)

unsigned virtio_mmio_queue_count(const struct virtio_mmio *mmio);
/** Whether the driver has set it up. While no CPU runs. */
bool virtio_mmio_queue_is_ready(const struct virtio_mmio *mmio, unsigned queue);
/** An eventfd (borrowed) that does what a write of @queue to VIRTIO_MMIO_QUEUE_NOTIFY does. */
int virtio_mmio_notify_fd(const struct virtio_mmio *mmio, unsigned queue);

/**
 * Nothing happens in the device between the two, and nothing in its queues.
 *
 * For virtio_mmio_save(), of all devices of a machine at once.
 */
void virtio_mmio_lock(struct virtio_mmio *mmio);
void virtio_mmio_unlock(struct virtio_mmio *mmio);
/** Puts the registers, the queues and what the device knows; the device is locked. -EBUSY. */
int virtio_mmio_save(struct virtio_mmio *mmio, struct state_writer *writer, struct error *err);
/**
 * Takes what was put, for a device that was just opened and whose memory is that of the saved one.
 *
 * -EXDEV: the saved device was another one. -EBADMSG: damaged. The device is of no use then.
 */
int virtio_mmio_restore(struct virtio_mmio *mmio, struct state_reader *reader, struct error *err);
/** After a restore: looks for what came into the queues meanwhile, and interrupts the driver once
 * more for what it has not seen. Both are fine when there is nothing. */
void virtio_mmio_resume(struct virtio_mmio *mmio);

/**
 * A virtual CPU reads or writes @length bytes at @offset of the window. Any thread.
 *
 * What cannot be read is zero; what cannot be written is ignored.
 */
void virtio_mmio_read(struct virtio_mmio *mmio, uint64_t offset, void *bytes, size_t length);
void virtio_mmio_write(struct virtio_mmio *mmio, uint64_t offset, const void *bytes, size_t length);

#endif
