#ifndef RUNTIME_MOUNT_APPLY_H
#define RUNTIME_MOUNT_APPLY_H

#include "base/error.h"
#include "runtime/mount_plan.h"
#include "runtime/rootfs_state.h"

/* Mounts are made detached, get their attributes, and are then moved onto the descriptor of their
 * destination: there is no moment at which a half-made mount is seen, and no path is used twice. */

/**
 * Does one step: makes the mount and attaches it below rootfs->root_fd; missing destinations are
 * made. Keeps the descriptors of /dev, /dev/pts and of what becomes read-only later in @rootfs.
 */
int mount_step_apply(struct rootfs *rootfs, const struct mount_step *step, struct error *err);

/** Reads the source of a step with copy-symlink when it is a link: @ret_text, the caller's to free;
 * NULL when it is none. */
int mount_step_read_link(const struct mount_step *step, char **ret_text, struct error *err);
/**
 * A detached copy of the source of a bind; id map, attributes and propagation come later.
 *
 * @root_fd  where a source below the root's path is looked up; -1: by its path
 */
int mount_step_copy_source(const struct mount_step *step, int root_fd, int *ret_mount_fd,
                           struct error *err);
/** The file system of a step that is no bind and needs nothing to be known of the root. */
int mount_step_make(const struct mount_step *step, const char *label, int *ret_mount_fd,
                    struct error *err);
/** Sets the step's id map, if it has one, on its mount, which nobody has seen yet. */
int mount_step_map_ids(const struct mount_step *step, int mount_fd, struct error *err);

/** Puts the step's name before the message of a failure; returns @r, which may be 0. */
int mount_step_name_error(const struct mount_step *step, int r, struct error *err);

#endif
