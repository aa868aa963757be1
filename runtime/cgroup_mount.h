#ifndef RUNTIME_CGROUP_MOUNT_H
#define RUNTIME_CGROUP_MOUNT_H

#include "base/error.h"
#include "runtime/rootfs_state.h"

/* A mount of type "cgroup": on v2 the one hierarchy; on v1 and hybrid a tmpfs that has a mount for
 * each hierarchy. What is seen begins at the container's own cgroup: by its cgroup namespace, or
 * without one by a bind of that directory. */

/** Makes what goes onto the destination, detached: cgroup2, or the tmpfs. */
int cgroup_mount_create(const struct rootfs *rootfs, const struct mount_step *step,
                        int *ret_mount_fd, struct error *err);

/** After it is attached: the hierarchies in the tmpfs; does nothing on v2. */
int cgroup_mount_fill(struct rootfs *rootfs, const struct mount_step *step, int mount_fd,
                      struct error *err);

#endif
