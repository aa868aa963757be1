#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/path.h"
#include "runtime/container.h"

int runtime_open(const char *root_path, struct runtime **ret_runtime, struct error *err)
{
    AUTO(runtime) struct runtime *runtime = xcalloc(1, sizeof(*runtime));
    int r;

    runtime->fd = -1;
    runtime->path = xstrdup(root_path);
    r = path_create_directory(root_path, 0700, &runtime->fd, err);
    if (r < 0)
        return error_prefix(err, r, "open the directory of run state");
    *ret_runtime = take_ptr(&runtime);
    return 0;
}

void runtime_set_cgroup_manager(struct runtime *runtime, enum cgroup_manager manager)
{
    runtime->cgroup_manager = manager;
}

void runtime_set_rootless(struct runtime *runtime, enum rootless_mode mode)
{
    runtime->rootless = mode;
}

void runtime_free(struct runtime *runtime)
{
    if (runtime == NULL)
        return;
    cgroup_system_free(runtime->cgroups);
    auto_close_cleanup(&runtime->fd);
    free(runtime->path);
    free(runtime);
}

int runtime_fd(const struct runtime *runtime)
{
    return runtime->fd;
}

struct cgroup_system *runtime_cgroups(struct runtime *runtime)
{
    struct cgroup_system *system = NULL;

    (void)runtime_open_cgroups(runtime, &system, NULL); /* NULL: no cgroups to be had */
    return system;
}

int runtime_open_cgroups(struct runtime *runtime, struct cgroup_system **ret_system,
                         struct error *err)
{
    int r = 0;

    if (runtime->cgroups == NULL)
        r = cgroup_system_open(NULL, &runtime->cgroups, err);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret_system = runtime->cgroups;
    return 0;
}

int runtime_open_seccomp_cache(struct runtime *runtime)
{
    int fd = -1;

    /* The leading dot keeps it out of the list of containers. */
    if (path_open_beneath(runtime->fd, ".seccomp", O_RDONLY | O_DIRECTORY, 0, &fd, NULL) < 0 &&
        mkdirat(runtime->fd, ".seccomp", 0700) == 0)
        (void)path_open_beneath(runtime->fd, ".seccomp", O_RDONLY | O_DIRECTORY, 0, &fd, NULL);
    return fd;
}
