#include "cgroups/cgroup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroups/device_filter.h"
#include "cgroups/limits.h"

/* Writes what cgroup_limits_plan() decided. On a group in use the right order depends on the values
 * it has: memory+swap may never be below memory, a period never above its quota's parent, a burst
 * never above the quota. Rather than to read all of them, a value that the kernel refuses as
 * invalid is tried again after the others, as long as that still changes something. */

enum write_state { WRITE_TODO, WRITE_DONE, WRITE_MISSING };

/* A v2 file may be missing only because a cgroup above does not pass its controller on. */
static int write_v2(const struct cgroup *cgroup, const struct cgroup_hierarchy *v2,
                    const struct cgroup_write *write)
{
    int r;

    r = cgroup_file_write(cgroup, v2, write->file, write->value);
    if (r != -ENOENT || text_starts(write->file, "cgroup."))
        return r;
    cgroup_enable_controllers(cgroup, cgroup_system_v2_controllers(cgroup->system));
    return cgroup_file_write(cgroup, v2, write->file, write->value);
}

static int write_file(const struct cgroup *cgroup, const struct cgroup_write *write)
{
    const struct cgroup_hierarchy *hierarchy =
        write->controller == CGROUP_UNIFIED ? cgroup_system_v2(cgroup->system)
                                            : cgroup_system_find(cgroup->system, write->controller);

    if (hierarchy == NULL)
        return -ENODEV;
    if (hierarchy->is_v2)
        return write_v2(cgroup, hierarchy, write);
    return cgroup_file_write(cgroup, hierarchy, write->file, write->value);
}

/* Whether the machine has the controller of a v2 file, but not this cgroup. */
static bool is_held_back(const struct cgroup *cgroup, const struct cgroup_hierarchy *v2,
                         const char *file)
{
    auto_free char *controller = xstrndup(file, strcspn(file, "."));
    auto_free char *own = NULL;

    return cgroup_list_contains(cgroup_system_v2_controllers(cgroup->system), ' ', controller) &&
           cgroup_file_read(cgroup, v2, "cgroup.controllers", &own) == 0 &&
           !cgroup_list_contains(own, ' ', controller);
}

static int explain_missing(const struct cgroup *cgroup, const struct cgroup_write *write,
                           struct error *err)
{
    const struct cgroup_hierarchy *hierarchy =
        cgroup_system_find(cgroup->system, write->controller);

    if (hierarchy != NULL && faccessat(hierarchy->fd, cgroup->relative, F_OK, 0) < 0)
        return error_set(err, ENOENT, "cgroup %s does not exist", cgroup->path);
    if (hierarchy != NULL && hierarchy->is_v2 && is_held_back(cgroup, hierarchy, write->file))
        return error_set(err, EOPNOTSUPP,
                         "cannot limit %s: a cgroup above %s does not pass the controller on, "
                         "maybe because it has processes itself",
                         cgroup_controller_what(write->controller), cgroup->path);
    return error_set(err, EOPNOTSUPP, "cannot limit %s: this kernel has no file %s for cgroup %s",
                     cgroup_controller_what(write->controller), write->file, cgroup->path);
}

/* Turns the failure of one write into a sentence. */
static int explain(const struct cgroup *cgroup, const struct cgroup_write *write, int r,
                   struct error *err)
{
    const char *what = cgroup_controller_what(write->controller);

    if (r == -ENODEV && cgroup_system_has_left_out(cgroup->system, write->controller))
        return error_set(err, EACCES,
                         "cannot limit %s: this user has no right to cgroup %s in the hierarchy "
                         "of the %s controller",
                         what, cgroup->path, cgroup_controller_name(write->controller, false));
    if (r == -ENODEV && cgroup_system_find(cgroup->system, write->controller) == NULL)
        return error_set(err, EOPNOTSUPP,
                         "cannot limit %s: no %s controller is mounted below /sys/fs/cgroup", what,
                         cgroup_controller_name(write->controller, false));
    if (r == -ENOENT)
        return explain_missing(cgroup, write, err);
    if (r == -EBUSY && text_equal(write->file, "memory.limit_in_bytes"))
        return error_set(err, EBUSY, "limit memory of cgroup %s to %s bytes: more is in use",
                         cgroup->path, write->value);
    if (r == -EINVAL && text_equal(write->file, "memory.limit_in_bytes"))
        return error_set(err, EINVAL,
                         "limit memory of cgroup %s to %s bytes: its limit of memory and swap "
                         "together is lower",
                         cgroup->path, write->value);
    errno = -r;
    return error_errno(err, "set %s of cgroup %s to '%s'", write->file, cgroup->path, write->value);
}

/* Tries what is left to do once. Returns how many writes went on, or the first real failure. */
static int write_pass(const struct cgroup *cgroup, const struct cgroup_writes *writes,
                      enum write_state *states, int *ret_refusal, size_t *ret_refused,
                      struct error *err)
{
    int progress = 0;

    *ret_refusal = 0;
    for (size_t i = 0; i < writes->count; i++) {
        const struct cgroup_write *write = &writes->items[i];
        int r = 0;

        if (states[i] != WRITE_TODO)
            continue;
        if (!write->is_fallback || states[i - 1] == WRITE_MISSING)
            r = write_file(cgroup, write);
        if ((r == -ENOENT || r == -ENODEV) && write->is_optional &&
            cgroup_system_find(cgroup->system, write->controller) != NULL) {
            states[i] = WRITE_MISSING;
            progress++;
        } else if (r == -EINVAL) {
            if (*ret_refusal == 0)
                *ret_refused = i;
            *ret_refusal = r;
        } else if (r < 0) {
            return explain(cgroup, write, r, err);
        } else {
            states[i] = WRITE_DONE;
            progress++;
        }
    }
    return progress;
}

int limits_write(const struct cgroup *cgroup, const struct cgroup_writes *writes, struct error *err)
{
    auto_free enum write_state *states = xcalloc(writes->count + 1, sizeof(*states));
    size_t refused = 0;
    int refusal;
    int r;

    do {
        r = write_pass(cgroup, writes, states, &refusal, &refused, err);
        if (r < 0)
            return r;
    } while (refusal < 0 && r > 0);
    return refusal < 0 ? explain(cgroup, &writes->items[refused], refusal, err) : 0;
}

static uint64_t read_number(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                            const char *file)
{
    auto_free char *text = NULL;

    /* Not to be read: setting the limit will fail with the better sentence. */
    if (cgroup_file_read(cgroup, hierarchy, file, &text) < 0)
        return 0;
    return strtoull(text, NULL, 10);
}

/* Without this check the kernel kills processes until the new limit fits (v2), or says no more than
 * EBUSY (v1). */
static int limits_check_usage(const struct cgroup *cgroup, const struct cgroup_memory *memory,
                              struct error *err)
{
    const struct cgroup_hierarchy *hierarchy = cgroup_system_find(cgroup->system, CGROUP_MEMORY);
    uint64_t usage, swap_usage;

    if (!memory->check_before_update || hierarchy == NULL)
        return 0;
    usage = read_number(cgroup, hierarchy,
                        hierarchy->is_v2 ? "memory.current" : "memory.usage_in_bytes");
    swap_usage = hierarchy->is_v2 ? usage + read_number(cgroup, hierarchy, "memory.swap.current")
                                  : read_number(cgroup, hierarchy, "memory.memsw.usage_in_bytes");
    if (memory->has_swap && memory->swap > 0 && (uint64_t)memory->swap <= swap_usage)
        return error_set(
            err, EBUSY, "rejecting memory+swap limit %" PRId64 " <= usage %" PRIu64 " of cgroup %s",
            memory->swap, swap_usage, cgroup->path);
    if (memory->has_limit && memory->limit > 0 && (uint64_t)memory->limit <= usage)
        return error_set(err, EBUSY,
                         "rejecting memory limit %" PRId64 " <= usage %" PRIu64 " of cgroup %s",
                         memory->limit, usage, cgroup->path);
    return 0;
}

int limits_prepare(const struct cgroup *cgroup, const struct cgroup_resources *resources,
                   struct cgroup_writes *ret_writes, struct error *err)
{
    int r;

    assert(cgroup != NULL);
    assert(resources != NULL);

    r = cgroup_limits_plan(resources, cgroup_system_v1_mask(cgroup->system), ret_writes, err);
    return r < 0 ? r : limits_check_usage(cgroup, &resources->memory, err);
}

int cgroup_apply_check(struct cgroup *cgroup, const struct cgroup_resources *resources,
                       struct error *err)
{
    AUTO_CLEAR(cgroup_writes) struct cgroup_writes writes = { 0 };
    int r;

    r = limits_prepare(cgroup, resources, &writes, err);
    return r < 0 ? r : device_filter_check(cgroup, &resources->devices, err);
}

int cgroup_apply(struct cgroup *cgroup, const struct cgroup_resources *resources, struct error *err)
{
    AUTO_CLEAR(cgroup_writes) struct cgroup_writes writes = { 0 };
    int r;

    r = limits_prepare(cgroup, resources, &writes, err);
    if (r == 0)
        r = limits_write(cgroup, &writes, err);
    return r < 0 ? r : device_filter_apply(cgroup, &resources->devices, err);
}
