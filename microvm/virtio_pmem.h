#ifndef MICROVM_VIRTIO_PMEM_H
#define MICROVM_VIRTIO_PMEM_H

#include <stdint.h>

#include "microvm/virtio_device.h"

/**
 * A read-only file as memory (virtio 1.2, 5.19).
 *
 * The file itself is a memory slot of the machine. A flush is answered and does nothing, as the
 * guest cannot write; without the answer it would hang in sync(2) and when it powers off.
 *
 * @address, @size  where it is in the guest: multiples of 16 MiB suit Linux
 */
struct virtio_device *virtio_pmem_open(uint64_t address, uint64_t size);

#endif
