#include "cgroups/limits.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Which files of a cgroup get which values, for memory, CPU time, cpusets and pids; what is rarer
 * is in limits_rare.c. See the runtime specification, config-linux.md, and the kernel's
 * admin-guide/cgroup-v1/ and cgroup-v2.rst. */

bool limits_is_v1(const struct limits_plan *plan, enum cgroup_controller controller)
{
    return (plan->v1_controllers & (1U << controller)) != 0;
}

struct cgroup_write *limits_add(struct limits_plan *plan, enum cgroup_controller controller,
                                const char *file, const char *format, ...)
{
    struct cgroup_writes *writes = &plan->writes;
    struct cgroup_write *write;
    va_list arguments;

    writes->items = xrealloc(writes->items, writes->count + 1, sizeof(*writes->items));
    write = &writes->items[writes->count++];
    *write = (struct cgroup_write){ .controller = controller, .file = xstrdup(file) };
    va_start(arguments, format);
    write->value = xvasprintf(format, arguments);
    va_end(arguments);
    return write;
}

static void add_bytes(struct limits_plan *plan, const char *file, int64_t bytes)
{
    if (bytes < 0)
        limits_add(plan, CGROUP_MEMORY, file, "%s",
                   limits_is_v1(plan, CGROUP_MEMORY) ? "-1" : "max");
    else
        limits_add(plan, CGROUP_MEMORY, file, "%" PRId64, bytes);
}

static int check_bytes(const char *member, bool has_value, int64_t value, struct error *err)
{
    if (has_value && value < -1)
        return error_set(err, EINVAL, "memory.%s: %" PRId64 " is neither a size nor -1", member,
                         value);
    return 0;
}

static int check_memory(const struct cgroup_memory *memory, struct error *err)
{
    int r;

    r = check_bytes("limit", memory->has_limit, memory->limit, err);
    if (r == 0)
        r = check_bytes("reservation", memory->has_reservation, memory->reservation, err);
    if (r == 0)
        r = check_bytes("swap", memory->has_swap, memory->swap, err);
    if (r == 0)
        r = check_bytes("kernel", memory->has_kernel, memory->kernel, err);
    if (r == 0)
        r = check_bytes("kernelTCP", memory->has_kernel_tcp, memory->kernel_tcp, err);
    if (r < 0)
        return r;
    if (memory->has_swappiness && memory->swappiness > 100)
        return error_set(err, EINVAL, "memory.swappiness: %" PRIu64 " is not from 0 to 100",
                         memory->swappiness);
    if (memory->has_swap && memory->has_limit && memory->swap > 0 && memory->limit > 0 &&
        memory->swap < memory->limit)
        return error_set(err, EINVAL, "memory.swap: %" PRId64 " is smaller than the limit %" PRId64,
                         memory->swap, memory->limit);
    return 0;
}

/* What asks for no more than a kernel without swap accounting gives: all swap, or none. */
static bool is_swap_trivial(const struct cgroup_memory *memory)
{
    return memory->swap < 0 || (memory->has_limit && memory->swap == memory->limit);
}

static void last_is_optional(struct limits_plan *plan, bool is_optional)
{
    plan->writes.items[plan->writes.count - 1].is_optional = is_optional;
}

/* Kernels without a limit of kernel memory by itself count it to memory.limit; on v2 all of it,
 * with what sockets take. There a limit that is not below that one is kept by keeping that one. */
static bool is_implied(const struct cgroup_memory *memory, int64_t kernel)
{
    return memory->has_limit && memory->limit > 0 && kernel >= memory->limit;
}

static int plan_memory_v1(struct limits_plan *plan, const struct cgroup_memory *memory)
{
    if (memory->has_limit && memory->limit != 0) {
        add_bytes(plan, "memory.limit_in_bytes", memory->limit);
        /* No limit on memory, but one on memory and swap together, is never meant. */
        if (memory->limit < 0 && (!memory->has_swap || memory->swap == 0)) {
            add_bytes(plan, "memory.memsw.limit_in_bytes", -1);
            last_is_optional(plan, true);
        }
    }
    if (memory->has_swap && memory->swap != 0) {
        add_bytes(plan, "memory.memsw.limit_in_bytes", memory->swap);
        last_is_optional(plan, is_swap_trivial(memory));
    }
    if (memory->has_reservation && memory->reservation != 0)
        add_bytes(plan, "memory.soft_limit_in_bytes", memory->reservation);
    if (memory->has_kernel && memory->kernel > 0) {
        add_bytes(plan, "memory.kmem.limit_in_bytes", memory->kernel);
        last_is_optional(plan, is_implied(memory, memory->kernel));
    }
    if (memory->has_kernel_tcp && memory->kernel_tcp != 0)
        add_bytes(plan, "memory.kmem.tcp.limit_in_bytes", memory->kernel_tcp);
    if (memory->has_swappiness)
        limits_add(plan, CGROUP_MEMORY, "memory.swappiness", "%" PRIu64, memory->swappiness);
    if (memory->has_use_hierarchy)
        limits_add(plan, CGROUP_MEMORY, "memory.use_hierarchy", "%d", memory->use_hierarchy);
    if (memory->has_disable_oom_killer)
        limits_add(plan, CGROUP_MEMORY, "memory.oom_control", "%d", memory->disable_oom_killer)
            ->is_optional = !memory->disable_oom_killer;
    return 0;
}

static int refuse_memory_v2(const struct cgroup_memory *memory, struct error *err)
{
    const struct {
        bool is_asked;
        const char *member;
    } members[] = {
        { memory->has_kernel && memory->kernel > 0 && !is_implied(memory, memory->kernel),
          "kernel" },
        { memory->has_kernel_tcp && memory->kernel_tcp > 0 &&
              !is_implied(memory, memory->kernel_tcp),
          "kernelTCP" },
        { memory->has_swappiness, "swappiness" },
        { memory->has_disable_oom_killer && memory->disable_oom_killer, "disableOOMKiller" },
        { memory->has_use_hierarchy && !memory->use_hierarchy, "useHierarchy" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (members[i].is_asked)
            return error_set(err, EOPNOTSUPP, "memory.%s: exists on cgroup v1 only",
                             members[i].member);
    return 0;
}

/* v1 limits memory and swap together, v2 each by itself. */
static int plan_swap_v2(struct limits_plan *plan, const struct cgroup_memory *memory,
                        struct error *err)
{
    int64_t swap = memory->swap;

    if (!memory->has_swap || memory->swap == 0) {
        if (!memory->has_limit || memory->limit >= 0)
            return 0;
        swap = -1;
    } else if (memory->swap > 0 && (!memory->has_limit || memory->limit == 0)) {
        return error_set(err, EINVAL, "memory.swap: needs memory.limit on cgroup v2");
    } else if (memory->swap > 0 && memory->limit > 0) {
        swap = memory->swap - memory->limit;
    }
    add_bytes(plan, "memory.swap.max", swap);
    last_is_optional(plan, swap <= 0);
    return 0;
}

static int plan_memory_v2(struct limits_plan *plan, const struct cgroup_memory *memory,
                          struct error *err)
{
    int r;

    r = refuse_memory_v2(memory, err);
    if (r < 0)
        return r;
    r = plan_swap_v2(plan, memory, err);
    if (r < 0)
        return r;
    if (memory->has_limit && memory->limit != 0)
        add_bytes(plan, "memory.max", memory->limit);
    if (memory->has_reservation && memory->reservation != 0)
        add_bytes(plan, "memory.low", memory->reservation);
    return 0;
}

static int plan_memory(struct limits_plan *plan, struct error *err)
{
    const struct cgroup_memory *memory = &plan->resources->memory;
    int r;

    r = check_memory(memory, err);
    if (r < 0)
        return r;
    if (limits_is_v1(plan, CGROUP_MEMORY))
        return plan_memory_v1(plan, memory);
    return plan_memory_v2(plan, memory, err);
}

unsigned limits_cpu_weight(uint64_t shares)
{
    /* As the kernel shows its one internal weight by either name (kernel/sched/sched.h,
     * sched_weight_to_cgroup()), and as systemd does it: so groups keep their ratios. runc from
     * 1.3.2 on has a curve, by which 512 against 1024 becomes 59 against 100. */
    uint64_t weight = shares >= 262144 ? 10000 : (shares * 100 + 512) / 1024;

    return weight < 1 ? 1 : weight > 10000 ? 10000 : (unsigned)weight;
}

static int check_cpu(const struct cgroup_cpu *cpu, struct error *err)
{
    if (cpu->has_idle && cpu->idle != 0 && cpu->idle != 1)
        return error_set(err, EINVAL, "cpu.idle: %" PRId64 " is neither 0 nor 1", cpu->idle);
    if (cpu->has_quota && cpu->quota < -1)
        return error_set(err, EINVAL, "cpu.quota: %" PRId64 " is neither a time nor -1",
                         cpu->quota);
    return 0;
}

static void plan_cpu_v1(struct limits_plan *plan, const struct cgroup_cpu *cpu)
{
    /* The kernel takes no shares for a group that is idle. */
    if (cpu->has_idle)
        limits_add(plan, CGROUP_CPU, "cpu.idle", "%" PRId64, cpu->idle)->is_optional =
            cpu->idle == 0;
    if (cpu->has_shares && cpu->shares != 0 && !(cpu->has_idle && cpu->idle == 1))
        limits_add(plan, CGROUP_CPU, "cpu.shares", "%" PRIu64, cpu->shares);
    if (cpu->has_realtime_period && cpu->realtime_period != 0)
        limits_add(plan, CGROUP_CPU, "cpu.rt_period_us", "%" PRIu64, cpu->realtime_period);
    if (cpu->has_realtime_runtime)
        limits_add(plan, CGROUP_CPU, "cpu.rt_runtime_us", "%" PRId64, cpu->realtime_runtime)
            ->is_optional = cpu->realtime_runtime == 0;
    if (cpu->has_period && cpu->period != 0)
        limits_add(plan, CGROUP_CPU, "cpu.cfs_period_us", "%" PRIu64, cpu->period);
    if (cpu->has_quota && cpu->quota != 0)
        limits_add(plan, CGROUP_CPU, "cpu.cfs_quota_us", "%" PRId64, cpu->quota);
    if (cpu->has_burst)
        limits_add(plan, CGROUP_CPU, "cpu.cfs_burst_us", "%" PRIu64, cpu->burst)->is_optional =
            cpu->burst == 0;
}

static int plan_cpu_v2(struct limits_plan *plan, const struct cgroup_cpu *cpu, struct error *err)
{
    bool has_quota = cpu->has_quota && cpu->quota != 0;
    bool has_period = cpu->has_period && cpu->period != 0;
    AUTO_CLEAR(text) struct text max = { 0 };

    if ((cpu->has_realtime_runtime && cpu->realtime_runtime != 0) ||
        (cpu->has_realtime_period && cpu->realtime_period != 0))
        return error_set(err, EOPNOTSUPP, "cpu.realtime%s: exists on cgroup v1 only",
                         cpu->has_realtime_runtime ? "Runtime" : "Period");
    if (cpu->has_idle)
        limits_add(plan, CGROUP_CPU, "cpu.idle", "%" PRId64, cpu->idle)->is_optional =
            cpu->idle == 0;
    if (cpu->has_shares && cpu->shares != 0 && !(cpu->has_idle && cpu->idle == 1))
        limits_add(plan, CGROUP_CPU, "cpu.weight", "%u", limits_cpu_weight(cpu->shares));
    if (has_quota && cpu->quota > 0)
        text_addf(&max, "%" PRId64, cpu->quota);
    else
        text_add(&max, "max");
    if (has_period)
        text_addf(&max, " %" PRIu64, cpu->period);
    if (has_quota || has_period)
        limits_add(plan, CGROUP_CPU, "cpu.max", "%s", max.data);
    if (cpu->has_burst)
        limits_add(plan, CGROUP_CPU, "cpu.max.burst", "%" PRIu64, cpu->burst)->is_optional =
            cpu->burst == 0;
    return 0;
}

static int plan_cpu(struct limits_plan *plan, struct error *err)
{
    const struct cgroup_cpu *cpu = &plan->resources->cpu;
    int r;

    r = check_cpu(cpu, err);
    if (r < 0)
        return r;
    if (!limits_is_v1(plan, CGROUP_CPU))
        return plan_cpu_v2(plan, cpu, err);
    plan_cpu_v1(plan, cpu);
    return 0;
}

static int plan_cpuset_file(struct limits_plan *plan, const char *file, const char *list,
                            struct error *err)
{
    if (text_is_empty(list))
        return 0;
    if (list[strspn(list, "0123456789,-")] != '\0')
        return error_set(err, EINVAL, "cpu.%s: '%s' is not a list such as 0-2,7",
                         file + strlen("cpuset."), list);
    limits_add(plan, CGROUP_CPUSET, file, "%s", list);
    return 0;
}

static int plan_cpuset(struct limits_plan *plan, struct error *err)
{
    int r = plan_cpuset_file(plan, "cpuset.cpus", plan->resources->cpu.cpus, err);

    return r < 0 ? r : plan_cpuset_file(plan, "cpuset.mems", plan->resources->cpu.mems, err);
}

static int plan_pids(struct limits_plan *plan, struct error *err)
{
    const struct cgroup_pids *pids = &plan->resources->pids;

    if (!pids->has_limit)
        return 0;
    if (pids->limit < -1)
        return error_set(err, EINVAL, "pids.limit: %" PRId64 " is neither a number nor -1",
                         pids->limit);
    /* 0 is a limit like others (runtime-spec 1.3): no process but the first. The kernel takes 1 for
     * that as well, and unlike 0 it lets the first one be born into the group. */
    if (pids->limit < 0)
        limits_add(plan, CGROUP_PIDS, "pids.max", "max");
    else
        limits_add(plan, CGROUP_PIDS, "pids.max", "%" PRId64, pids->limit > 0 ? pids->limit : 1);
    return 0;
}

int cgroup_limits_plan(const struct cgroup_resources *resources, unsigned v1_controllers,
                       struct cgroup_writes *ret_writes, struct error *err)
{
    static int (*const steps[])(struct limits_plan *, struct error *) = {
        plan_memory,          plan_cpu,
        plan_cpuset,          plan_pids,
        limits_plan_block_io, limits_plan_hugepages,
        limits_plan_network,  limits_plan_rdma,
        limits_plan_unified,
    };
    struct limits_plan plan = { .resources = resources, .v1_controllers = v1_controllers };

    assert(resources != NULL);
    assert(ret_writes != NULL);

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        int r = steps[i](&plan, err);

        if (r < 0) {
            cgroup_writes_clear(&plan.writes);
            return r;
        }
    }
    *ret_writes = plan.writes;
    return 0;
}

void cgroup_writes_clear(struct cgroup_writes *writes)
{
    for (size_t i = 0; i < writes->count; i++) {
        free(writes->items[i].file);
        free(writes->items[i].value);
    }
    free(writes->items);
    *writes = (struct cgroup_writes){ 0 };
}
