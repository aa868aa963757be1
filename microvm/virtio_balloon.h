#ifndef MICROVM_VIRTIO_BALLOON_H
#define MICROVM_VIRTIO_BALLOON_H

#include <stdint.h>

#include "microvm/virtio_device.h"

/**
 * Takes memory back from the guest (virtio 1.2, 5.5): what it reports as free by itself, and what
 * virtio_balloon_set_target() asks for.
 *
 * The guest's memory has to be private and anonymous: a page that is given back reads as zero.
 */
struct virtio_device *virtio_balloon_open(void);

/** Asks the guest to give @bytes of its memory back; less than before lets it have some again. Any
 * thread. */
void virtio_balloon_set_target(struct virtio_device *device, uint64_t bytes);
/** What the guest says it has given back. Any thread. */
uint64_t virtio_balloon_given(struct virtio_device *device);

#endif
