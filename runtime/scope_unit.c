#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "runtime/cgroup_owner.h"
#include "runtime/creation.h"

/* Containers of the systemd cgroup manager. There the order is the other way round: systemd makes a
 * scope around a process that exists, so the init is cloned first and waits for HOST_READY, which
 * comes when it is in the scope and the limits are set. The unit's name is in the first state.json:
 * a scope that a killed creator leaves is found and stopped by `delete --force`. */

#define SUBGROUP "run.oci.systemd.subgroup" /* crun's */

/* Root in a user namespace is an ordinary user for systemd. */
static bool is_user(void)
{
    return geteuid() != 0 || runtime_is_in_user_namespace();
}

/* With the time it is this container's and no other's of that name. */
static char *format_description(const struct state *state)
{
    return xasprintf("berth container %s of %s", state->id, state->created);
}

/* NULL: the scope itself is the container's cgroup, as with runc. */
static const char *find_subgroup(const struct creation *creation)
{
    const char *name = string_map_get(&creation->spec->annotations, SUBGROUP);

    return text_is_empty(name) ? NULL : name;
}

/* Where it will lie, for root: systemd's own root may lie below, so it is looked up later on. */
static int guess_path(struct creation *creation, struct error *err)
{
    struct state *state = &creation->container->state;
    const char *subgroup = find_subgroup(creation);
    auto_free char *slice_path = NULL;
    auto_free char *path = NULL;
    int r;

    r = scope_slice_path(creation->scope_slice, &slice_path, err);
    if (r < 0)
        return r;
    path = xasprintf("%s/%s/%s", slice_path, state->scope, subgroup != NULL ? subgroup : "");
    return cgroup_path_parse(path, &state->cgroup, err);
}

int creation_plan_scope(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    struct cgroup_system *system = runtime_cgroups(container->runtime);
    const struct spec *spec = creation->spec;
    bool is_v2;
    int r;

    if (system == NULL || cgroup_system_layout(system) == CGROUP_LAYOUT_NONE)
        return error_set(err, EOPNOTSUPP,
                         "no cgroups are mounted below /sys/fs/cgroup, so there is no systemd that "
                         "manages them");
    is_v2 = cgroup_system_layout(system) == CGROUP_LAYOUT_V2;
    r = scope_name_parse(spec->linux_.cgroups_path, container->state.id, is_user(),
                         &creation->scope_slice, &container->state.scope, err);
    if (r == 0 && !is_user())
        r = guess_path(creation, err);
    if (r < 0)
        return error_prefix(err, r, "linux.cgroupsPath");
    r = scope_resources_plan(creation->resources, is_v2, &creation->scope_properties, err);
    if (r < 0)
        return error_prefix(err, r, "linux.resources");
    return scope_annotations_plan(&spec->annotations, &creation->scope_properties, err);
}

/* The v2 rule that inner groups have no processes: the scope passes its controllers on only when
 * the process is in the group below. */
static int enter_subgroup(struct creation *creation, struct cgroup_system *system, pid_t pid,
                          struct error *err)
{
    struct container *container = creation->container;
    AUTO(cgroup) struct cgroup *made = NULL;
    int r;

    r = cgroup_adopt(system, container->state.cgroup, false, &made, err);
    if (r == 0)
        r = cgroup_enter(made, pid, err);
    return r < 0 ? r : cgroup_adopt(system, container->state.cgroup, true, &container->cgroup, err);
}

static int adopt_cgroup(struct creation *creation, pid_t pid, struct error *err)
{
    struct container *container = creation->container;
    struct cgroup_system *system = runtime_cgroups(container->runtime);
    const char *subgroup = find_subgroup(creation);
    auto_free char *path = NULL;
    int r;

    r = cgroup_find_path(system, pid, &path, err);
    if (r < 0)
        return r;
    if (!text_ends(path, container->state.scope))
        return error_set(err, EPROTO, "systemd made the unit %s, but its process is in cgroup %s",
                         container->state.scope, path);
    free(container->state.cgroup);
    container->state.cgroup =
        subgroup != NULL ? xasprintf("%s/%s", path, subgroup) : take_ptr(&path);
    if (subgroup != NULL)
        return enter_subgroup(creation, system, pid, err);
    r = cgroup_adopt(system, container->state.cgroup, true, &container->cgroup, err);
    if (r < 0 || cgroup_system_layout(system) == CGROUP_LAYOUT_V2)
        return r;
    return cgroup_enter(container->cgroup, pid, err);
}

static int apply_limits(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    int r;

    if (is_user())
        return rootless_apply_limits(container, creation->spec->linux_.cgroups_path != NULL,
                                     creation->resources, err);
    r = cgroup_apply(container->cgroup, creation->resources, err);
    return r < 0 ? error_prefix(err, r, "linux.resources") : 0;
}

int creation_make_scope(struct creation *creation, pid_t pid, struct error *err)
{
    struct container *container = creation->container;
    auto_free char *description = format_description(&container->state);
    struct scope scope = { container->state.scope, description, is_user() };
    struct cgroup_system *system = runtime_cgroups(container->runtime);
    int r;

    r = scope_start(&scope, creation->scope_slice, pid,
                    cgroup_system_layout(system) == CGROUP_LAYOUT_V2, &creation->scope_properties,
                    err);
    /* Else nothing was made, or it is another's. */
    creation->has_scope = r == 0 || r == -ETIMEDOUT || r == -EPROTO;
    if (r < 0)
        return r;
    r = adopt_cgroup(creation, pid, err);
    if (r < 0)
        return r;
    log_debug("create %s: unit %s is cgroup %s", container->state.id, container->state.scope,
              container->state.cgroup);
    container->state.is_cgroup_delegated = is_user();
    r = apply_limits(creation, err);
    return r < 0 ? r : cgroup_owner_apply(creation->spec, container, err);
}

int container_stop_scope(struct container *container, struct error *err)
{
    auto_free char *description = format_description(&container->state);
    struct scope scope = { container->state.scope, description, is_user() };

    return container->state.scope != NULL ? scope_stop(&scope, err) : 0;
}

int container_change_scope(struct container *container, const struct cgroup_resources *resources,
                           struct error *err)
{
    auto_free char *description = format_description(&container->state);
    struct scope scope = { container->state.scope, description, is_user() };
    AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
    struct cgroup *cgroup = container_cgroup(container);
    bool is_v2;
    int r;

    if (container->state.scope == NULL || cgroup == NULL)
        return 0;
    is_v2 = cgroup_system_layout(runtime_cgroups(container->runtime)) == CGROUP_LAYOUT_V2;
    r = cgroup_apply_check(cgroup, resources, err);
    if (r == 0)
        r = scope_resources_plan(resources, is_v2, &properties, err);
    return r < 0 ? r : scope_set(&scope, &properties, err);
}
