#ifndef ENGINE_CONTAINER_TREE_H
#define ENGINE_CONTAINER_TREE_H

#include "engine/record.h"
#include "unionfs/unionfs.h"

/* The files of a container, as diff, commit, export and cp look at them. */

/* What changes_walk() needs, opened. */
struct container_changes {
    struct change_source source;
    struct strings mount_points;
    int upper_fd;
    struct layer_fds lowers;
    struct staging *staging; /* of a copied root, what changed in it; else NULL */
};

/**
 * Opens a container's writable directory and its layers. Of a copied root it is made first, in
 * staging, by a comparison.
 *
 * The directory is opened through a mount of its own, attached nowhere, by which nothing can be
 * written or executed and no device opened, and which shows ids as the container sees them.
 */
int container_changes_open(struct engine *engine, const struct record *record,
                           struct container_changes *ret_changes, struct error *err);
void container_changes_clear(struct container_changes *changes);
/** Adds the names at which every container has mounts that are not its user's. */
void container_mount_points(struct strings *ret_names);

#endif
