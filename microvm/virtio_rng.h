#ifndef MICROVM_VIRTIO_RNG_H
#define MICROVM_VIRTIO_RNG_H

#include "microvm/virtio_device.h"

/** Random numbers of the host (virtio 1.2, 5.4). */
struct virtio_device *virtio_rng_open(void);

#endif
