#ifndef MICROVM_FUSE_RELAY_H
#define MICROVM_FUSE_RELAY_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/**
 * Mounts what berth-fs serves at the other end of a byte stream, where the guest has no virtio-fs
 * device: a child of the caller's passes requests from /dev/fuse to the stream and answers back,
 * until one of them ends.
 *
 * @port_fd  both ways, like a virtio-console port; the child makes it non-blocking and closes it at
 *           its end; the caller may close its own
 * @target   an existing directory
 * @ret_pid  the child; killed, it leaves the mount without an answer (ENOTCONN)
 */
int fuse_relay_start(int port_fd, const char *target, bool is_read_only, pid_t *ret_pid,
                     struct error *err);

/**
 * The relay itself, for a caller that has mounted by himself. Returns 0 when the file system was
 * unmounted, else an error.
 *
 * @fuse_fd  of /dev/fuse; it and @port_fd become non-blocking
 */
int fuse_relay_run(int fuse_fd, int port_fd, struct error *err);

#endif
