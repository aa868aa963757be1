#include "engine/bundle.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "engine/device_rule.h"
#include "engine/host_facts.h"
#include "engine/settings_limits.h"

#define MEMORY_MIN    (6u << 20) /* docker's: less does not even start a program */
#define CPU_PERIOD_US 100000u

static int plan_swap(const struct settings *settings, const struct host_facts *facts,
                     struct cgroup_memory *memory, struct strings *ret_warnings, struct error *err)
{
    if (settings->memory_swap != 0 && settings->memory == 0)
        return error_set(err, EINVAL, "--memory-swap needs --memory as well");
    if (settings->memory_swap < -1)
        return error_set(err, EINVAL, "--memory-swap: %lld is neither a size nor -1",
                         (long long)settings->memory_swap);
    if (settings->memory_swap > 0 && (uint64_t)settings->memory_swap < settings->memory)
        return error_set(err, EINVAL,
                         "--memory-swap is memory and swap together: it cannot be smaller than "
                         "--memory");
    if (settings->memory == 0)
        return 0;
    if (!facts->has_swap_limit) {
        strings_add(ret_warnings, "your kernel cannot limit swap: memory is limited without swap");
        return 0;
    }
    memory->has_swap = true;
    memory->swap =
        settings->memory_swap != 0 ? settings->memory_swap : (int64_t)settings->memory * 2;
    return 0;
}

static int plan_memory(const struct settings *settings, const struct host_facts *facts,
                       struct cgroup_memory *memory, struct strings *ret_warnings,
                       struct error *err)
{
    if (settings->memory > 0 && settings->memory < MEMORY_MIN)
        return error_set(err, EINVAL, "--memory: the smallest limit allowed is 6m");
    if (settings->memory > INT64_MAX / 2 || settings->memory_reservation > INT64_MAX)
        return error_set(err, EINVAL, "--memory: larger than any machine");
    if (settings->memory > 0 && settings->memory_reservation > settings->memory)
        return error_set(err, EINVAL, "--memory-reservation cannot be larger than --memory");
    if (settings->has_swappiness && settings->swappiness > 100)
        return error_set(err, EINVAL, "--memory-swappiness: %llu is not from 0 to 100",
                         (unsigned long long)settings->swappiness);
    if (settings->memory > 0) {
        memory->has_limit = true;
        memory->limit = (int64_t)settings->memory;
    }
    if (settings->memory_reservation > 0) {
        memory->has_reservation = true;
        memory->reservation = (int64_t)settings->memory_reservation;
    }
    if (settings->has_swappiness) {
        memory->has_swappiness = true;
        memory->swappiness = settings->swappiness;
    }
    if (settings->has_oom_kill_disable) {
        memory->has_disable_oom_killer = memory->disable_oom_killer = true;
        if (settings->memory == 0)
            strings_add(ret_warnings, "the kernel's out-of-memory killer is off for a container "
                                      "without a memory limit: it can stop the whole machine");
    }
    return plan_swap(settings, facts, memory, ret_warnings, err);
}

static int plan_realtime(const struct settings *settings, struct cgroup_cpu *cpu, struct error *err)
{
    uint64_t period =
        settings->cpu_rt_period > 0 ? settings->cpu_rt_period : LIMITS_REALTIME_PERIOD_US;

    if (settings->cpu_rt_runtime < -1)
        return error_set(err, EINVAL, "--cpu-rt-runtime: %lld is neither a time nor -1",
                         (long long)settings->cpu_rt_runtime);
    if (settings->cpu_rt_runtime > 0 && (uint64_t)settings->cpu_rt_runtime > period)
        return error_set(err, EINVAL,
                         "--cpu-rt-runtime: %lld us do not fit into a period of %llu us: see "
                         "--cpu-rt-period",
                         (long long)settings->cpu_rt_runtime, (unsigned long long)period);
    if (settings->cpu_rt_period > 0) {
        cpu->has_realtime_period = true;
        cpu->realtime_period = settings->cpu_rt_period;
    }
    if (settings->cpu_rt_runtime != 0) {
        cpu->has_realtime_runtime = true;
        cpu->realtime_runtime = settings->cpu_rt_runtime;
    }
    return 0;
}

static int plan_cpu(const struct settings *settings, struct cgroup_cpu *cpu, struct error *err)
{
    if (settings->nano_cpus > 0 && (settings->cpu_quota != 0 || settings->cpu_period != 0))
        return error_set(err, EINVAL,
                         "--cpus cannot be used together with --cpu-quota or --cpu-period");
    if (settings->nano_cpus > 0) {
        if (settings->nano_cpus < 10000000)
            return error_set(err, EINVAL, "--cpus: the smallest share allowed is 0.01");
        if (settings->nano_cpus / 1000 > INT64_MAX / CPU_PERIOD_US)
            return error_set(err, EINVAL, "--cpus: too many");
        cpu->has_period = cpu->has_quota = true;
        cpu->period = CPU_PERIOD_US;
        cpu->quota = (int64_t)(settings->nano_cpus / 1000 * CPU_PERIOD_US / 1000000);
    }
    if (settings->cpu_period != 0) {
        cpu->has_period = true;
        cpu->period = settings->cpu_period;
    }
    if (settings->cpu_quota != 0) {
        cpu->has_quota = true;
        cpu->quota = settings->cpu_quota;
    }
    if (settings->cpu_shares != 0) {
        cpu->has_shares = true;
        cpu->shares = settings->cpu_shares;
    }
    cpu->cpus = text_is_empty(settings->cpuset_cpus) ? NULL : xstrdup(settings->cpuset_cpus);
    cpu->mems = text_is_empty(settings->cpuset_mems) ? NULL : xstrdup(settings->cpuset_mems);
    return plan_realtime(settings, cpu, err);
}

static void plan_rates(const struct settings_rates *rates, const struct host_facts *facts,
                       struct cgroup_throttle_devices *ret_devices)
{
    if (rates->count == 0)
        return;
    ret_devices->items = xcalloc(rates->count, sizeof(*ret_devices->items));
    for (size_t i = 0; i < rates->count; i++) {
        const struct host_device *device = host_facts_device(facts, rates->items[i].path);

        if (device == NULL)
            continue;
        ret_devices->items[ret_devices->count++] = (struct cgroup_throttle_device){
            .major = device->major,
            .minor = device->minor,
            .rate = rates->items[i].rate,
        };
    }
}

static int plan_weights(const struct settings_rates *weights, const struct host_facts *facts,
                        struct cgroup_weight_devices *ret_devices, struct error *err)
{
    if (weights->count == 0)
        return 0;
    ret_devices->items = xcalloc(weights->count, sizeof(*ret_devices->items));
    for (size_t i = 0; i < weights->count; i++) {
        const struct settings_rate *weight = &weights->items[i];
        const struct host_device *device = host_facts_device(facts, weight->path);

        if (weight->rate != 0 && (weight->rate < 10 || weight->rate > 1000))
            return error_set(err, EINVAL, "--blkio-weight-device '%s': %llu is not from 10 to 1000",
                             weight->path, (unsigned long long)weight->rate);
        if (device == NULL)
            continue;
        ret_devices->items[ret_devices->count++] = (struct cgroup_weight_device){
            .major = device->major,
            .minor = device->minor,
            .has_weight = true,
            .weight = (uint16_t)weight->rate,
        };
    }
    return 0;
}

static int plan_block_io(const struct settings *settings, const struct host_facts *facts,
                         struct cgroup_block_io *io, struct error *err)
{
    if (settings->blkio_weight != 0) {
        if (settings->blkio_weight < 10 || settings->blkio_weight > 1000)
            return error_set(err, EINVAL, "--blkio-weight: %u is not from 10 to 1000",
                             settings->blkio_weight);
        io->has_weight = true;
        io->weight = settings->blkio_weight;
    }
    plan_rates(&settings->read_bps, facts, &io->read_bps);
    plan_rates(&settings->write_bps, facts, &io->write_bps);
    plan_rates(&settings->read_iops, facts, &io->read_iops);
    plan_rates(&settings->write_iops, facts, &io->write_iops);
    return plan_weights(&settings->blkio_weights, facts, &io->weight_devices, err);
}

static const struct {
    const char *name, *type;
    int resource;
} rlimit_names[] = {
    { "as", "RLIMIT_AS", RLIMIT_AS },
    { "core", "RLIMIT_CORE", RLIMIT_CORE },
    { "cpu", "RLIMIT_CPU", RLIMIT_CPU },
    { "data", "RLIMIT_DATA", RLIMIT_DATA },
    { "fsize", "RLIMIT_FSIZE", RLIMIT_FSIZE },
    { "locks", "RLIMIT_LOCKS", 10 }, /* RLIMIT_LOCKS: not in every libc's header */
    { "memlock", "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
    { "msgqueue", "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
    { "nice", "RLIMIT_NICE", RLIMIT_NICE },
    { "nofile", "RLIMIT_NOFILE", RLIMIT_NOFILE },
    { "nproc", "RLIMIT_NPROC", RLIMIT_NPROC },
    { "rss", "RLIMIT_RSS", RLIMIT_RSS },
    { "rtprio", "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
    { "rttime", "RLIMIT_RTTIME", RLIMIT_RTTIME },
    { "sigpending", "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
    { "stack", "RLIMIT_STACK", RLIMIT_STACK },
};

static int plan_ulimit(const struct settings_ulimit *ulimit, const struct host_facts *facts,
                       struct spec *spec, struct strings *ret_warnings, struct error *err)
{
    uint64_t soft = ulimit->soft < 0 ? UINT64_MAX : (uint64_t)ulimit->soft;
    uint64_t hard = ulimit->hard < 0 ? UINT64_MAX : (uint64_t)ulimit->hard;

    for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++) {
        uint64_t most = facts->hard_rlimits[rlimit_names[i].resource];

        if (strcasecmp(ulimit->name, rlimit_names[i].name) != 0)
            continue;
        if (soft > hard)
            return error_set(err, EINVAL, "--ulimit %s: the soft limit is above the hard limit",
                             ulimit->name);
        if (!facts->may_raise_rlimits && hard > most) {
            strings_addf(ret_warnings,
                         "--ulimit %s: lowered to %llu, berth may not raise limits here",
                         ulimit->name, (unsigned long long)most);
            hard = most;
            soft = soft > most ? most : soft;
        }
        (void)spec_add_rlimit(spec, rlimit_names[i].type, soft, hard);
        return 0;
    }
    return error_set(err, EINVAL, "--ulimit '%s': no such limit", ulimit->name);
}

int bundle_plan_resources(const struct settings *settings, const struct host_facts *facts,
                          struct cgroup_resources *resources, struct strings *ret_warnings,
                          struct error *err)
{
    int r;

    r = plan_memory(settings, facts, &resources->memory, ret_warnings, err);
    if (r < 0)
        return r;
    r = plan_cpu(settings, &resources->cpu, err);
    if (r < 0)
        return r;
    r = plan_block_io(settings, facts, &resources->block_io, err);
    if (r < 0)
        return r;
    if (settings->has_pids_limit && settings->pids_limit > 0) {
        resources->pids.has_limit = true;
        resources->pids.limit = settings->pids_limit;
    }
    for (size_t i = 0; i < settings->cgroup_conf.count; i++)
        string_map_set(&resources->unified, settings->cgroup_conf.items[i].key,
                       settings->cgroup_conf.items[i].value);
    return 0;
}

/* As docker: a privileged container has all devices, and its rules do not narrow that. */
static int plan_device_rules(const struct settings *settings, const struct host_facts *facts,
                             struct spec *spec, struct strings *ret_warnings, struct error *err)
{
    if (settings->is_privileged || settings->device_rules.count == 0)
        return 0;
    if (facts->binds_devices)
        strings_add(ret_warnings, "--device-cgroup-rule has no effect for an ordinary user, who "
                                  "uses devices as their modes say, and makes none");
    for (size_t i = 0; i < settings->device_rules.count; i++) {
        struct device_rule rule;
        int r = device_rule_parse(settings->device_rules.items[i], &rule, err);

        if (r < 0)
            return r;
        (void)spec_add_device_rule(spec, true, rule.type, rule.major, rule.minor, rule.access);
    }
    return 0;
}

int bundle_plan_limits(const struct settings *settings, const struct host_facts *facts,
                       struct spec *spec, struct strings *ret_warnings, struct error *err)
{
    int r;

    assert(spec->linux_.resources != NULL);

    r = bundle_plan_resources(settings, facts, spec->linux_.resources, ret_warnings, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < settings->ulimits.count; i++) {
        r = plan_ulimit(&settings->ulimits.items[i], facts, spec, ret_warnings, err);
        if (r < 0)
            return r;
    }
    return plan_device_rules(settings, facts, spec, ret_warnings, err);
}
