#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroups/cgroup.h"

/* Cgroups for a caller who is not root of the machine. He may use what was delegated to him: a
 * cgroup whose directory belongs to him (cgroup-v2.rst, "Delegation"; on v1 it is the same by mode
 * bits alone), perhaps in some hierarchies only. Hierarchies without such a place are left out of
 * his cgroup_system, so that everything else here needs not know of it. */

/* --- where --------------------------------------------------------------------------------------
 */

static bool may_write(int fd, const char *path)
{
    return faccessat(fd, path[0] == '\0' ? "." : path, W_OK, AT_EACCESS) == 0;
}

/* The part of both paths that is the same, by whole components: "/a/b" and "/a/bc/d" give "/a". */
static char *common_path(const char *one, const char *other)
{
    size_t end = 0, i = 0;

    for (; one[i] != '\0' && one[i] == other[i]; i++)
        if (one[i] == '/')
            end = i;
    if ((one[i] == '\0' || one[i] == '/') && (other[i] == '\0' || other[i] == '/'))
        end = i;
    return xstrndup(one, end);
}

/* To move a process takes the right to write the list of the cgroup above both places
 * (cgroup-v2.rst, "Delegation Containment"). */
static bool may_move(const struct cgroup_hierarchy *v2, const char *path)
{
    auto_free char *common = common_path(v2->own_path, path);
    auto_free char *list = xasprintf("%s/cgroup.procs", common[0] == '/' ? common + 1 : ".");

    return may_write(v2->fd, list);
}

static bool is_there(const struct cgroup_hierarchy *hierarchy, const char *path)
{
    return faccessat(hierarchy->fd, path + 1, F_OK, 0) == 0;
}

/* Whether the caller may make the cgroup, or change it where it is there. */
static bool is_delegated(const struct cgroup_hierarchy *hierarchy, const char *path)
{
    auto_free char *above = xstrdup(path + 1);
    char *slash;

    if (is_there(hierarchy, path)) {
        auto_free char *list = xasprintf("%s/cgroup.procs", path + 1);

        return may_write(hierarchy->fd, list);
    }
    while ((slash = strrchr(above, '/')) != NULL) {
        *slash = '\0';
        if (faccessat(hierarchy->fd, above, F_OK, 0) == 0)
            return may_write(hierarchy->fd, above);
    }
    return may_write(hierarchy->fd, "");
}

static bool may_be_entered(const struct cgroup_hierarchy *hierarchy, const char *path)
{
    return is_delegated(hierarchy, path) && (!hierarchy->is_v2 || may_move(hierarchy, path));
}

size_t cgroup_system_keep_delegated(struct cgroup_system *system, const char *path, bool must_exist)
{
    const struct cgroup_hierarchy *hierarchies;
    size_t count, kept = 0;

    assert(path[0] == '/');

    hierarchies = cgroup_system_hierarchies(system, &count);
    for (size_t i = 0; i < count; i++) {
        if (hierarchies[i].fd < 0)
            continue;
        if (must_exist ? is_there(&hierarchies[i], path) && is_delegated(&hierarchies[i], path)
                       : may_be_entered(&hierarchies[i], path))
            kept++;
        else
            cgroup_system_leave_out(system, i);
    }
    return cgroup_system_layout(system) == CGROUP_LAYOUT_NONE ? 0 : kept;
}

static size_t count_delegated(const struct cgroup_hierarchy *hierarchies, size_t count,
                              const char *path)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += hierarchies[i].fd >= 0 && may_be_entered(&hierarchies[i], path);
    return found;
}

/* A cgroup of v2 with processes in it passes no controllers on, and the caller is in his own: those
 * beside it have the limits (cgroup-v2.rst, "No Internal Process Constraint"). */
static char *path_beside(const struct cgroup_hierarchy *hierarchy, const char *name)
{
    const char *own = hierarchy->own_path;

    if (!hierarchy->is_v2 || text_equal(own, "/"))
        return NULL;
    return xasprintf("%.*s/%s", (int)(strrchr(own, '/') - own), own, name);
}

static char *path_below(const struct cgroup_hierarchy *hierarchy, const char *name)
{
    const char *own = hierarchy->own_path;

    return xasprintf("%s/%s", text_equal(own, "/") ? "" : own, name);
}

char *cgroup_system_find_delegated(const struct cgroup_system *system, const char *name)
{
    const struct cgroup_hierarchy *hierarchies;
    char *best = NULL;
    size_t count, best_count = 0;

    /* On v1 a process may be in another cgroup in each hierarchy; a cgroup has one path here. */
    hierarchies = cgroup_system_hierarchies(system, &count);
    for (size_t i = 0; i < 2 * count; i++) {
        const struct cgroup_hierarchy *hierarchy = &hierarchies[i / 2];
        auto_free char *path = NULL;
        size_t found;

        if (hierarchy->fd < 0 || text_starts(hierarchy->own_path, "/.."))
            continue;
        path = i % 2 == 0 ? path_beside(hierarchy, name) : path_below(hierarchy, name);
        if (path == NULL || text_equal(path, best) || strlen(path) >= CGROUP_PATH_MAX)
            continue;
        found = count_delegated(hierarchies, count, path);
        if (found <= best_count)
            continue;
        free(best);
        best = take_ptr(&path);
        best_count = found;
    }
    return best;
}

/* --- what --------------------------------------------------------------------------------------
 */

/* The limits of one controller, taken out of all others, with the names of its members. */
typedef bool part_taker(const struct cgroup_resources *all, struct cgroup_resources *part,
                        struct strings *names);

static void add_if(struct strings *names, bool is_set, const char *name)
{
    if (is_set)
        strings_add(names, name);
}

static bool take_memory(const struct cgroup_resources *all, struct cgroup_resources *part,
                        struct strings *names)
{
    const struct cgroup_memory *memory = &all->memory;

    part->memory = *memory;
    add_if(names, memory->has_limit && memory->limit > 0, "memory.limit");
    add_if(names, memory->has_reservation && memory->reservation > 0, "memory.reservation");
    add_if(names, memory->has_swap && memory->swap > 0, "memory.swap");
    add_if(names, memory->has_kernel && memory->kernel > 0, "memory.kernel");
    add_if(names, memory->has_kernel_tcp && memory->kernel_tcp > 0, "memory.kernelTCP");
    add_if(names, memory->has_swappiness, "memory.swappiness");
    add_if(names, memory->has_disable_oom_killer && memory->disable_oom_killer,
           "memory.disableOOMKiller");
    return names->count > 0;
}

static bool take_cpu(const struct cgroup_resources *all, struct cgroup_resources *part,
                     struct strings *names)
{
    const struct cgroup_cpu *cpu = &all->cpu;

    part->cpu = *cpu;
    part->cpu.cpus = part->cpu.mems = NULL;
    add_if(names, cpu->has_shares && cpu->shares > 0, "cpu.shares");
    add_if(names, cpu->has_quota && cpu->quota > 0, "cpu.quota");
    add_if(names, cpu->has_burst && cpu->burst > 0, "cpu.burst");
    add_if(names, cpu->has_period && cpu->period > 0, "cpu.period");
    add_if(names, cpu->has_realtime_runtime && cpu->realtime_runtime != 0, "cpu.realtimeRuntime");
    add_if(names, cpu->has_realtime_period && cpu->realtime_period != 0, "cpu.realtimePeriod");
    add_if(names, cpu->has_idle, "cpu.idle");
    return names->count > 0;
}

static bool take_cpuset(const struct cgroup_resources *all, struct cgroup_resources *part,
                        struct strings *names)
{
    part->cpu.cpus = all->cpu.cpus;
    part->cpu.mems = all->cpu.mems;
    add_if(names, !text_is_empty(all->cpu.cpus), "cpu.cpus");
    add_if(names, !text_is_empty(all->cpu.mems), "cpu.mems");
    return names->count > 0;
}

static bool take_pids(const struct cgroup_resources *all, struct cgroup_resources *part,
                      struct strings *names)
{
    part->pids = all->pids;
    add_if(names, all->pids.has_limit && all->pids.limit > 0, "pids.limit");
    return names->count > 0;
}

static bool take_block_io(const struct cgroup_resources *all, struct cgroup_resources *part,
                          struct strings *names)
{
    const struct cgroup_block_io *block_io = &all->block_io;

    part->block_io = *block_io;
    add_if(names, block_io->is_weight_released || (block_io->has_weight && block_io->weight > 0),
           "blockIO.weight");
    add_if(names, block_io->has_leaf_weight && block_io->leaf_weight > 0, "blockIO.leafWeight");
    add_if(names, block_io->weight_devices.count > 0, "blockIO.weightDevice");
    add_if(names, block_io->read_bps.count > 0, "blockIO.throttleReadBpsDevice");
    add_if(names, block_io->write_bps.count > 0, "blockIO.throttleWriteBpsDevice");
    add_if(names, block_io->read_iops.count > 0, "blockIO.throttleReadIOPSDevice");
    add_if(names, block_io->write_iops.count > 0, "blockIO.throttleWriteIOPSDevice");
    return names->count > 0;
}

static bool take_hugepages(const struct cgroup_resources *all, struct cgroup_resources *part,
                           struct strings *names)
{
    part->hugepage_limits = all->hugepage_limits;
    add_if(names, all->hugepage_limits.count > 0, "hugepageLimits");
    return names->count > 0;
}

static bool take_network(const struct cgroup_resources *all, struct cgroup_resources *part,
                         struct strings *names)
{
    part->network = all->network;
    add_if(names, all->network.has_class_id && all->network.class_id > 0, "network.classID");
    add_if(names, all->network.priorities.count > 0, "network.priorities");
    return names->count > 0;
}

static bool take_rdma(const struct cgroup_resources *all, struct cgroup_resources *part,
                      struct strings *names)
{
    part->rdma = all->rdma;
    add_if(names, all->rdma.count > 0, "rdma");
    return names->count > 0;
}

static part_taker *const part_takers[] = { take_memory,   take_cpu,       take_cpuset,  take_pids,
                                           take_block_io, take_hugepages, take_network, take_rdma };

void cgroup_limits_list(const struct cgroup_resources *resources, struct strings *ret_names)
{
    for (size_t i = 0; i < ARRAY_SIZE(part_takers); i++) {
        struct cgroup_resources part = { 0 };
        AUTO_CLEAR(strings) struct strings names = { 0 };

        if (part_takers[i](resources, &part, &names))
            strings_add_all(ret_names, &names);
    }
    for (size_t i = 0; i < resources->unified.count; i++)
        strings_addf(ret_names, "unified.%s", resources->unified.items[i].key);
}

/* Codes that say "not here, or not for you"; all others say that the value is wrong. */
static bool is_out_of_reach(int r)
{
    return r == -EACCES || r == -EPERM || r == -EROFS || r == -EOPNOTSUPP || r == -ENOENT ||
           r == -ENODEV;
}

static int apply_part(struct cgroup *cgroup, const struct cgroup_resources *part,
                      const struct strings *names, struct strings *ret_missed, struct error *err)
{
    struct error reason = { 0 };
    int r = cgroup_apply(cgroup, part, &reason);

    if (r == 0)
        return 0;
    if (ret_missed == NULL || !is_out_of_reach(r))
        return error_set(err, reason.code, "%s: %s", names->items[0], reason.message);
    strings_add_all(ret_missed, names);
    return 0;
}

static int apply_unified(struct cgroup *cgroup, const struct string_map *unified,
                         struct strings *ret_missed, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < unified->count && r == 0; i++) {
        struct cgroup_resources part = { .unified = { &unified->items[i], 1 } };
        AUTO_CLEAR(strings) struct strings names = { 0 };

        strings_addf(&names, "unified.%s", unified->items[i].key);
        r = apply_part(cgroup, &part, &names, ret_missed, err);
    }
    return r;
}

int cgroup_apply_delegated(struct cgroup *cgroup, const struct cgroup_resources *resources,
                           struct strings *ret_missed, struct error *err)
{
    int r = 0;

    assert(cgroup != NULL);
    assert(resources != NULL);

    for (size_t i = 0; i < ARRAY_SIZE(part_takers) && r == 0; i++) {
        struct cgroup_resources part = { 0 };
        AUTO_CLEAR(strings) struct strings names = { 0 };

        if (part_takers[i](resources, &part, &names))
            r = apply_part(cgroup, &part, &names, ret_missed, err);
    }
    return r < 0 ? r : apply_unified(cgroup, &resources->unified, ret_missed, err);
}
