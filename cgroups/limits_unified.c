#include "cgroups/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/cgroup_system.h"

/* Plans for verbatim v2 files, "unified" in the specification. Where the controller is on v1, a
 * file is refused by the name of what to set instead, but for the two that only this key reaches.
 */

/* Files of v2, and what v1 has in their place: under a name of the specification, or else written
 * by this key on v1 as well. A name that ends with a dot stands for all that begin so. */
static const struct unified_file {
    const char *file;
    const char *member; /* NULL: none, unified reaches it */
    const char *v1_file;
} unified_files[] = {
    { "cpu.idle", "cpu.idle", "cpu.idle" },
    { "cpu.max", "cpu.quota and cpu.period", "cpu.cfs_quota_us" },
    { "cpu.max.burst", "cpu.burst", "cpu.cfs_burst_us" },
    { "cpu.weight", "cpu.shares", "cpu.shares" },
    { "cpu.weight.nice", "cpu.shares", "cpu.shares" },
    { "cpuset.cpus", "cpu.cpus", "cpuset.cpus" },
    { "cpuset.mems", "cpu.mems", "cpuset.mems" },
    { "hugetlb.", "hugepageLimits", "hugetlb.SIZE.limit_in_bytes" },
    { "io.bfq.weight", "blockIO.weight", "blkio.bfq.weight" },
    { "io.max", "blockIO.throttleReadBpsDevice and its like", "blkio.throttle.read_bps_device" },
    { "io.prio.class", NULL, "blkio.prio.class" },
    { "io.weight", "blockIO.weight", "blkio.bfq.weight" },
    { "memory.low", "memory.reservation", "memory.soft_limit_in_bytes" },
    { "memory.max", "memory.limit", "memory.limit_in_bytes" },
    { "memory.swap.max", "memory.swap", "memory.memsw.limit_in_bytes" },
    { "misc.max", NULL, "misc.max" },
    { "pids.max", "pids.limit", "pids.max" },
    { "rdma.max", "rdma", "rdma.max" },
};

static const struct unified_file *find_unified_file(const char *file)
{
    for (size_t i = 0; i < ARRAY_SIZE(unified_files); i++) {
        const char *name = unified_files[i].file;
        bool is_prefix = name[strlen(name) - 1] == '.';

        if (is_prefix ? text_starts(file, name) : text_equal(file, name))
            return &unified_files[i];
    }
    return NULL;
}

static int check_unified_name(const char *file, struct error *err)
{
    static const char *const of_the_root[] = { "io.cost.model", "io.cost.qos" };
    const char *dot = strchr(file, '.');

    if (dot == NULL || dot == file || strchr(file, '/') != NULL || strlen(file) > 255)
        return error_set(err, EINVAL, "unified: '%s' is no file of a cgroup", file);
    for (size_t i = 0; i < ARRAY_SIZE(of_the_root); i++)
        if (text_equal(file, of_the_root[i]))
            return error_set(err, EINVAL,
                             "unified: %s is about a device of the whole machine: write it into "
                             "the root cgroup, which alone has it",
                             file);
    return 0;
}

/* The controller that a v2 file belongs to; CGROUP_UNIFIED: none of those that v1 may have. */
static enum cgroup_controller controller_of(const char *file)
{
    auto_free char *name = xstrndup(file, strcspn(file, "."));
    unsigned i = 0;

    /* cpuacct goes by the same name, and follows cpu */
    while (i < CGROUP_UNIFIED && !text_equal(name, cgroup_controller_name(i, true)))
        i++;
    return i;
}

static int refuse_on_v1(enum cgroup_controller controller, const char *file, struct error *err)
{
    const struct unified_file *known = find_unified_file(file);

    if (controller == CGROUP_UNIFIED)
        return error_set(err, EOPNOTSUPP,
                         "unified: %s is a file of cgroup v2, which is not mounted", file);
    if (known == NULL)
        return error_set(err, EOPNOTSUPP,
                         "unified: %s is a file of cgroup v2, but the controller %s is on v1 here, "
                         "which has nothing like it",
                         file, cgroup_controller_name(controller, false));
    return error_set(err, EOPNOTSUPP,
                     "unified: %s is a file of cgroup v2, but the controller %s is on v1 here: set "
                     "%s instead, which is %s there",
                     file, cgroup_controller_name(controller, false), known->member,
                     known->v1_file);
}

/* Decides which file of which controller a key is written to. */
static int place_unified_file(const struct limits_plan *plan, const char *file,
                              enum cgroup_controller *ret_controller, const char **ret_file,
                              struct error *err)
{
    enum cgroup_controller controller = controller_of(file);
    const struct unified_file *known = find_unified_file(file);
    bool is_v1 = limits_is_v1(plan, controller);

    if (is_v1 && (known == NULL || known->member != NULL))
        return refuse_on_v1(controller, file, err);
    /* What has no member is explained by its own controller, anything else by its file. */
    *ret_controller = known != NULL && known->member == NULL ? controller : CGROUP_UNIFIED;
    *ret_file = is_v1 ? known->v1_file : file;
    return 0;
}

int limits_plan_unified(struct limits_plan *plan, struct error *err)
{
    const struct string_map *unified = &plan->resources->unified;

    for (size_t i = 0; i < unified->count; i++) {
        enum cgroup_controller controller = CGROUP_UNIFIED;
        const char *file = unified->items[i].key;
        AUTO_CLEAR(strings) struct strings lines = { 0 };
        int r = check_unified_name(file, err);

        if (r == 0)
            r = place_unified_file(plan, file, &controller, &file, err);
        if (r < 0)
            return r;
        /* The kernel takes one line with each write. */
        strings_split(&lines, unified->items[i].value, '\n');
        for (size_t j = 0; j < lines.count; j++)
            if (lines.items[j][0] != '\0')
                limits_add(plan, controller, file, "%s", lines.items[j]);
    }
    return 0;
}
