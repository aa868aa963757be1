#ifndef UNIONFS_LAYER_INHERIT_H
#define UNIONFS_LAYER_INHERIT_H

#include <stddef.h>

#include "base/error.h"
#include "unionfs/unpack_report.h"

/* Layers whose tree depends on the layers below. */

/**
 * Makes a freshly unpacked tree fit for its place: directories without an entry get mode, owner,
 * attributes and times from the topmost layer below that shows them; an opaque root hides every
 * name of the layers below; whiteouts that hide nothing go, since overlayfs lists them in a
 * directory that only one layer has.
 *
 * @report  needs_chain is set when another place would have needed another tree
 * @lower_fds  fs/ of the layers below, topmost first
 */
int layer_inherit(int fs_fd, struct unpack_report *report, const int *lower_fds, size_t lower_count,
                  struct error *err);

#endif
