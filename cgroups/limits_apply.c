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
#include "cgroups/usage.h"

/* Writes what cgroup_limits_plan() decided. On a group in use the right order depends on the values
 * it has: memory+swap may never be below memory, a period never above its quota's parent, a burst
 * never above the quota. Rather than to read all of them, a value that the kernel refuses as
 * invalid is tried again after the others, as long as that still changes something. */

enum write_state { WRITE_TODO, WRITE_DONE, WRITE_MISSING };

/* v2 takes a list of which nothing is to be had, and goes on with what the cgroup above has. */
static int check_cpuset(const struct cgroup *cgroup, const struct cgroup_hierarchy *v2,
                        const struct cgroup_write *write)
{
    auto_free char *file = xasprintf("%s.effective", write->file);
    auto_free char *effective = NULL;
    int r = cgroup_file_read(cgroup, v2, file, &effective);
    size_t count = 0;

    if (r < 0 || usage_lists_common(write->value, effective, &count) > 0)
        return r;
    return count > 0 ? -EINVAL : 0;
}

/* A v2 file may be missing only because a cgroup above does not pass its controller on. */
static int write_v2(const struct cgroup *cgroup, const struct cgroup_hierarchy *v2,
                    const struct cgroup_write *write)
{
    int r;

    r = cgroup_file_write(cgroup, v2, write->file, write->value);
    if (r == -ENOENT && !text_starts(write->file, "cgroup.")) {
        cgroup_enable_controllers(cgroup, cgroup_system_v2_controllers(cgroup->system));
        r = cgroup_file_write(cgroup, v2, write->file, write->value);
    }
    /* A list that is taken back may be empty, which means what the cgroup above has. */
    if (r == 0 && write->controller == CGROUP_CPUSET && write->value[0] != '\n')
        r = check_cpuset(cgroup, v2, write);
    return r;
}

/* Newer kernels take a limit of kernel memory and forget it; older ones round it to pages. */
static int check_kernel_memory(const struct cgroup *cgroup, const struct cgroup_hierarchy *v1,
                               const struct cgroup_write *write)
{
    auto_free char *text = NULL;
    int r = cgroup_file_read(cgroup, v1, write->file, &text);

    return r == 0 && usage_parse_limit(text) == UINT64_MAX ? -EOPNOTSUPP : r;
}

static int write_v1(const struct cgroup *cgroup, const struct cgroup_hierarchy *v1,
                    const struct cgroup_write *write)
{
    int r = cgroup_file_write(cgroup, v1, write->file, write->value);

    if (r == 0 && text_equal(write->file, "memory.kmem.limit_in_bytes"))
        return check_kernel_memory(cgroup, v1, write);
    return r;
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
    return write_v1(cgroup, hierarchy, write);
}

/* Whether a failure says no more than that this kernel, or this device, goes without the file. */
static bool is_passed_over(const struct cgroup *cgroup, const struct cgroup_writes *writes,
                           size_t index, int r)
{
    const struct cgroup_write *write = &writes->items[index];
    bool is_one_of_two = write->is_alternative ||
                         (index + 1 < writes->count && writes->items[index + 1].is_alternative);

    if (cgroup_system_find(cgroup->system, write->controller) == NULL)
        return false;
    if (r == -ENODEV) /* of a line for a device: there is no such device */
        return write->is_optional;
    return (write->is_optional || is_one_of_two) && (r == -ENOENT || r == -EOPNOTSUPP);
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
        int r;

        if (states[i] != WRITE_TODO)
            continue;
        r = write_file(cgroup, write);
        if (is_passed_over(cgroup, writes, i, r)) {
            if (write->is_alternative && states[i - 1] == WRITE_MISSING)
                return limits_explain_weight(cgroup, write, r, err);
            states[i] = WRITE_MISSING;
            progress++;
        } else if (r == -EINVAL) {
            if (*ret_refusal == 0)
                *ret_refused = i;
            *ret_refusal = r;
        } else if (r < 0) {
            return limits_explain(cgroup, write, r, err);
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
    return refusal < 0 ? limits_explain(cgroup, &writes->items[refused], refusal, err) : 0;
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
