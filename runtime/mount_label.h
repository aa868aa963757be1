#ifndef RUNTIME_MOUNT_LABEL_H
#define RUNTIME_MOUNT_LABEL_H

#include <stdbool.h>

#include "base/error.h"
#include "runtime/mount_plan.h"
#include "runtime/spec.h"

/* linux.mountLabel: the SELinux context of the files in new file systems (mount(8), "context"). */

/**
 * The mount option that sets it: "context=system_u:object_r:container_file_t:s0"; pure. The
 * annotation run.oci.mount_context_type chooses fscontext, defcontext or rootcontext instead.
 *
 * @ret_word  NULL: no label is configured; caller frees
 *
 * -EINVAL: the annotation is none of these words.
 */
int mount_label_word(const struct spec *spec, char **ret_word, struct error *err);

/** Whether such an option is for this mount; pure. As in runc not for binds, proc, sysfs, cgroups,
 * nor for mqueue, which knows no such option. */
bool mount_label_concerns(const struct mount_step *step);

/** Decides about the plan's label: none without SELinux, which is warned about. */
int mount_label_choose(struct rootfs_plan *plan, struct error *err);

#endif
