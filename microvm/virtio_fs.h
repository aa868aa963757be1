#ifndef MICROVM_VIRTIO_FS_H
#define MICROVM_VIRTIO_FS_H

#include "microvm/virtio_device.h"

/* Longer tags do not fit into the device's configuration. */
#define VIRTIO_FS_TAG_MAX 36

/**
 * A directory of the host (virtio 1.2, 5.11) that another process serves.
 *
 * Carries FUSE requests from the guest to a socket and their answers back; knows no more of FUSE
 * than the headers. The server is not trusted: an answer goes into the memory of the request whose
 * number it has, and only as far as there is room. When it dies, all requests end with EIO.
 *
 * @fd  a stream socket, borrowed
 */
int virtio_fs_open(int fd, const char *tag, struct virtio_device **ret_device, struct error *err);

#endif
