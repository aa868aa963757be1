#ifndef ENGINE_IMAGE_ROOT_H
#define ENGINE_IMAGE_ROOT_H

#include "base/error.h"
#include "base/text.h"
#include "unionfs/unionfs.h"

/**
 * Opens the root directory of an image as its containers would see it, read-only: for reading
 * etc/passwd and for filling volumes. One layer: its directory; several: an overlay mount that is
 * attached nowhere (fsmount(2)) and ends with the descriptor.
 *
 * @layers  host paths, topmost first
 */
int image_root_open(const struct strings *layers, int *ret_fd, struct error *err);

/** The root of a container that does not run, with its writable directory; detached as well. */
int snapshot_root_open(const struct snapshot *snapshot, int *ret_fd, struct error *err);

/** The same where it is a copy of the image's layers: @path, as a mount attached nowhere. */
int copied_root_open(const char *path, int *ret_fd, struct error *err);

#endif
