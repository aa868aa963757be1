#ifndef MICROVM_VIRTIO_CONSOLE_H
#define MICROVM_VIRTIO_CONSOLE_H

#include <stdbool.h>

#include "microvm/virtio_device.h"

#define VIRTIO_CONSOLE_PORTS_MAX 2

/* One byte stream between the guest and the host. */
struct virtio_console_port {
    int fd;           /* a stream socket, borrowed; -1: there is no such port */
    const char *name; /* in /dev/virtio-ports of the guest; borrowed */
    bool is_console;  /* hvcN of the guest, instead of /dev/vport0pN */
};

/**
 * Byte streams (virtio 1.2, 5.3), port i of the guest being @ports[i].
 *
 * Bytes that one side does not take wait on the other side, never here. What the guest writes after
 * the socket's other end was closed is dropped.
 */
struct virtio_device *virtio_console_open(
    const struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS_MAX]);

#endif
