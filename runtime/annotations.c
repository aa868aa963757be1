#include <errno.h>

#include "runtime/spec.h"

/* The specification wants unknown annotations passed over. These are known: annotations of crun's
 * that ask for what is not done here. A container without it would be another than was asked for,
 * less confined perhaps, and nobody would see it. */

static const struct {
    const char *name, *instead;
} refused[] = {
    { "run.oci.delegate-cgroup", "the container runs in linux.cgroupsPath itself" },
    { "run.oci.handler", "only programs for this machine are run" },
    { "run.oci.seccomp.plugins", "use linux.seccomp.listenerPath" },
    { "run.oci.seccomp.receiver", "use linux.seccomp.listenerPath" },
    { "run.oci.seccomp_bpf_data", "use linux.seccomp" },
    { "run.oci.seccomp_fail_unknown_syscall", "leave unknown names out of linux.seccomp.syscalls" },
    { "run.oci.systemd.force_cgroup_v1", "the container sees the cgroups that the host has" },
    { "run.oci.timens_offset", "use linux.timeOffsets" },
};

int spec_annotations_check(const struct string_map *annotations, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused) && annotations->count != 0; i++) {
        const char *value = string_map_get(annotations, refused[i].name);

        if (value != NULL && !text_equal(value, "0"))
            return error_set(err, EINVAL, "annotation %s: is not supported: %s", refused[i].name,
                             refused[i].instead);
    }
    return 0;
}
