#include "cgroups/cgroups.h"

/* What `events` prints as "data": runc's types/events.go, member by member, in its order; what Go
 * leaves out as "omitempty" is left out here as well. The groups of members have no structs of
 * their own: their tables describe parts of struct cgroup_details. */

#define DETAIL(member_, name_, type_, flags_)                                                      \
    FIELD_OF(struct cgroup_details, member_, name_, type_, flags_)
#define GROUP(name_, object_)                                                                      \
    {                                                                                              \
        .name = (name_), .type = FIELD_STRUCT, .flags = FIELD_KEEP_EMPTY, .has_offset = SIZE_MAX,  \
        .object = (object_)                                                                        \
    }
#define COUNTER(member_, name_)                                                                    \
    FIELD_OBJECT(struct cgroup_details, member_, name_, FIELD_STRUCT, &counter_object,             \
                 FIELD_KEEP_EMPTY)
#define PRESSURE(member_)                                                                          \
    FIELD_OBJECT(struct cgroup_details, member_, "psi", FIELD_POINTER, &pressure_object, 0)
#define DEVICES(member_, name_)                                                                    \
    FIELD_OBJECT(struct cgroup_details, member_, name_, FIELD_STRUCT, &entry_object, FIELD_ARRAY)

static const struct field share_fields[] = {
    FIELD_OF(struct cgroup_pressure_share, avg10, "avg10", FIELD_DOUBLE, FIELD_KEEP_EMPTY),
    FIELD_OF(struct cgroup_pressure_share, avg60, "avg60", FIELD_DOUBLE, FIELD_KEEP_EMPTY),
    FIELD_OF(struct cgroup_pressure_share, avg300, "avg300", FIELD_DOUBLE, FIELD_KEEP_EMPTY),
    FIELD_OF(struct cgroup_pressure_share, total_us, "total", FIELD_U64, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object share_object = { share_fields, sizeof(struct cgroup_pressure_share), 0 };

static const struct field pressure_fields[] = {
    FIELD_OBJECT(struct cgroup_pressure, some, "some", FIELD_STRUCT, &share_object,
                 FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct cgroup_pressure, full, "full", FIELD_STRUCT, &share_object,
                 FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object pressure_object = { pressure_fields, sizeof(struct cgroup_pressure), 0 };

static const struct field cpu_usage_fields[] = {
    DETAIL(usage.cpu_ns, "total", FIELD_U64, 0),
    DETAIL(per_cpu_ns, "percpu", FIELD_U64, FIELD_ARRAY),
    DETAIL(per_cpu_system_ns, "percpu_kernel", FIELD_U64, FIELD_ARRAY),
    DETAIL(per_cpu_user_ns, "percpu_user", FIELD_U64, FIELD_ARRAY),
    DETAIL(usage.cpu_system_ns, "kernel", FIELD_U64, FIELD_KEEP_EMPTY),
    DETAIL(usage.cpu_user_ns, "user", FIELD_U64, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object cpu_usage_object = { cpu_usage_fields, sizeof(struct cgroup_details),
                                                0 };

static const struct field throttling_fields[] = {
    DETAIL(usage.periods, "periods", FIELD_U64, 0),
    DETAIL(usage.throttled_periods, "throttledPeriods", FIELD_U64, 0),
    DETAIL(usage.throttled_ns, "throttledTime", FIELD_U64, 0),
    { 0 },
};
static const struct object throttling_object = { throttling_fields, sizeof(struct cgroup_details),
                                                 0 };

static const struct field cpu_fields[] = {
    GROUP("usage", &cpu_usage_object),
    GROUP("throttling", &throttling_object),
    PRESSURE(cpu_pressure),
    { 0 },
};
static const struct object cpu_object = { cpu_fields, sizeof(struct cgroup_details), 0 };

#define CPUSET(member_)                                                                            \
    FIELD_OF(struct cgroup_cpuset, member_, #member_, FIELD_U64, FIELD_KEEP_EMPTY)
static const struct field cpuset_fields[] = {
    FIELD_LIST(struct cgroup_cpuset, cpus, "cpus", FIELD_U64),
    CPUSET(cpu_exclusive),
    FIELD_LIST(struct cgroup_cpuset, mems, "mems", FIELD_U64),
    CPUSET(mem_hardwall),
    CPUSET(mem_exclusive),
    CPUSET(memory_migrate),
    CPUSET(memory_spread_page),
    CPUSET(memory_spread_slab),
    CPUSET(memory_pressure),
    CPUSET(sched_load_balance),
    FIELD_OF(struct cgroup_cpuset, sched_relax_domain_level, "sched_relax_domain_level", FIELD_I64,
             FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object cpuset_object = { cpuset_fields, sizeof(struct cgroup_cpuset), 0 };

static const struct field counter_fields[] = {
    FIELD_OF(struct cgroup_memory_counter, limit_bytes, "limit", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct cgroup_memory_counter, used_bytes, "usage", FIELD_U64, 0),
    FIELD_OF(struct cgroup_memory_counter, peak_bytes, "max", FIELD_U64, 0),
    FIELD_OF(struct cgroup_memory_counter, failures, "failcnt", FIELD_U64, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object counter_object = { counter_fields, sizeof(struct cgroup_memory_counter),
                                              0 };

#define EVENT(member_) FIELD_OF(struct cgroup_memory_events, member_, #member_, FIELD_U64, 0)
static const struct field events_fields[] = {
    EVENT(low), EVENT(high), EVENT(max), EVENT(oom), EVENT(oom_kill), EVENT(oom_group_kill), { 0 },
};
static const struct object events_object = { events_fields, sizeof(struct cgroup_memory_events),
                                             0 };

static const struct field memory_fields[] = {
    DETAIL(cache_bytes, "cache", FIELD_U64, 0),
    COUNTER(memory, "usage"),
    COUNTER(swap, "swap"),
    COUNTER(kernel, "kernel"),
    COUNTER(kernel_tcp, "kernelTCP"),
    DETAIL(memory_raw, "raw", FIELD_JSON, 0),
    PRESSURE(memory_pressure),
    FIELD_OBJECT(struct cgroup_details, memory_events, "event_count", FIELD_STRUCT, &events_object,
                 FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object memory_object = { memory_fields, sizeof(struct cgroup_details), 0 };

static const struct field pids_fields[] = {
    DETAIL(usage.pids, "current", FIELD_U64, 0),
    DETAIL(pids_limit, "limit", FIELD_U64, 0),
    { 0 },
};
static const struct object pids_object = { pids_fields, sizeof(struct cgroup_details), 0 };

static const struct field entry_fields[] = {
    FIELD_OF(struct cgroup_io_entry, major, "major", FIELD_U64, 0),
    FIELD_OF(struct cgroup_io_entry, minor, "minor", FIELD_U64, 0),
    FIELD_OF(struct cgroup_io_entry, operation, "op", FIELD_STRING, 0),
    FIELD_OF(struct cgroup_io_entry, value, "value", FIELD_U64, 0),
    { 0 },
};
static const struct object entry_object = { entry_fields, sizeof(struct cgroup_io_entry), 0 };

static const struct field io_fields[] = {
    DEVICES(io_bytes, "ioServiceBytesRecursive"),
    DEVICES(io_operations, "ioServicedRecursive"),
    DEVICES(io_queued, "ioQueueRecursive"),
    DEVICES(io_service_time, "ioServiceTimeRecursive"),
    DEVICES(io_wait_time, "ioWaitTimeRecursive"),
    DEVICES(io_merged, "ioMergedRecursive"),
    DEVICES(io_time, "ioTimeRecursive"),
    DEVICES(io_sectors, "sectorsRecursive"),
    PRESSURE(io_pressure),
    { 0 },
};
static const struct object io_object = { io_fields, sizeof(struct cgroup_details), 0 };

static const struct field hugepage_fields[] = {
    FIELD_OF(struct cgroup_hugepage_usage, used_bytes, "usage", FIELD_U64, 0),
    FIELD_OF(struct cgroup_hugepage_usage, peak_bytes, "max", FIELD_U64, 0),
    FIELD_OF(struct cgroup_hugepage_usage, failures, "failcnt", FIELD_U64, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object hugepage_object = { hugepage_fields,
                                               sizeof(struct cgroup_hugepage_usage), 0 };

static const struct field nothing_fields[] = { { 0 } };
static const struct object nothing_object = { nothing_fields, sizeof(struct cgroup_details), 0 };

static const struct field details_fields[] = {
    GROUP("cpu", &cpu_object),
    FIELD_OBJECT(struct cgroup_details, cpuset, "cpuset", FIELD_STRUCT, &cpuset_object,
                 FIELD_KEEP_EMPTY),
    GROUP("memory", &memory_object),
    GROUP("pids", &pids_object),
    GROUP("blkio", &io_object),
    FIELD_OBJECT(struct cgroup_details, hugepages, "hugetlb", FIELD_STRUCT, &hugepage_object,
                 FIELD_DICTIONARY | FIELD_KEEP_EMPTY),
    GROUP("intel_rdt", &nothing_object),
    DETAIL(network, "network_interfaces", FIELD_JSON, FIELD_KEEP_EMPTY),
    { 0 },
};
const struct object cgroup_details_object = { details_fields, sizeof(struct cgroup_details), 0 };
