#ifndef RUNTIME_OVERLAY_ROOT_H
#define RUNTIME_OVERLAY_ROOT_H

#include <stdbool.h>

#include "base/error.h"
#include "runtime/mount_plan.h"

/* A directory of the host where a kernel before 6.7 mounts the overlay for a moment: at once when
 * the caller is in a mount namespace of its own, else in that of a child. */
struct overlay_scratch {
    const char *path;
    bool is_in_own_namespace;
    bool is_in_user_namespace; /* of the container: no trusted extended attributes there */
};

/**
 * Makes an overlay from the step's options, detached: "lowerdir+=DIR" (topmost first) or
 * "lowerdir=A:B", "upperdir=", "workdir=", and words for the kernel such as "index=off".
 *
 * With an id map the lower directories are used through id-mapped copies (Linux 5.19); the upper
 * one is not, so it has to belong to the container's root.
 *
 * With "volatile" an upper directory that was used so before is accepted again.
 */
int overlay_create(const struct mount_step *step, const struct overlay_scratch *scratch,
                   int *ret_mount_fd, struct error *err);

#endif
