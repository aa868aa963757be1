#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cgroups/cgroup.h"
#include "cgroups/domain.h"
#include "cgroups/limits.h"
#include "cgroups/usage.h"

/* Why the kernel did not take a value. It has one code for many reasons; the files beside the
 * refused one tell which of them it is. */

static int explain_missing(const struct cgroup *cgroup, const struct cgroup_write *write,
                           struct error *err)
{
    const struct cgroup_hierarchy *hierarchy =
        cgroup_system_find(cgroup->system, write->controller);
    const char *what = cgroup_controller_what(write->controller);
    auto_free char *controller = xstrndup(write->file, strcspn(write->file, "."));
    auto_free char *reason = NULL;

    if (hierarchy != NULL && faccessat(hierarchy->fd, cgroup->relative, F_OK, 0) < 0)
        return error_set(err, ENOENT, "cgroup %s does not exist", cgroup->path);
    if (hierarchy != NULL && hierarchy->is_v2)
        reason = domain_held_back(hierarchy, cgroup->relative, controller);
    if (reason != NULL)
        return error_set(err, EOPNOTSUPP, "cannot limit %s of cgroup %s: %s", what, cgroup->path,
                         reason);
    return error_set(err, EOPNOTSUPP, "cannot limit %s: this kernel has no file %s for cgroup %s",
                     what, write->file, cgroup->path);
}

/* The controller's hierarchy is not there at all. */
static int explain_not_mounted(const struct cgroup *cgroup, const struct cgroup_write *write,
                               struct error *err)
{
    const char *what = cgroup_controller_what(write->controller);
    const char *name = cgroup_controller_name(write->controller, false);

    if (cgroup_system_has_left_out(cgroup->system, write->controller))
        return error_set(err, EACCES,
                         "cannot limit %s: this user has no right to cgroup %s in the hierarchy "
                         "of the %s controller",
                         what, cgroup->path, name);
    return error_set(err, EOPNOTSUPP,
                     "cannot limit %s: no %s controller is mounted below /sys/fs/cgroup", what,
                     name);
}

/* --- reasons; NULL: not known; the caller frees ------------------------------------------------
 */

/* "sev 509\nsev_es 100" to "sev, sev_es" */
static char *list_names(const char *capacity)
{
    AUTO_CLEAR(cgroup_numbers) struct cgroup_numbers numbers = { 0 };
    AUTO_CLEAR(strings) struct strings names = { 0 };

    usage_parse_numbers(capacity, &numbers);
    for (size_t i = 0; i < numbers.count; i++)
        strings_add(&names, numbers.items[i].name);
    return names.count > 0 ? strings_join(&names, ", ") : xstrdup("nothing");
}

char *limits_explain_misc(const char *value, const char *capacity)
{
    auto_free char *name = xstrndup(value, strcspn(value, " "));
    auto_free char *offered = NULL;
    uint64_t number;

    if (capacity == NULL)
        return xasprintf("it is not a resource of this machine and a number; misc.capacity of the "
                         "root cgroup, which is out of sight here, names the resources");
    if (cgroup_text_u64(capacity, name, &number))
        return xasprintf("what follows '%s' is neither a number nor max", name);
    offered = list_names(capacity);
    return xasprintf("'%s' is no resource of this machine: misc.capacity of the root cgroup "
                     "offers %s",
                     name, offered);
}

/* One refused write, and the hierarchy it went to. */
struct refusal {
    const struct cgroup *cgroup;
    const struct cgroup_hierarchy *hierarchy;
    const struct cgroup_write *write;
};

static char *explain_misc(const struct refusal *refusal)
{
    auto_free char *capacity = NULL;

    (void)file_read_kernel(refusal->hierarchy->fd, "misc.capacity", &capacity, NULL); /* or NULL */
    return limits_explain_misc(refusal->write->value, capacity);
}

/* What a file of the cgroup above says; NULL: nothing. @ret_parent: its path, for people. */
static char *read_parent(const struct refusal *refusal, const char *file, char **ret_parent)
{
    const char *path = refusal->cgroup->path;
    auto_free char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    auto_free char *name = xasprintf(".%s/%s", parent, file);
    char *text = NULL;

    if (file_read_kernel(refusal->hierarchy->fd, name, &text, NULL) < 0)
        return NULL;
    *ret_parent = parent[0] == '\0' ? xstrdup("/") : take_ptr(&parent);
    return text;
}

static char *explain_realtime(const struct refusal *refusal)
{
    const char *file = refusal->write->file;
    auto_free char *parent = NULL;
    auto_free char *text = read_parent(refusal, file, &parent);

    if (text == NULL)
        return NULL;
    return xasprintf("the cgroup above, %s, has %s us for all below it: write more into its %s "
                     "first",
                     parent, text, file);
}

static char *explain_cpuset(const struct refusal *refusal)
{
    const struct cgroup_write *write = refusal->write;
    auto_free char *file = refusal->hierarchy->is_v2
                               ? xasprintf("%s.effective", write->file)
                               : xasprintf("cpuset.effective_%s", strchr(write->file, '.') + 1);
    auto_free char *parent = NULL;
    auto_free char *text = read_parent(refusal, file, &parent);
    size_t count = 0;

    if (text == NULL || usage_lists_common(write->value, text, &count) == count)
        return NULL;
    return xasprintf("the cgroup above, %s, has %s only", parent, text);
}

#define CPU_TIME "a period is 1000 to 1000000 us, a quota at least 1000 us and not below the burst"

static const struct reason {
    const char *file;
    int code;
    const char *text;
    char *(*explain)(const struct refusal *refusal);
} reasons[] = {
    { "cpu.cfs_burst_us", EINVAL, CPU_TIME, NULL },
    { "cpu.cfs_period_us", EINVAL, CPU_TIME ", nor the part of a CPU above the parent's", NULL },
    { "cpu.cfs_quota_us", EINVAL, CPU_TIME ", nor the part of a CPU above the parent's", NULL },
    { "cpu.max", EINVAL, CPU_TIME, NULL },
    { "cpu.max.burst", EINVAL, CPU_TIME, NULL },
    { "cpu.rt_runtime_us", EBUSY, "it has programs that are scheduled in real time", NULL },
    { "cpu.rt_runtime_us", EINVAL, NULL, explain_realtime },
    { "cpuset.cpus", EACCES, NULL, explain_cpuset },
    { "cpuset.cpus", EINVAL, NULL, explain_cpuset },
    { "cpuset.cpus", ERANGE, NULL, explain_cpuset },
    { "cpuset.mems", EACCES, NULL, explain_cpuset },
    { "cpuset.mems", EINVAL, NULL, explain_cpuset },
    { "cpuset.mems", ERANGE, NULL, explain_cpuset },
    { "memory.kmem.limit_in_bytes", EOPNOTSUPP,
      "this kernel has no limit of kernel memory by itself: memory.limit counts it", NULL },
    { "memory.limit_in_bytes", EBUSY, "more is in use", NULL },
    { "memory.limit_in_bytes", EINVAL, "its limit of memory and swap together is lower", NULL },
    { "memory.memsw.limit_in_bytes", EBUSY, "more is in use", NULL },
    { "memory.memsw.limit_in_bytes", EINVAL, "its limit of memory alone is higher", NULL },
    { "memory.use_hierarchy", EINVAL,
      "this kernel always counts the cgroups below: leave memory.useHierarchy out", NULL },
    { "misc.max", EINVAL, NULL, explain_misc },
    { "misc.max", ERANGE, NULL, explain_misc },
};

static char *find_reason(const struct refusal *refusal, int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (reasons[i].code == code && text_equal(reasons[i].file, refusal->write->file))
            return reasons[i].text != NULL ? xstrdup(reasons[i].text) : reasons[i].explain(refusal);
    return NULL;
}

int limits_explain(const struct cgroup *cgroup, const struct cgroup_write *write, int r,
                   struct error *err)
{
    const struct refusal refusal = { cgroup, cgroup_system_find(cgroup->system, write->controller),
                                     write };
    auto_free char *reason = NULL;

    if (r == -ENODEV && refusal.hierarchy == NULL)
        return explain_not_mounted(cgroup, write, err);
    if (r == -ENOENT)
        return explain_missing(cgroup, write, err);
    reason = find_reason(&refusal, -r);
    if (reason == NULL)
        reason = xstrdup(strerror(-r));
    return error_set(err, -r, "set %s of cgroup %s to '%s': %s", write->file, cgroup->path,
                     write->value, reason);
}

int limits_explain_weight(const struct cgroup *cgroup, const struct cgroup_write *write, int r,
                          struct error *err)
{
    auto_free char *device = xstrndup(write->value, strcspn(write->value, " "));

    if (strchr(device, ':') == NULL)
        return limits_explain(cgroup, write, r, err);
    return error_set(err, EOPNOTSUPP,
                     "cannot weigh I/O of cgroup %s on device %s: the device uses neither the "
                     "scheduler BFQ (/sys/dev/block/%s/queue/scheduler) nor %s",
                     cgroup->path, device, device,
                     text_equal(write->file, "io.weight")
                         ? "the cost model (io.cost.qos of the root cgroup)"
                         : "CFQ");
}
