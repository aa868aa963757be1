#include "runtime/process_setup.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"

/* Words of the specification that stand for a number of the kernel. */
struct word {
    const char *name;
    unsigned long value;
};

static const struct word policies[] = {
    { "SCHED_OTHER", 0 }, { "SCHED_FIFO", 1 }, { "SCHED_RR", 2 },       { "SCHED_BATCH", 3 },
    { "SCHED_ISO", 4 },   { "SCHED_IDLE", 5 }, { "SCHED_DEADLINE", 6 }, { NULL, 0 },
};

static const struct word scheduler_flags[] = {
    { "SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK },
    { "SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM },
    { "SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN },
    { "SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY },
    { "SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS },
    { "SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN },
    { "SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX },
    { NULL, 0 },
};

static const struct word io_classes[] = {
    { "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
    { "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
    { "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE },
    { NULL, 0 },
};

static const struct word personality_domains[] = {
    { "LINUX", PER_LINUX },
    { "LINUX32", PER_LINUX32 },
    { NULL, 0 },
};

static const struct word memory_modes[] = {
    { "MPOL_DEFAULT", MPOL_DEFAULT },
    { "MPOL_PREFERRED", MPOL_PREFERRED },
    { "MPOL_BIND", MPOL_BIND },
    { "MPOL_INTERLEAVE", MPOL_INTERLEAVE },
    { "MPOL_LOCAL", MPOL_LOCAL },
    { "MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY },
    { "MPOL_WEIGHTED_INTERLEAVE", 6 /* Linux 6.9 */ },
    { NULL, 0 },
};

static const struct word memory_flags[] = {
    { "MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES },
    { "MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES },
    { "MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING },
    { NULL, 0 },
};

#define MEMORY_NODES_MAX 1024 /* the largest CONFIG_NODES_SHIFT is 10 */
#define CPUS_MAX         CPU_MASK_BITS
#define LONG_BITS        (sizeof(unsigned long) * CHAR_BIT)

static const struct word *find_word(const struct word *words, const char *name)
{
    for (; words->name != NULL; words++) {
        if (text_equal(words->name, name))
            return words;
    }
    return NULL;
}

static int check_word(const struct word *words, const char *name, const char *member,
                      struct error *err)
{
    if (find_word(words, name) == NULL)
        return error_set(err, EINVAL, "%s: unknown word '%s'", member, name != NULL ? name : "");
    return 0;
}

static int check_flags(const struct word *words, const struct strings *flags, const char *member,
                       struct error *err)
{
    for (size_t i = 0; i < flags->count; i++) {
        if (find_word(words, flags->items[i]) == NULL)
            return error_set(err, EINVAL, "%s[%zu]: unknown flag '%s'", member, i, flags->items[i]);
    }
    return 0;
}

/* Or of the numbers; checked before. */
static unsigned long flags_value(const struct word *words, const struct strings *flags)
{
    unsigned long value = 0;

    for (size_t i = 0; i < flags->count; i++)
        value |= find_word(words, flags->items[i])->value;
    return value;
}

/* A list of numbers and ranges, "0-3,7"; sets bits when @mask is not NULL. */
static int parse_list(const char *list, const char *member, uint64_t max, unsigned long *mask,
                      struct error *err)
{
    struct strings parts = { 0 };
    int r = 0;

    strings_split(&parts, list, ',');
    for (size_t i = 0; i < parts.count && r == 0; i++) {
        char *dash = strchr(parts.items[i], '-');
        uint64_t first = 0, last = 0;

        if (dash != NULL)
            *dash = '\0';
        r = text_parse_u64(parts.items[i], member, max, &first, err);
        if (r == 0)
            r = text_parse_u64(dash != NULL ? dash + 1 : parts.items[i], member, max, &last, err);
        if (r == 0 && last < first)
            r = error_set(err, EINVAL, "%s: a range in '%s' runs backwards", member, list);
        for (uint64_t n = first; mask != NULL && r == 0 && n <= last; n++)
            mask[n / LONG_BITS] |= 1ul << (n % LONG_BITS);
    }
    strings_clear(&parts);
    return r;
}

static int check_scheduler(const struct spec_scheduler *scheduler, struct error *err)
{
    bool is_deadline = text_equal(scheduler->policy, "SCHED_DEADLINE");
    bool is_realtime =
        text_equal(scheduler->policy, "SCHED_FIFO") || text_equal(scheduler->policy, "SCHED_RR");
    int r;

    r = check_word(policies, scheduler->policy, "process.scheduler.policy", err);
    if (r < 0)
        return r;
    if (scheduler->nice < -20 || scheduler->nice > 19)
        return error_set(err, EINVAL, "process.scheduler.nice: %d is not from -20 to 19",
                         scheduler->nice);
    if (scheduler->priority != 0 && !is_realtime)
        return error_set(err, EINVAL,
                         "process.scheduler.priority: is only for SCHED_FIFO and SCHED_RR");
    if (is_realtime && (scheduler->priority < 1 || scheduler->priority > 99))
        return error_set(err, EINVAL, "process.scheduler.priority: %d is not from 1 to 99",
                         scheduler->priority);
    if (!is_deadline &&
        (scheduler->runtime != 0 || scheduler->deadline != 0 || scheduler->period != 0))
        return error_set(err, EINVAL,
                         "process.scheduler: runtime, deadline and period are only "
                         "for SCHED_DEADLINE");
    return check_flags(scheduler_flags, &scheduler->flags, "process.scheduler.flags", err);
}

static int check_io_priority(const struct spec_io_priority *priority, struct error *err)
{
    if (priority->priority < 0 || priority->priority > 7)
        return error_set(err, EINVAL, "process.ioPriority.priority: %d is not from 0 to 7",
                         priority->priority);
    return check_word(io_classes, priority->class_, "process.ioPriority.class", err);
}

static int check_affinity(const struct spec_cpu_affinity *affinity, struct error *err)
{
    int r = 0;

    if (!text_is_empty(affinity->initial))
        r = parse_list(affinity->initial, "process.execCPUAffinity.initial", CPUS_MAX - 1, NULL,
                       err);
    if (r == 0 && !text_is_empty(affinity->final))
        r = parse_list(affinity->final, "process.execCPUAffinity.final", CPUS_MAX - 1, NULL, err);
    return r;
}

int process_scheduling_check(const struct spec_process *process, struct error *err)
{
    int r = 0;

    assert(process != NULL);

    if (process->scheduler != NULL)
        r = check_scheduler(process->scheduler, err);
    if (r == 0 && process->io_priority != NULL)
        r = check_io_priority(process->io_priority, err);
    if (r == 0 && process->exec_cpu_affinity != NULL)
        r = check_affinity(process->exec_cpu_affinity, err);
    return r;
}

/* What the kernel says in one word, EPERM, has several causes; runc's words for the second. */
static int explain_scheduler(const struct spec_scheduler *scheduler, bool has_cpuset,
                             struct error *err)
{
    const char *hint = "";

    if (errno == EPERM && text_equal(scheduler->policy, "SCHED_DEADLINE") && has_cpuset)
        hint = " (process scheduler can't be used together with AllowedCPUs: this policy wants "
               "every CPU, and linux.resources.cpu.cpus leaves some out)";
    else if (errno == EPERM && scheduler->priority > 0)
        hint = " (it needs CAP_SYS_NICE, and with real-time groups a "
               "linux.resources.cpu.realtimeRuntime)";
    else if (errno == EPERM && scheduler->nice < 0)
        hint = " (a negative nice value needs CAP_SYS_NICE)";
    return error_errno(err, "process.scheduler: set scheduler %s%s", scheduler->policy, hint);
}

static int apply_scheduler(const struct spec_scheduler *scheduler, bool has_cpuset,
                           struct error *err)
{
    struct sched_attr attributes = {
        .size = sizeof(attributes),
        .sched_policy = (uint32_t)find_word(policies, scheduler->policy)->value,
        .sched_flags = flags_value(scheduler_flags, &scheduler->flags),
        .sched_nice = scheduler->nice,
        .sched_priority = (uint32_t)scheduler->priority,
        .sched_runtime = scheduler->runtime,
        .sched_deadline = scheduler->deadline,
        .sched_period = scheduler->period,
    };

    if (syscall(SYS_sched_setattr, 0, &attributes, 0) < 0)
        return explain_scheduler(scheduler, has_cpuset, err);
    return 0;
}

static int apply_io_priority(const struct spec_io_priority *priority, struct error *err)
{
    unsigned long class_ = find_word(io_classes, priority->class_)->value;

    if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
                IOPRIO_PRIO_VALUE(class_, (unsigned long)priority->priority)) < 0)
        return error_errno(err, "process.ioPriority: set class %s, priority %d", priority->class_,
                           priority->priority);
    return 0;
}

int process_scheduling_apply(const struct spec_process *process, bool has_cpuset, struct error *err)
{
    int r;

    r = process_scheduling_check(process, err);
    if (r == 0 && process->scheduler != NULL)
        r = apply_scheduler(process->scheduler, has_cpuset, err);
    if (r == 0 && process->io_priority != NULL)
        r = apply_io_priority(process->io_priority, err);
    return r;
}

int process_affinity_save(struct cpu_mask *ret_mask, struct error *err)
{
    *ret_mask = (struct cpu_mask){ 0 };
    if (syscall(SYS_sched_getaffinity, 0, sizeof(ret_mask->bits), ret_mask->bits) < 0)
        return error_errno(err, "read the CPU affinity");
    return 0;
}

void process_affinity_restore(const struct cpu_mask *mask)
{
    /* Fails when a cpuset has been taken from under us; then the kernel has chosen already. */
    (void)syscall(SYS_sched_setaffinity, 0, sizeof(mask->bits), mask->bits);
}

int process_affinity_apply(const char *list, const char *member, struct error *err)
{
    struct cpu_mask mask = { 0 };
    int r;

    if (text_is_empty(list))
        return 0;
    r = parse_list(list, member, CPUS_MAX - 1, mask.bits, err);
    if (r < 0)
        return r;
    if (syscall(SYS_sched_setaffinity, 0, sizeof(mask.bits), mask.bits) < 0)
        return error_errno(err, "%s: run on the CPUs '%s'", member, list);
    return 0;
}

/* Always, without looking first. Since Linux 6.2 the mask that a process was once given
 * (taskset(1), CPUAffinity= of the unit that an engine runs in) stays in force when it enters a
 * cpuset, so a container would be tied to CPUs that its caller happened to be tied to; before, the
 * cpuset set the mask anew. To look first would cost as much as to set, one call of a microsecond,
 * and could not tell a mask that was set from one that a cpuset left over. */
void process_affinity_reset(void)
{
    struct cpu_mask mask;

    memset(mask.bits, 0xff, sizeof(mask.bits));
    /* Of all bits the kernel keeps those of CPUs that exist and that the cpuset allows. A process
     * that may not (SCHED_DEADLINE is inherited by nobody, a filter of the caller's may deny it)
     * keeps the mask it has, as runc's would. */
    (void)syscall(SYS_sched_setaffinity, 0, sizeof(mask.bits), mask.bits);
}

int process_personality_check(const struct spec_personality *personality, struct error *err)
{
    assert(personality != NULL);

    if (personality->flags.count > 0)
        return error_set(err, EINVAL, "linux.personality.flags[0]: unknown flag '%s'",
                         personality->flags.items[0]);
    return check_word(personality_domains, personality->domain, "linux.personality.domain", err);
}

int process_personality_apply(const struct spec_personality *spec, struct error *err)
{
    int r;

    if (spec == NULL)
        return 0;
    r = process_personality_check(spec, err);
    if (r < 0)
        return r;
    if (personality(find_word(personality_domains, spec->domain)->value) < 0)
        return error_errno(err, "linux.personality: set domain %s", spec->domain);
    return 0;
}

int process_memory_policy_check(const struct spec_memory_policy *policy, struct error *err)
{
    int r;

    assert(policy != NULL);

    r = check_word(memory_modes, policy->mode, "linux.memoryPolicy.mode", err);
    if (r == 0 && !text_is_empty(policy->nodes))
        r = parse_list(policy->nodes, "linux.memoryPolicy.nodes", MEMORY_NODES_MAX - 1, NULL, err);
    if (r == 0)
        r = check_flags(memory_flags, &policy->flags, "linux.memoryPolicy.flags", err);
    return r;
}

void process_memory_policy_words(struct strings *modes, struct strings *flags)
{
    for (const struct word *word = memory_modes; word->name != NULL; word++)
        strings_add(modes, word->name);
    for (const struct word *word = memory_flags; word->name != NULL; word++)
        strings_add(flags, word->name);
}

int process_memory_policy_apply(const struct spec_memory_policy *policy, struct error *err)
{
    unsigned long nodes[MEMORY_NODES_MAX / LONG_BITS] = { 0 };
    unsigned long mode;
    bool has_nodes;
    int r;

    if (policy == NULL)
        return 0;
    r = process_memory_policy_check(policy, err);
    if (r < 0)
        return r;
    has_nodes = !text_is_empty(policy->nodes);
    if (has_nodes) {
        r = parse_list(policy->nodes, "linux.memoryPolicy.nodes", MEMORY_NODES_MAX - 1, nodes, err);
        if (r < 0)
            return r;
    }
    mode = find_word(memory_modes, policy->mode)->value | flags_value(memory_flags, &policy->flags);
    /* The kernel reads one bit less than it is told (set_mempolicy(2), "maxnode"). */
    if (syscall(SYS_set_mempolicy, mode, has_nodes ? nodes : NULL,
                has_nodes ? MEMORY_NODES_MAX + 1 : 0) < 0)
        return error_errno(err, "linux.memoryPolicy: set memory policy %s%s%s", policy->mode,
                           has_nodes ? " for nodes " : "", has_nodes ? policy->nodes : "");
    return 0;
}
