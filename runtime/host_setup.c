#include "runtime/container.h"

#include <fcntl.h>

#include "base/file.h"

/* What only the creator can do for its init, from the host's side, before the init goes on: id
 * maps, values that need a right the init has not. Each of it makes the init wait for HOST_READY,
 * so a container that needs none of it is not slowed down. */

bool host_setup_is_needed(const struct spec *spec, const struct namespaces_plan *namespaces)
{
    return namespaces->has_new_user || spec->process->has_oom_score_adj;
}

static int set_oom_score(const struct spec_process *process, pid_t pid, struct error *err)
{
    auto_free char *path = xasprintf("/proc/%d/oom_score_adj", pid);
    auto_free char *value = xasprintf("%d", process->oom_score_adj);
    int r;

    r = file_write_kernel(AT_FDCWD, path, value, err);
    if (r < 0)
        return error_prefix(err, r, "process.oomScoreAdj %s (lowering it needs CAP_SYS_RESOURCE)",
                            value);
    return 0;
}

int host_setup_apply(const struct spec *spec, const struct namespaces_plan *namespaces, pid_t pid,
                     struct error *err)
{
    int r = 0;

    if (namespaces->has_new_user)
        r = idmap_write(pid, &spec->linux_, err);
    if (r == 0 && spec->process->has_oom_score_adj)
        r = set_oom_score(spec->process, pid, err);
    return r;
}
