#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "runtime/container.h"

/* Containers of a caller who is not root of the machine: an ordinary user, or root of a user
 * namespace as podman's. What he lacks is made up for here, or told: a user namespace where the
 * configuration has none, and cgroups as far as they were delegated to him. Everything that is
 * possible inside of the user namespace is done as for root. */

bool runtime_is_in_user_namespace(void)
{
    auto_free char *map = NULL;
    unsigned long inside = 0, outside = 0, count = 0;

    if (file_read_kernel(AT_FDCWD, "/proc/self/uid_map", &map, NULL) < 0)
        return false;
    return sscanf(map, "%lu %lu %lu", &inside, &outside, &count) != 3 || inside != 0 ||
           outside != 0 || count != UINT32_MAX;
}

/* Whether a failure comes from not being root of the machine. */
static bool lacks_rights(int r)
{
    return (r == -EACCES || r == -EPERM || r == -EROFS) &&
           (geteuid() != 0 || runtime_is_in_user_namespace());
}

bool rootless_complete_spec(const struct runtime *runtime, struct spec *spec)
{
    if (runtime->rootless != ROOTLESS_TRUE || geteuid() == 0 ||
        spec_find_namespace(spec, "user") != NULL)
        return false;
    (void)spec_add_namespace(spec, "user", NULL);
    idmap_fill_own(&spec->linux_);
    return true;
}

/* The limits that nobody will keep, in one line. */
static void warn_of_missed(struct container *container, const struct strings *missed)
{
    auto_free char *names = strings_join(missed, ", ");

    if (missed->count == 0)
        return;
    free(container->warning);
    container->warning = xasprintf("linux.resources: not enforced, as this user may use no cgroup "
                                   "with the controllers for it: %s",
                                   names);
    log_warning("%s", container->warning);
}

const char *container_warning(const struct container *container)
{
    return container->warning;
}

int rootless_oom_score_failed(int score, int r, struct error *err)
{
    if (!lacks_rights(r))
        return error_prefix(err, r, "process.oomScoreAdj %d", score);
    log_warning("process.oomScoreAdj: only root may lower it to %d, so it stays as it is", score);
    return 0;
}

int rootless_owner_failed(uint32_t uid, int r, struct error *err)
{
    if (!lacks_rights(r))
        return error_prefix(err, r, "cgroup ownership");
    log_warning(
        "only root may give the container's cgroup to user %u, so it stays this user's, and "
        "the container can make no groups below",
        uid);
    return 0;
}

/* A path in the configuration is a wish that is granted or refused. */
static int refuse(const char *path, struct error *err)
{
    /* Not EACCES, which says of a start that the program may not be executed. */
    return error_set(err, EPERM,
                     "linux.cgroupsPath: this user may not make the cgroup '%s'; leave the path "
                     "out, or let root give the user a cgroup above it",
                     path);
}

int rootless_plan_cgroup(struct container *container, const char *path,
                         const struct cgroup_resources *resources, struct error *err)
{
    struct state *state = &container->state;
    AUTO_CLEAR(strings) struct strings limits = { 0 };
    auto_free char *clean = NULL;
    int r;

    r = cgroup_system_open(NULL, &container->own_cgroups, err);
    if (r < 0 && r != -ENOENT)
        return r;
    if (!text_is_empty(path)) {
        r = cgroup_path_parse(path, &clean, err);
        if (r < 0)
            return error_prefix(err, r, "linux.cgroupsPath");
    } else if (container->own_cgroups != NULL) {
        clean = cgroup_system_find_delegated(container->own_cgroups, state->id);
    }
    if (clean != NULL && container->own_cgroups != NULL &&
        cgroup_system_keep_delegated(container->own_cgroups, clean, false) > 0) {
        state->cgroup = take_ptr(&clean);
        state->is_cgroup_delegated = true;
        return 0;
    }
    if (!text_is_empty(path))
        return refuse(path, err);
    log_debug("create %s: no cgroup is delegated to this user", state->id);
    cgroup_limits_list(resources, &limits);
    warn_of_missed(container, &limits);
    return 0;
}

int rootless_apply_limits(struct container *container, bool is_path_given,
                          const struct cgroup_resources *resources, struct error *err)
{
    AUTO_CLEAR(strings) struct strings missed = { 0 };
    int r;

    r = cgroup_apply_delegated(container->cgroup, resources, is_path_given ? NULL : &missed, err);
    if (r < 0)
        return error_prefix(err, r, "linux.resources");
    warn_of_missed(container, &missed);
    return 0;
}

bool rootless_may_retry(const struct container *container, int r)
{
    return container->runtime->rootless != ROOTLESS_FALSE &&
           !container->state.is_cgroup_delegated && lacks_rights(r);
}

int rootless_replan_cgroup(struct container *container, const char *path,
                           const struct cgroup_resources *resources, struct error *err)
{
    int r;

    if (container->cgroup != NULL)
        (void)cgroup_delete(container->cgroup, NULL); /* just made and empty */
    cgroup_free(container->cgroup);
    container->cgroup = NULL;
    free(take_ptr(&container->state.cgroup));
    *err = (struct error){ 0 };
    r = rootless_plan_cgroup(container, path, resources, err);
    return r < 0 ? r : state_write(container->dir_fd, &container->state, err);
}
