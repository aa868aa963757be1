#ifndef BASE_PATH_WALK_H
#define BASE_PATH_WALK_H

#include <stdint.h>
#include <sys/types.h>

/**
 * Opens @path as openat2(2) would, one component after the other by openat(2); for kernels and
 * sandboxes that refuse openat2(2).
 *
 * @resolve  RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, or RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
 *           RESOLVE_NO_XDEV; no other combinations
 * @flags    as in open(2), with O_CLOEXEC
 *
 * Returns a descriptor, or -1 with errno as openat2(2) sets it.
 */
int path_walk(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve);

#endif
