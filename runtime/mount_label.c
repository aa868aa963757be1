#include "runtime/mount_label.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define CONTEXT_TYPE "run.oci.mount_context_type"

int mount_label_word(const struct spec *spec, char **ret_word, struct error *err)
{
    static const char *const types[] = { "context", "fscontext", "defcontext", "rootcontext" };
    const char *type = string_map_get(&spec->annotations, CONTEXT_TYPE);

    *ret_word = NULL;
    if (text_is_empty(spec->linux_.mount_label))
        return 0;
    if (type == NULL)
        type = types[0];
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(types[i], type) == 0) {
            *ret_word = xasprintf("%s=%s", type, spec->linux_.mount_label);
            return 0;
        }
    }
    return error_set(err, EINVAL,
                     "annotation " CONTEXT_TYPE
                     ": '%s' is not one of context, fscontext, defcontext, rootcontext",
                     type);
}

bool mount_label_concerns(const struct mount_step *step)
{
    switch (step->kind) {
    case MOUNT_BIND:
    case MOUNT_PROC:
    case MOUNT_SYSFS:
    case MOUNT_CGROUP:
    case MOUNT_OVERLAY: /* its layers have labels of their own */
        return false;
    default:
        return !text_equal(step->type, "mqueue");
    }
}

int mount_label_choose(struct rootfs_plan *plan, struct error *err)
{
    auto_free char *word = NULL;
    int r;

    r = mount_label_word(plan->spec, &word, err);
    if (r < 0 || word == NULL)
        return r;
    if (access("/sys/fs/selinux/enforce", F_OK) < 0) {
        log_warning("linux.mountLabel: SELinux is not enabled on this machine, so mounts get no "
                    "label");
        return 0;
    }
    plan->label = take_ptr(&word);
    return 0;
}
