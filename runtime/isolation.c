#include "runtime/isolation.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "runtime/container.h"
#include "runtime/creation.h"

/* Where the life of a container meets its isolation; what that does is told in isolation.h. */

void runtime_set_isolation(struct runtime *runtime, const struct isolation *isolation)
{
    runtime->isolation = isolation;
}

void isolation_view_clear(struct isolation_view *view)
{
    free(view->backend);
    free(view->reason);
    strings_clear(&view->warnings);
    strings_clear(&view->kernels);
    *view = (struct isolation_view){ 0 };
}

void isolation_update_clear(struct isolation_update *update)
{
    free(update->inner);
    *update = (struct isolation_update){ 0 };
}

void isolation_plan_clear(struct isolation_plan *plan)
{
    spec_free(plan->jail);
    free(plan->config);
    free(plan->cache);
    free(plan->saved_disk);
    free(plan->disk);
    *plan = (struct isolation_plan){ 0 };
}

static bool is_wanted(const struct isolation *isolation, const struct spec *spec,
                      struct error *ret_unknown)
{
    const char *name = string_map_get(&spec->annotations, ANNOTATION_ISOLATION);

    if (isolation != NULL && isolation->is_wanted(spec))
        return true;
    if (spec->vm != NULL)
        (void)error_set(ret_unknown, EINVAL, "vm: this program was built without virtual machines");
    if (name != NULL && !text_equal(name, "none"))
        (void)error_set(ret_unknown, EINVAL,
                        "annotation " ANNOTATION_ISOLATION
                        ": '%s' is not an isolation that this program has (%s)",
                        name, isolation != NULL ? isolation->name : "none");
    return false;
}

static int refuse_saved(const struct container_options *options, struct error *err)
{
    if (options->saved_path == NULL)
        return 0;
    return error_set(err, EINVAL,
                     "annotation " ANNOTATION_ISOLATION
                     ": is missing in the bundle, but '%s' holds "
                     "a container that has it",
                     options->saved_path);
}

int creation_isolate(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    const struct isolation *isolation = container->runtime->isolation;
    const struct isolation_input input = {
        .spec = creation->spec,
        .id = creation->options->id,
        .bundle_path = container->state.bundle,
        .run_path = container->runtime->path,
        .saved_path = creation->options->saved_path,
    };
    struct error unknown = { 0 };
    int r;

    if (!is_wanted(isolation, creation->spec, &unknown) && unknown.code != 0)
        return error_set(err, unknown.code, "%s", unknown.message);
    if (!is_wanted(isolation, creation->spec, NULL))
        return refuse_saved(creation->options, err);
    if (creation->options->preserve_fds > 0)
        return error_set(err, EOPNOTSUPP,
                         "descriptors of this machine cannot be passed into a %s container "
                         "(--preserve-fds, LISTEN_FDS)",
                         isolation->name);
    if (creation->options->has_notify_socket)
        log_warning("a program in a %s container cannot report to NOTIFY_SOCKET, going on without",
                    isolation->name);
    r = isolation->plan(isolation, &input, &creation->isolation, err);
    if (r < 0)
        return r;
    container->state.isolation = xstrdup(isolation->name);
    spec_free(container->own_spec);
    container->own_spec = take_ptr(&creation->isolation.jail);
    container->spec = container->own_spec;
    creation->spec = container->spec;
    /* With what the isolation adds about itself. */
    for (size_t i = 0; i < container->spec->annotations.count; i++)
        string_map_set(&container->state.annotations, container->spec->annotations.items[i].key,
                       container->spec->annotations.items[i].value);
    /* Later commands find the jail's spec, not the bundle's. */
    free(creation->config_json);
    creation->config_json = spec_encode(container->spec, ENCODE_COMPACT);
    return 0;
}

int creation_prepare_isolation(struct creation *creation, struct error *err)
{
    const struct isolation *isolation = creation->container->runtime->isolation;

    if (creation->container->state.isolation == NULL)
        return 0;
    return isolation->prepare(isolation, creation->container->dir_fd, &creation->isolation, err);
}

int container_find_isolation(const struct container *container,
                             const struct isolation **ret_isolation, struct error *err)
{
    const struct isolation *isolation = container->runtime->isolation;
    const char *name = container->state.isolation;

    *ret_isolation = NULL;
    if (name == NULL)
        return 0;
    if (isolation == NULL || !text_equal(isolation->name, name))
        return error_set(err, EOPNOTSUPP,
                         "container '%s' has the isolation '%s', which this program was built "
                         "without",
                         container->state.id, name);
    *ret_isolation = isolation;
    return 0;
}

bool container_was_oom_killed(struct container *container)
{
    struct cgroup *cgroup = container_cgroup(container);
    const struct isolation *isolation = NULL;
    uint64_t kills = 0;

    if (cgroup != NULL && cgroup_oom_kills(cgroup, &kills, NULL) == 0 && kills > 0)
        return true;
    return container_find_isolation(container, &isolation, NULL) == 0 && isolation != NULL &&
           isolation->was_oom_killed(container->dir_fd);
}

/* Nobody is there yet, or any more, who could be asked about what runs. */
static int check_started(struct container *container, struct error *err)
{
    enum container_status status;
    int r = container_status(container, &status, err);

    if (r < 0)
        return r;
    if (status == CONTAINER_STOPPED || status == CONTAINER_CREATING)
        return error_set(err, ESRCH, "container not running: '%s'", container->state.id);
    if (status == CONTAINER_CREATED)
        return error_set(err, ESRCH,
                         "container not running: '%s' is created, and its %s begins with its start",
                         container->state.id, container->state.isolation);
    return 0;
}

int container_inner_processes(struct container *container, char **ret_lines, struct error *err)
{
    const struct isolation *isolation = NULL;
    int r;

    *ret_lines = NULL;
    r = container_find_isolation(container, &isolation, err);
    if (r < 0 || isolation == NULL)
        return r;
    r = check_started(container, err);
    return r < 0 ? r
                 : isolation->list_processes(container->dir_fd, container->pidfd, ret_lines, err);
}

int container_start_files(struct container *container, const struct inner_files *work,
                          const int stdio[3], int *ret_fd, struct error *err)
{
    const struct isolation *isolation = NULL;
    int r;

    r = container_find_isolation(container, &isolation, err);
    if (r < 0)
        return r;
    assert(isolation != NULL);
    r = check_started(container, err);
    if (r < 0)
        return r;
    return isolation->start_files(container->dir_fd, container->pidfd, work, stdio, ret_fd, err);
}

int container_finish_files(struct container *container, int fd, int *ret_status, struct error *err)
{
    const struct isolation *isolation = NULL;
    int r = container_find_isolation(container, &isolation, err);

    return r < 0 ? r : isolation->finish_files(fd, ret_status, err);
}

int container_refuse_isolation(const struct container *container, const char *what,
                               struct error *err)
{
    if (container->state.isolation == NULL)
        return 0;
    return error_set(err, EOPNOTSUPP, "%s cannot be done for a %s container: '%s'", what,
                     container->state.isolation, container->state.id);
}

const char *container_isolation(const struct container *container)
{
    return container->state.isolation;
}
