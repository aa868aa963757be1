#ifndef RUNTIME_MASKED_PATHS_H
#define RUNTIME_MASKED_PATHS_H

#include "base/error.h"
#include "runtime/rootfs_state.h"

/** linux.readonlyPaths: each becomes a read-only mount of itself; missing ones are skipped. */
int readonly_paths_apply(const struct rootfs *rootfs, struct error *err);

/**
 * linux.maskedPaths: a file is covered by the null device, a directory by an empty read-only tmpfs
 * which all of them share; missing ones are skipped. After the pivot.
 */
int masked_paths_apply(struct rootfs *rootfs, struct error *err);

#endif
