#ifndef MICROVM_VIRTIO_BLK_H
#define MICROVM_VIRTIO_BLK_H

#include <stdbool.h>

#include "microvm/virtio_device.h"

/** The longest serial number that a guest can see. */
#define VIRTIO_BLK_SERIAL_MAX 20

/**
 * A disk (virtio 1.2, 5.2) that is a file or a block device without any format of its own.
 *
 * Data goes between the file and the guest's memory without a copy. Space that the guest discards
 * becomes a hole of the file.
 *
 * @fd      borrowed until the device is freed; its size is the disk's, in whole sectors
 * @serial  what the guest sees as the disk's serial number, at most VIRTIO_BLK_SERIAL_MAX bytes
 */
int virtio_blk_open(int fd, bool is_read_only, const char *serial,
                    struct virtio_device **ret_device, struct error *err);

#endif
