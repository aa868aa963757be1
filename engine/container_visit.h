#ifndef ENGINE_CONTAINER_VISIT_H
#define ENGINE_CONTAINER_VISIT_H

#include "engine/record.h"

/** @root_fd  a directory that can be read, the container's root */
typedef int visit_function(int root_fd, void *context, struct error *err);

enum visit_scope {
    VISIT_ROOT, /* the container's own files, to be read; what is mounted there is not in the way */
    VISIT_MOUNTS, /* with volumes and other mounts, to be read and written */
};

/**
 * Calls a function in a child that has a container's files before it, with the ids that the
 * container sees: of a running container through its mount namespace, of another one through a
 * mount that nobody else sees, with its claim held. No device can be opened there.
 *
 * The child may be in the container's namespaces: no path means there what it means here, /proc
 * included. What @function changes in memory is lost.
 *
 * -EBUSY: the container starts, ends or is removed just now.
 */
int container_visit(struct engine *engine, const char *id, enum visit_scope scope,
                    visit_function *function, void *context, struct error *err);

#endif
