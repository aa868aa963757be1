#ifndef RUNTIME_DEVICES_H
#define RUNTIME_DEVICES_H

#include "base/error.h"
#include "runtime/rootfs_state.h"

/**
 * Puts into a new /dev what every container has (config-linux.md "Default Devices"): nodes, and
 * links such as stdin and ptmx. Names that are there already stay as they are.
 *
 * @dev_fd  the attached mount; all is made relative to it
 */
int devices_create_default(const struct rootfs *rootfs, int dev_fd, struct error *err);

/** Makes the devices of linux.devices, after all mounts. */
int devices_create_configured(const struct rootfs *rootfs, struct error *err);

/** The null device of the container's /dev, opened once and verified; borrowed from @rootfs. */
int devices_open_null(struct rootfs *rootfs, int *ret_fd, struct error *err);

#endif
