#ifndef UNIONFS_LAYER_MARK_H
#define UNIONFS_LAYER_MARK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

/* How a layer says that something of the layers below is gone. As overlayfs reads it: a character
 * device 0:0, and "trusted.overlay.opaque" on a directory; or, made and mounted in a user
 * namespace, "user.overlay.opaque". Where the file system takes neither (it is an overlay itself,
 * or a network's), no overlay is mounted on it either; there it is an empty file without
 * permissions that has the attribute "user.berth.whiteout", and "user.berth.opaque". No tar can
 * bring attributes of these names. Beside each of these marks stands one that fuse-overlayfs(1)
 * understands, ".wh.NAME" or ".wh..wh..opq" in the directory; it has the attribute of a whiteout as
 * well, so it is a whiteout of a name that no layer has, and nobody else need know of it. */

#define LAYER_MARK_PREFIX "user.berth."

/** Makes a whiteout; -EEXIST is promised when the name is taken. */
int layer_mark_whiteout(int dir_fd, const char *name, struct error *err);
/** When something takes the place of a whiteout: removes what else says that the name is gone. */
void layer_mark_drop_whiteout(int dir_fd, const char *name);
/** @status: of that name, not followed. */
bool layer_mark_is_whiteout(int dir_fd, const char *name, const struct stat *status);

/** Lets a directory hide what layers below have in it. */
int layer_mark_opaque(int fd, struct error *err);
bool layer_mark_is_opaque(int fd);

#endif
