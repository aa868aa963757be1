#ifndef RUNTIME_CGROUP_OWNER_H
#define RUNTIME_CGROUP_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/container.h"

/* A container that has a cgroup namespace of its own, and its cgroup mounted for writing, shall be
 * able to use it: to make groups below and move its processes, as systemd does. So the cgroup gets
 * the user of its process as owner. Whoever is root inside without being root of the machine could
 * not do so otherwise. */

/**
 * Whether the container's cgroup gets another owner, and who that is; pure.
 *
 * @ret_uid  as the creator counts ids, from linux.uidMappings; written only when the answer is yes
 *
 * Returns false as well where the id has no mapping, or that of a joined namespace is not told.
 *
 * See: runtime-spec, config-linux.md, "Cgroup ownership".
 */
bool cgroup_owner_plan(const struct spec *spec, uint32_t *ret_uid);

/** Does so with the cgroup of @container, which may have none. */
int cgroup_owner_apply(const struct spec *spec, struct container *container, struct error *err);

#endif
