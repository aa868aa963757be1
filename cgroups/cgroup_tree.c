#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "cgroups/usage.h"

/* Cgroups that hold others: what they share out, and their removal, which kills nothing. */

/* The number in a file of the cgroup, behind "default " where a file has lines for devices as well;
 * false where there is none. */
static bool read_first_number(const struct cgroup *cgroup, enum cgroup_controller controller,
                              const char *v1_file, const char *v2_file, uint64_t *ret_value)
{
    const struct cgroup_hierarchy *hierarchy = cgroup_system_find(cgroup->system, controller);
    auto_free char *text = NULL;

    if (hierarchy == NULL ||
        cgroup_file_read(cgroup, hierarchy, hierarchy->is_v2 ? v2_file : v1_file, &text) < 0)
        return false;
    *ret_value =
        usage_parse_limit(text_starts(text, "default ") ? text + strlen("default ") : text);
    return true;
}

static void read_quota(const struct cgroup *cgroup, struct cgroup_shares *shares)
{
    const struct cgroup_hierarchy *hierarchy = cgroup_system_find(cgroup->system, CGROUP_CPU);
    auto_free char *text = NULL;

    shares->quota_us = UINT64_MAX;
    if (hierarchy == NULL)
        return;
    if (!hierarchy->is_v2) {
        /* -1 is none */
        if (cgroup_file_read(cgroup, hierarchy, "cpu.cfs_quota_us", &text) == 0 && text[0] != '-')
            shares->quota_us = strtoull(text, NULL, 10);
        (void)read_first_number(cgroup, CGROUP_CPU, "cpu.cfs_period_us", "", &shares->period_us);
    } else if (cgroup_file_read(cgroup, hierarchy, "cpu.max", &text) == 0) {
        const char *space = strchrnul(text, ' ');

        if (!text_starts(text, "max"))
            shares->quota_us = strtoull(text, NULL, 10);
        shares->period_us = strtoull(space, NULL, 10);
    }
}

void cgroup_shares_read(struct cgroup *cgroup, struct cgroup_shares *ret_shares)
{
    const struct cgroup_hierarchy *cpu = cgroup_system_find(cgroup->system, CGROUP_CPU);
    struct cgroup_shares shares = { .is_cpu_v2 = cpu != NULL && cpu->is_v2 };

    shares.has_cpu_weight =
        read_first_number(cgroup, CGROUP_CPU, "cpu.shares", "cpu.weight", &shares.cpu_weight);
    shares.has_io_weight =
        read_first_number(cgroup, CGROUP_BLOCK_IO, "blkio.bfq.weight", "io.bfq.weight",
                          &shares.io_weight) ||
        read_first_number(cgroup, CGROUP_BLOCK_IO, "blkio.weight", "io.weight", &shares.io_weight);
    read_quota(cgroup, &shares);
    *ret_shares = shares;
}

/* In any hierarchy, before the first is touched. */
static int check_no_processes(const struct cgroup *cgroup,
                              const struct cgroup_hierarchy *hierarchies, size_t count,
                              struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        auto_free char *pids = NULL;

        if (hierarchies[i].fd >= 0 &&
            cgroup_file_read(cgroup, &hierarchies[i], "cgroup.procs", &pids) == 0 &&
            pids[0] != '\0')
            return error_set(err, EBUSY, "cgroup %s has processes, the first is %.*s", cgroup->path,
                             (int)strcspn(pids, "\n"), pids);
    }
    return 0;
}

int cgroup_remove(struct cgroup_system *system, const char *path, struct error *err)
{
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    const struct cgroup_hierarchy *hierarchies;
    size_t count;
    int r;

    r = cgroup_open(system, path, &cgroup, err);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    hierarchies = cgroup_system_hierarchies(system, &count);
    r = check_no_processes(cgroup, hierarchies, count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        if (hierarchies[i].fd < 0 ||
            unlinkat(hierarchies[i].fd, cgroup->relative, AT_REMOVEDIR) == 0 || errno == ENOENT)
            continue;
        if (errno == EBUSY)
            return error_set(err, EBUSY, "cgroup %s has processes or cgroups below it",
                             cgroup->path);
        return error_errno(err, "remove cgroup %s", cgroup->path);
    }
    return 0;
}
