#ifndef RUNTIME_OVERLAY_ROOT_H
#define RUNTIME_OVERLAY_ROOT_H

#include "base/error.h"
#include "runtime/mount_plan.h"

/**
 * Makes an overlay from the step's options, detached: "lowerdir+=DIR" (topmost first) or
 * "lowerdir=A:B", "upperdir=", "workdir=", and words for the kernel such as "index=off".
 *
 * With an id map the lower directories are used through id-mapped copies (Linux 6.15); the upper
 * one is not, so it has to belong to the container's root.
 *
 * With "volatile" an upper directory that was used so before is accepted again.
 *
 * @scratch_path  a directory of the host; where the kernel has no overlay by the mount API, it is
 *                mounted there for a moment, in the caller's own mount namespace; NULL: then the
 *                kernel must have it
 */
int overlay_create(const struct mount_step *step, const char *scratch_path, int *ret_mount_fd,
                   struct error *err);

#endif
