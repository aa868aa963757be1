#ifndef RUNTIME_MOUNT_IDMAP_H
#define RUNTIME_MOUNT_IDMAP_H

#include <stdbool.h>

#include "base/error.h"
#include "runtime/spec.h"

/* Id-mapped mounts (mount_setattr(2), MOUNT_ATTR_IDMAP): the id on disk is the first number of a
 * mapping, the id that processes see is the second. */

/** Makes a user namespace that exists only to carry the mappings, by way of a short-lived child. */
int mount_idmap_open(const struct spec_id_mappings *uids, const struct spec_id_mappings *gids,
                     int *ret_namespace_fd, struct error *err);

/** @mount_fd  detached, a copy that nobody has seen yet and that has no map */
int mount_idmap_set(int mount_fd, int namespace_fd, bool is_recursive, struct error *err);

#endif
