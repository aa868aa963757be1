#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>

#include "base/file.h"
#include "runtime/net_devices.h"
#include "runtime/rdt.h"

/* What only the creator can do for its init, from the host's side, before the init goes on: id
 * maps, values that need a right the init has not, devices and classes of the host. Each of it
 * makes the init wait for HOST_READY, so a container that needs none of it is not slowed down. */

bool host_setup_is_needed(const struct spec *spec, const struct namespaces_plan *namespaces)
{
    return namespaces->has_new_user || spec->process->has_oom_score_adj ||
           spec->linux_.net_devices.count > 0 || spec->linux_.intel_rdt != NULL;
}

static int set_oom_score(const struct spec_process *process, pid_t pid, struct error *err)
{
    auto_free char *path = xasprintf("/proc/%d/oom_score_adj", pid);
    auto_free char *value = xasprintf("%d", process->oom_score_adj);
    int r;

    r = file_write_kernel(AT_FDCWD, path, value, err);
    return r < 0 ? rootless_oom_score_failed(process->oom_score_adj, r, err) : 0;
}

static int move_net_devices(const struct spec *spec, pid_t pid, struct error *err)
{
    auto_free char *path = xasprintf("/proc/%d/ns/net", pid);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return error_errno(err, "open the container's network namespace");
    return net_devices_move(&spec->linux_.net_devices, fd, err);
}

int host_setup_plan(const struct spec *spec, struct state *state, struct error *err)
{
    AUTO(rdt_plan) struct rdt_plan *plan = NULL;
    auto_close int root_fd = -1;
    int r;

    if (spec->linux_.intel_rdt == NULL)
        return 0;
    r = rdt_open(&root_fd, err);
    if (r < 0)
        return r;
    plan = rdt_plan(spec->linux_.intel_rdt, state->id);
    return rdt_find_missing(plan, root_fd, &state->rdt_group, &state->rdt_monitor, err);
}

static int join_class(const struct spec *spec, struct state *state, struct error *err)
{
    AUTO(rdt_plan) struct rdt_plan *plan = rdt_plan(spec->linux_.intel_rdt, state->id);
    auto_close int root_fd = -1;
    int r = rdt_open(&root_fd, err);

    if (r < 0)
        return r;
    return rdt_apply(plan, root_fd, state->pid, &state->rdt_group, &state->rdt_monitor, err);
}

int host_setup_undo(const struct state *state, struct error *err)
{
    auto_close int root_fd = -1;
    int r;

    if (state->rdt_group == NULL && state->rdt_monitor == NULL)
        return 0;
    r = rdt_open(&root_fd, err);
    /* Classes end with their file system. */
    if (r < 0)
        return r == -EOPNOTSUPP ? 0 : r;
    if (state->rdt_monitor != NULL) {
        r = rdt_remove(root_fd, state->rdt_monitor, err);
        if (r < 0)
            return r;
    }
    return state->rdt_group != NULL ? rdt_remove(root_fd, state->rdt_group, err) : 0;
}

int host_setup_apply(const struct spec *spec, const struct namespaces_plan *namespaces,
                     struct state *state, struct error *err)
{
    pid_t pid = state->pid;
    int r = 0;

    if (namespaces->has_new_user)
        r = idmap_write(pid, &spec->linux_, err);
    if (r == 0 && spec->process->has_oom_score_adj)
        r = set_oom_score(spec->process, pid, err);
    if (r == 0 && spec->linux_.intel_rdt != NULL)
        r = join_class(spec, state, err);
    /* Last, as nothing takes an interface back. */
    if (r == 0 && spec->linux_.net_devices.count > 0)
        r = move_net_devices(spec, pid, err);
    return r;
}
