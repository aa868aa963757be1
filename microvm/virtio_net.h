#ifndef MICROVM_VIRTIO_NET_H
#define MICROVM_VIRTIO_NET_H

#include <stdint.h>

#include "microvm/virtio_device.h"

/**
 * A network card (virtio 1.2, 5.1) whose cable is a tap device.
 *
 * @tap_fd  of /dev/net/tun with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, borrowed; becomes non-blocking.
 *          The I/O thread needs ioctl TUNSETOFFLOAD on it
 */
int virtio_net_open(int tap_fd, const uint8_t mac[6], struct virtio_device **ret_device,
                    struct error *err);

#endif
