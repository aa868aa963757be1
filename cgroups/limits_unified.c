#include "cgroups/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/cgroup_system.h"

/* Plans for files that are written verbatim, "unified" in the specification: those of v2, and where
 * the controller is on v1, which the specification does not know of, those of v1. A file of the
 * other version is refused by the name of what to set instead, but for those that only this key
 * reaches.
 */

/* Files of v2, and what v1 has in their place. A name that ends with a dot stands for all that
 * begin so. */
static const struct unified_file {
    const char *file;
    const char *member;  /* of the specification; NULL: none, this key writes it on v1 as well */
    const char *v1_file; /* NULL: nothing, though it has the controller */
} unified_files[] = {
    { "cpu.idle", "cpu.idle", "cpu.idle" },
    { "cpu.max", "cpu.quota and cpu.period", "cpu.cfs_quota_us" },
    { "cpu.max.burst", "cpu.burst", "cpu.cfs_burst_us" },
    { "cpu.weight", "cpu.shares", "cpu.shares" },
    { "cpu.weight.nice", "cpu.shares", "cpu.shares" },
    { "cpuset.cpus", "cpu.cpus", "cpuset.cpus" },
    { "cpuset.cpus.", NULL, NULL },
    { "cpuset.mems", "cpu.mems", "cpuset.mems" },
    { "hugetlb.", "hugepageLimits", "hugetlb.SIZE.limit_in_bytes" },
    { "io.bfq.weight", "blockIO.weight", "blkio.bfq.weight" },
    { "io.max", "blockIO.throttleReadBpsDevice and its like", "blkio.throttle.read_bps_device" },
    { "io.prio.class", NULL, "blkio.prio.class" },
    { "io.weight", "blockIO.weight", "blkio.bfq.weight" },
    { "io.", NULL, NULL },
    { "memory.high", NULL, NULL },
    { "memory.low", "memory.reservation", "memory.soft_limit_in_bytes" },
    { "memory.max", "memory.limit", "memory.limit_in_bytes" },
    { "memory.min", NULL, NULL },
    { "memory.oom.", NULL, NULL },
    { "memory.reclaim", NULL, NULL },
    { "memory.swap.max", "memory.swap", "memory.memsw.limit_in_bytes" },
    { "memory.swap.", NULL, NULL },
    { "memory.zswap.", NULL, NULL },
    { "misc.max", NULL, "misc.max" },
    { "pids.max", "pids.limit", "pids.max" },
    { "rdma.max", "rdma", "rdma.max" },
};

/* What is no limit; a name that ends with a dot as above. */
static const struct refused_file {
    const char *file;
    const char *reason;
} refused_files[] = {
    { "cgroup.freeze", "freezes processes: pause the container instead" },
    { "cgroup.kill", "kills processes: kill the container instead" },
    { "cgroup.procs", "moves processes, and limits nothing" },
    { "cgroup.threads", "moves threads, and limits nothing" },
    { "devices.", "is for device rules: set devices instead" },
    { "freezer.", "freezes processes: pause the container instead" },
    { "io.cost.model",
      "is about a device of the whole machine: write it into the root cgroup, which alone has it" },
    { "io.cost.qos",
      "is about a device of the whole machine: write it into the root cgroup, which alone has it" },
};

static bool is_meant(const char *name, const char *file)
{
    return text_ends(name, ".") ? text_starts(file, name) : text_equal(file, name);
}

static const struct unified_file *find_unified_file(const char *file)
{
    for (size_t i = 0; i < ARRAY_SIZE(unified_files); i++)
        if (is_meant(unified_files[i].file, file))
            return &unified_files[i];
    return NULL;
}

/* The row of a file of v1 that v2 has under another name; NULL: none. */
static const struct unified_file *find_v1_file(const char *file)
{
    for (size_t i = 0; i < ARRAY_SIZE(unified_files); i++)
        if (text_equal(unified_files[i].v1_file, file) && !text_equal(unified_files[i].file, file))
            return &unified_files[i];
    return NULL;
}

static int check_unified_name(const char *file, struct error *err)
{
    const char *dot = strchr(file, '.');

    if (dot == NULL || dot == file || strchr(file, '/') != NULL || strlen(file) > 255)
        return error_set(err, EINVAL, "unified: '%s' is no file of a cgroup", file);
    for (size_t i = 0; i < ARRAY_SIZE(refused_files); i++)
        if (is_meant(refused_files[i].file, file))
            return error_set(err, EINVAL, "unified: %s %s", file, refused_files[i].reason);
    return 0;
}

/* The controller that a file belongs to; CGROUP_UNIFIED: none of those that v1 may have. */
static enum cgroup_controller controller_of(const char *file)
{
    auto_free char *name = xstrndup(file, strcspn(file, "."));
    unsigned i = 0;

    /* cpuacct goes by the name of cpu on v2, and follows it */
    while (i < CGROUP_UNIFIED && !text_equal(name, cgroup_controller_name(i, true)) &&
           !text_equal(name, cgroup_controller_name(i, false)))
        i++;
    return i;
}

static int refuse_on_v1(enum cgroup_controller controller, const struct unified_file *known,
                        const char *file, struct error *err)
{
    const char *name = cgroup_controller_name(controller, false);

    if (known->v1_file == NULL)
        return error_set(err, EOPNOTSUPP,
                         "unified: %s is a file of cgroup v2, but the controller %s is on v1 here, "
                         "which has nothing like it",
                         file, name);
    return error_set(err, EOPNOTSUPP,
                     "unified: %s is a file of cgroup v2, but the controller %s is on v1 here: set "
                     "%s instead, which is %s there",
                     file, name, known->member, known->v1_file);
}

/* Only what is known for sure to be of v1: newer kernels may have files that nobody here knows. */
static int check_on_v2(enum cgroup_controller controller, const char *file, struct error *err)
{
    const struct unified_file *known = find_v1_file(file);

    if (known != NULL)
        return error_set(err, EOPNOTSUPP,
                         "unified: %s is a file of cgroup v1, but the controller %s is not on v1 "
                         "here: write %s instead",
                         file, cgroup_controller_name(controller, false), known->file);
    if (controller == CGROUP_NET_CLASS || controller == CGROUP_NET_PRIORITY ||
        text_starts(file, "blkio.") || text_starts(file, "cpuacct."))
        return error_set(err, EOPNOTSUPP,
                         "unified: %s is a file of cgroup v1, but the controller %s is not on v1 "
                         "here",
                         file, cgroup_controller_name(controller, false));
    return 0;
}

/* Decides which file of which controller a key is written to. */
static int place_unified_file(const struct limits_plan *plan, const char *file,
                              enum cgroup_controller *ret_controller, const char **ret_file,
                              struct error *err)
{
    enum cgroup_controller controller = controller_of(file);
    const struct unified_file *known = find_unified_file(file);
    bool is_only_here = known != NULL && known->member == NULL && known->v1_file != NULL;

    if (!limits_is_v1(plan, controller)) {
        /* What has no member is explained by its own controller, anything else by its file. */
        *ret_controller = is_only_here ? controller : CGROUP_UNIFIED;
        *ret_file = file;
        return check_on_v2(controller, file, err);
    }
    if (controller == CGROUP_UNIFIED)
        return error_set(err, EOPNOTSUPP,
                         "unified: %s is a file of cgroup v2, which is not mounted", file);
    if (known != NULL && !is_only_here && !text_equal(known->v1_file, file))
        return refuse_on_v1(controller, known, file, err);
    *ret_controller = controller;
    *ret_file = is_only_here ? known->v1_file : file;
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
