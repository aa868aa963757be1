#include "engine/settings_limits.h"

#include <errno.h>

#include "base/auto.h"
#include "base/text.h"
#include "engine/bundle.h"
#include "engine/host_facts.h"

void limits_clear(struct cgroup_resources *limits)
{
    object_clear(&cgroup_resources_object, limits);
}

/* What else the settings ask for is no matter here, and may not be there any more: the file of a
 * seccomp profile, devices. */
static struct settings limits_of(const struct settings *settings)
{
    return (struct settings){
        .memory = settings->memory,
        .memory_swap = settings->memory_swap,
        .memory_reservation = settings->memory_reservation,
        .has_oom_kill_disable = settings->has_oom_kill_disable,
        .has_pids_limit = settings->has_pids_limit,
        .has_swappiness = settings->has_swappiness,
        .pids_limit = settings->pids_limit,
        .swappiness = settings->swappiness,
        .nano_cpus = settings->nano_cpus,
        .cpu_shares = settings->cpu_shares,
        .cpu_period = settings->cpu_period,
        .cpu_quota = settings->cpu_quota,
        .cpu_rt_period = settings->cpu_rt_period,
        .cpu_rt_runtime = settings->cpu_rt_runtime,
        .cpuset_cpus = settings->cpuset_cpus,
        .cpuset_mems = settings->cpuset_mems,
        .blkio_weight = settings->blkio_weight,
        .blkio_weights = settings->blkio_weights,
        .read_bps = settings->read_bps,
        .write_bps = settings->write_bps,
        .read_iops = settings->read_iops,
        .write_iops = settings->write_iops,
        .cgroup_conf = settings->cgroup_conf,
    };
}

int settings_limits_plan(struct engine *engine, const struct settings *settings,
                         struct cgroup_resources *ret_limits, struct strings *ret_warnings,
                         struct error *err)
{
    const struct settings limits = limits_of(settings);
    AUTO_CLEAR(host_facts) struct host_facts facts = { 0 };
    AUTO_CLEAR(limits) struct cgroup_resources resources = { 0 };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    int r;

    r = host_facts_collect(engine, &limits, &facts, err);
    if (r == 0)
        r = bundle_plan_resources(&limits, &facts, &resources, &warnings, err);
    if (r < 0)
        return r;
    if (ret_warnings != NULL)
        strings_add_all(ret_warnings, &warnings);
    *ret_limits = resources;
    resources = (struct cgroup_resources){ 0 };
    return 0;
}

int settings_limits_check_swap(const struct settings *settings, int64_t old_swap, struct error *err)
{
    auto_free char *memory = text_format_size_binary(settings->memory);
    auto_free char *swap = NULL;

    if (old_swap == 0 || settings->memory_swap != old_swap)
        return 0;
    if (settings->memory == 0)
        return error_set(err, EINVAL,
                         "--memory 0: an earlier --memory-swap needs a limit of memory: give "
                         "--memory-swap 0 as well");
    if (old_swap < 0 || settings->memory <= (uint64_t)old_swap)
        return 0;
    swap = text_format_size_binary((uint64_t)old_swap);
    return error_set(err, EINVAL,
                     "--memory %s is more than memory and swap together may be (%s, by an earlier "
                     "--memory-swap): give a larger --memory-swap, or -1 for no limit, as well",
                     memory, swap);
}

static void release_memory(const struct cgroup_memory *old, bool is_v2,
                           struct cgroup_memory *wanted)
{
    if (old->has_limit && !wanted->has_limit) {
        wanted->has_limit = true;
        wanted->limit = -1;
    }
    if (old->has_swap && !wanted->has_swap) {
        wanted->has_swap = true;
        wanted->swap = -1;
    }
    if (old->has_reservation && !wanted->has_reservation) {
        wanted->has_reservation = true;
        wanted->reservation = is_v2 ? 1 : -1; /* the kernel counts whole pages: 1 byte is none */
    }
}

static void release_cpu(const struct cgroup_cpu *old, struct cgroup_cpu *wanted)
{
    if (old->has_quota && !wanted->has_quota) {
        wanted->has_quota = true;
        wanted->quota = -1;
    }
    if (old->has_period && !wanted->has_period) {
        wanted->has_period = true;
        wanted->period = LIMITS_CPU_PERIOD_US;
    }
    if (old->has_shares && !wanted->has_shares) {
        wanted->has_shares = true;
        wanted->shares = LIMITS_CPU_SHARES;
    }
    if (old->has_realtime_period && !wanted->has_realtime_period) {
        wanted->has_realtime_period = true;
        wanted->realtime_period = LIMITS_REALTIME_PERIOD_US;
    }
    if (old->has_realtime_runtime && !wanted->has_realtime_runtime) {
        wanted->has_realtime_runtime = true;
        wanted->realtime_runtime = 0;
    }
}

/* A device with a weight of 0 that had another one before weighs as the others do. */
static void release_weights(const struct cgroup_block_io *old, struct cgroup_block_io *wanted)
{
    uint16_t weight =
        wanted->has_weight && wanted->weight != 0 ? wanted->weight : LIMITS_BFQ_WEIGHT;

    for (size_t i = 0; i < wanted->weight_devices.count; i++) {
        struct cgroup_weight_device *device = &wanted->weight_devices.items[i];

        for (size_t k = 0; device->weight == 0 && k < old->weight_devices.count; k++) {
            const struct cgroup_weight_device *earlier = &old->weight_devices.items[k];

            if (earlier->weight != 0 && earlier->major == device->major &&
                earlier->minor == device->minor)
                device->released_weight = weight;
        }
    }
}

void settings_limits_release(const struct cgroup_resources *old, bool is_v2,
                             struct cgroup_resources *wanted)
{
    release_memory(&old->memory, is_v2, &wanted->memory);
    release_cpu(&old->cpu, &wanted->cpu);
    if (old->pids.has_limit && !wanted->pids.has_limit)
        wanted->pids = (struct cgroup_pids){ .has_limit = true, .limit = -1 };
    if (old->block_io.has_weight && !wanted->block_io.has_weight) {
        wanted->block_io.has_weight = true; /* 0: what is saved of it is that there is none */
        wanted->block_io.is_weight_released = true;
    }
    release_weights(&old->block_io, &wanted->block_io);
}
