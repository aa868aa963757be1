#ifndef RUNTIME_ROOT_MOVE_H
#define RUNTIME_ROOT_MOVE_H

#include "base/error.h"
#include "base/text.h"

/**
 * Lists what must not stay below a moved root: the mounts of proc and sysfs outside of the
 * container's own.
 *
 * @mountinfo  text of /proc/self/mountinfo, proc_pid_mountinfo(5)
 * @root_path  the container's root, absolute
 * @ret_paths  mount points, the last mounted first; added to what is there
 */
void root_move_plan(const char *mountinfo, const char *root_path, struct strings *ret_paths);

/** Makes the current directory, a mount, the root without pivot_root(2), which refuses an initramfs
 * as the old root. */
int root_move_child(struct error *err);

#endif
