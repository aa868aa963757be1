#ifndef RUNTIME_MOUNT_API_H
#define RUNTIME_MOUNT_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "runtime/mount_options.h"

/* The kernel's mount calls (fsopen(2), open_tree(2), mount_setattr(2), move_mount(2)) with errors.
 */

/**
 * Makes a new file system, detached.
 *
 * @source  the name that mountinfo shows, or the device
 * @data    words for the file system: "key=value" or "flag"
 * @attributes  MOUNT_ATTR_*
 *
 * Failures carry what the kernel says: "make tmpfs: Bad value for 'size'".
 */
int mount_create(const char *type, const char *source, const char *const *data, size_t data_count,
                 uint64_t attributes, int *ret_mount_fd, struct error *err);

/** A copy of the mount at @path (below @dir_fd, "": of @dir_fd itself), detached. The last link is
 * followed. */
int mount_clone(int dir_fd, const char *path, bool is_recursive, int *ret_mount_fd,
                struct error *err);

/** As mount_clone() of the one mount, not of those below it, with MOUNT_ATTR_* set; one call where
 * the kernel has open_tree_attr(2) (Linux 6.15). */
int mount_clone_with(int dir_fd, const char *path, uint64_t attributes, int *ret_mount_fd,
                     struct error *err);

/**
 * Makes a file system and mounts it onto @name directly below @dir_fd, which only the caller can
 * change, by one mount(2): a third of the calls of mount_create() and mount_attach(). Moves the
 * working directory to @dir_fd.
 *
 * @dir_fd      -1: it is the working directory already
 * @attributes  of MOUNT_ATTR_RDONLY, _NOSUID, _NODEV, _NOEXEC; others are not tried
 *
 * Returns 0, or a bare negative errno: mount_create() then says what is wrong.
 */
int mount_simply(int dir_fd, const char *name, const char *type, const char *source,
                 const char *const *data, size_t data_count, uint64_t attributes);

/** As mount_clone() of a path of the host, but a link at its end is what is copied. */
int mount_clone_link(const char *path, bool is_recursive, int *ret_mount_fd, struct error *err);

/** Sets and clears MOUNT_ATTR_* of a mount (and of all below it). */
int mount_change(int mount_fd, uint64_t set, uint64_t clear, bool is_recursive, struct error *err);

/** Attaches a detached mount onto what @destination_fd is open on, or onto @name directly below it;
 * a link is not followed. */
int mount_attach(int mount_fd, int destination_fd, const char *name, struct error *err);

/** Sets a mount's propagation. */
int mount_propagate(int mount_fd, const struct mount_propagation *propagation, struct error *err);

/* For files that make a file system context step by step (overlay_root.c). */
int mount_context_set(int context_fd, const char *word, struct error *err);
/** As error_errno() with what the kernel wrote into the context's log, when it wrote anything. */
int mount_context_error(int context_fd, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
