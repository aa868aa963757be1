#include "runtime/runtime.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>

#include "base/file.h"
#include "runtime/container.h"
#include "runtime/isolation.h"
#include "runtime/rdt.h"

/* Other limits for a container that is there. The spec that was saved at create is what tells the
 * limits in force, so it changes too: quota and period, memory and swap, are one value for the
 * kernel, and a later update may give only one of them. The saved spec is written first, and put
 * back when the kernel refuses: after a kill in between, the same update again sets all right. */

/* Two values that the kernel takes only together, or that it forgets when the other changes. */
static void complete_cpu(struct cgroup_cpu *change, const struct cgroup_cpu *all)
{
    if (change->has_quota || change->has_period) {
        change->has_quota = all->has_quota;
        change->quota = all->quota;
        change->has_period = all->has_period;
        change->period = all->period;
    }
    /* A group that is idle takes no shares; one that ceases to be has the default. */
    if (change->has_idle || change->has_shares) {
        change->has_idle = all->has_idle;
        change->idle = all->idle;
        change->has_shares = all->has_shares;
        change->shares = all->shares;
    }
}

static void complete_memory(struct cgroup_memory *change, const struct cgroup_memory *all)
{
    if (!change->has_limit && !change->has_swap)
        return;
    change->has_limit = all->has_limit;
    change->limit = all->limit;
    change->has_swap = all->has_swap;
    change->swap = all->swap;
}

void resources_merge_change(struct cgroup_resources *all, struct cgroup_resources *copy,
                            struct cgroup_resources *change)
{
    /* No limit on memory, but one on memory and swap together, is never meant. */
    if (copy->memory.has_limit && copy->memory.limit == -1 && !copy->memory.has_swap) {
        copy->memory.has_swap = true;
        copy->memory.swap = -1;
    }
    cgroup_resources_merge(all, copy);
    complete_cpu(&change->cpu, &all->cpu);
    complete_memory(&change->memory, &all->memory);
}

static void resources_clear(struct cgroup_resources *resources)
{
    object_clear(&cgroup_resources_object, resources);
}

static int copy_resources(const struct cgroup_resources *given, struct cgroup_resources *ret_copy,
                          struct error *err)
{
    auto_free char *json = encode_text(&cgroup_resources_object, given, ENCODE_COMPACT);

    return decode_text(&cgroup_resources_object, json, strlen(json), ret_copy, "resources", err);
}

static int save_spec(struct container *container, const char *json, struct error *err)
{
    return file_replace(container->dir_fd, STATE_CONFIG_FILE, json, strlen(json), 0600,
                        FILE_SYNC_NONE, err);
}

/* The only place where changed limits reach the kernel. @old_devices: those in force, with the
 * default ones. */
static int apply_change(struct container *container, const struct cgroup_resources *change,
                        const struct cgroup_device_rules *old_devices, struct error *err)
{
    struct cgroup *cgroup = container_cgroup(container);

    if (cgroup == NULL)
        return error_set(err, EOPNOTSUPP, "limit '%s': it has no cgroup", container->state.id);
    return cgroup_update(cgroup, change, old_devices, err);
}

static int apply_with_defaults(struct container *container, const struct cgroup_resources *change,
                               const struct cgroup_resources *old, struct error *err)
{
    struct cgroup_resources *complete = resources_with_default_devices(change);
    struct cgroup_resources *old_complete = resources_with_default_devices(old);
    int r;

    r = container_change_scope(container, complete, err);
    if (r == 0) {
        r = apply_change(container, complete, &old_complete->devices, err);
        if (r < 0) /* the first failure is the one to tell */
            (void)container_change_scope(container, old_complete, NULL);
    }
    resources_free_shallow(complete);
    resources_free_shallow(old_complete);
    return r;
}

static int update_spec(struct container *container, const struct cgroup_resources *given,
                       struct error *err)
{
    const struct spec *spec = NULL;
    AUTO(spec) struct spec *new_spec = NULL;
    AUTO_CLEAR(resources) struct cgroup_resources copy = { 0 };
    auto_free char *old_json = NULL;
    auto_free char *json = NULL;
    struct cgroup_resources change = *given;
    int r;

    r = container_spec(container, &spec, err);
    if (r < 0)
        return r;
    old_json = spec_encode(spec, ENCODE_COMPACT);
    r = spec_decode(old_json, strlen(old_json), &new_spec, err);
    if (r == 0)
        r = copy_resources(given, &copy, err);
    if (r < 0)
        return r;
    if (new_spec->linux_.resources == NULL)
        new_spec->linux_.resources = xcalloc(1, sizeof(struct cgroup_resources));
    resources_merge_change(new_spec->linux_.resources, &copy, &change);
    json = spec_encode(new_spec, ENCODE_COMPACT);
    r = save_spec(container, json, err);
    if (r < 0)
        return r;
    r = apply_with_defaults(container, &change, spec->linux_.resources, err);
    if (r < 0) {
        /* These bytes had their place before; and the error to tell is the kernel's. */
        (void)save_spec(container, old_json, NULL);
        return r;
    }
    spec_free(container->own_spec);
    container->spec = container->own_spec = take_ptr(&new_spec);
    return 0;
}

/* Where the program runs there has to be somebody to ask. */
static int check_inner(struct container *container, const struct isolation_update *update,
                       struct error *err)
{
    enum container_status status;
    int r = container_status(container, &status, err);

    if (r < 0 || update->inner == NULL || status == CONTAINER_RUNNING)
        return r;
    return error_set(
        err, EBUSY, "limits that a %s's kernel keeps can be changed while it runs: '%s' is %s",
        container->state.isolation, container->state.id, container_status_name(status));
}

/* The jail is never smaller than what is in it. */
static int update_isolated(struct container *container, const struct isolation *isolation,
                           const struct cgroup_resources *given, struct error *err)
{
    AUTO_CLEAR(isolation_update) struct isolation_update update = { 0 };
    const struct spec *jail = NULL;
    bool grows;
    int r;

    r = container_spec(container, &jail, err);
    if (r == 0)
        r = isolation->plan_update(container->dir_fd, jail, given, &update, err);
    if (r == 0)
        r = check_inner(container, &update, err);
    grows = update.take_bytes < update.old_take_bytes;
    if (r == 0 && !grows)
        r = isolation->apply_update(container->dir_fd, container->pidfd, &update, err);
    if (r == 0)
        r = update_spec(container, &update.outer, err);
    if (r == 0 && grows)
        r = isolation->apply_update(container->dir_fd, container->pidfd, &update, err);
    return r;
}

static int update_locked(struct container *container, const struct cgroup_resources *given,
                         struct error *err)
{
    const struct isolation *isolation = NULL;
    int r = container_find_isolation(container, &isolation, err);

    if (r < 0)
        return r;
    return isolation != NULL ? update_isolated(container, isolation, given, err)
                             : update_spec(container, given, err);
}

static int check_running(struct container *container, struct error *err)
{
    enum container_status status;
    int r;

    r = container_status(container, &status, err);
    if (r < 0)
        return r;
    if (status == CONTAINER_STOPPED || status == CONTAINER_CREATING)
        return error_set(err, ESRCH, "container not running: '%s'", container->state.id);
    return 0;
}

int container_update(struct container *container, const struct cgroup_resources *given,
                     struct error *err)
{
    int r;

    assert(container != NULL);
    assert(given != NULL);

    r = check_running(container, err);
    if (r < 0)
        return r;
    /* Two updates at a time would each save what the other does not know. */
    if (flock(container->dir_fd, LOCK_EX) < 0)
        return error_errno(err, "lock the run directory of container '%s'", container->state.id);
    r = update_locked(container, given, err);
    (void)flock(container->dir_fd, LOCK_UN); /* ends with the descriptor at the latest */
    return r;
}

int container_update_schemas(struct container *container, const char *l3_cache_schema,
                             const char *mem_bw_schema, struct error *err)
{
    int r;

    assert(container != NULL);

    r = check_running(container, err);
    if (r < 0)
        return r;
    r = rdt_update(container, l3_cache_schema, mem_bw_schema, err);
    if (r == -EOPNOTSUPP) /* runc's words, which callers know */
        return error_prefix(err, r, "%s",
                            l3_cache_schema != NULL
                                ? "Intel RDT/CAT: l3 cache schema is not enabled"
                                : "Intel RDT/MBA: memory bandwidth schema is not enabled");
    return r;
}
