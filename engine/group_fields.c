#include "engine/group.h"

/* Tables of a group's record, and of what `cgroup inspect` prints. */

static const struct field group_fields[] = {
    FIELD_OF(struct group, name, "name", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OBJECT(struct group, settings, "settings", FIELD_STRUCT, &settings_object,
                 FIELD_REQUIRED),
    { 0 },
};
const struct object group_object = { group_fields, sizeof(struct group), 0 };

/* --- limits, by docker's names in HostConfig --- */

static const struct field rate_fields[] = {
    FIELD_OF(struct settings_rate, path, "Path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct settings_rate, rate, "Rate", FIELD_U64, FIELD_REQUIRED),
    { 0 },
};
static const struct object rate_object = { rate_fields, sizeof(struct settings_rate), 0 };

static const struct field weight_fields[] = {
    FIELD_OF(struct settings_rate, path, "Path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct settings_rate, rate, "Weight", FIELD_U64, FIELD_REQUIRED),
    { 0 },
};
static const struct object weight_object = { weight_fields, sizeof(struct settings_rate), 0 };

#define LIMIT(member_, name_, type_)                                                               \
    FIELD_OF(struct settings, member_, name_, type_, FIELD_KEEP_EMPTY)
#define LIMITS(member_, name_, object_)                                                            \
    FIELD_OBJECT(struct settings, member_, name_, FIELD_STRUCT, object_,                           \
                 FIELD_ARRAY | FIELD_KEEP_EMPTY)

static const struct field limit_fields[] = {
    LIMIT(cpu_shares, "CpuShares", FIELD_U64),
    LIMIT(nano_cpus, "NanoCpus", FIELD_U64),
    LIMIT(cpu_period, "CpuPeriod", FIELD_U64),
    LIMIT(cpu_quota, "CpuQuota", FIELD_I64),
    LIMIT(cpu_rt_period, "CpuRealtimePeriod", FIELD_U64),
    LIMIT(cpu_rt_runtime, "CpuRealtimeRuntime", FIELD_I64),
    LIMIT(cpuset_cpus, "CpusetCpus", FIELD_STRING),
    LIMIT(cpuset_mems, "CpusetMems", FIELD_STRING),
    LIMIT(memory, "Memory", FIELD_U64),
    LIMIT(memory_reservation, "MemoryReservation", FIELD_U64),
    LIMIT(memory_swap, "MemorySwap", FIELD_I64),
    FIELD_OPTIONAL(struct settings, swappiness, "MemorySwappiness", FIELD_U64),
    LIMIT(pids_limit, "PidsLimit", FIELD_I64),
    LIMIT(blkio_weight, "BlkioWeight", FIELD_U16),
    LIMITS(blkio_weights, "BlkioWeightDevice", &weight_object),
    LIMITS(read_bps, "BlkioDeviceReadBps", &rate_object),
    LIMITS(write_bps, "BlkioDeviceWriteBps", &rate_object),
    LIMITS(read_iops, "BlkioDeviceReadIOps", &rate_object),
    LIMITS(write_iops, "BlkioDeviceWriteIOps", &rate_object),
    LIMIT(cgroup_conf, "CgroupConf", FIELD_MAP),
    { 0 },
};
static const struct object limit_object = { limit_fields, sizeof(struct settings), 0 };

/* --- usage; names end with the unit --- */

#define USED_IF(has_, member_, name_)                                                              \
    {                                                                                              \
        .name = (name_), .type = FIELD_U64, .offset = offsetof(struct cgroup_usage, member_),      \
        .has_offset = offsetof(struct cgroup_usage, has_)                                          \
    }

static const struct field usage_fields[] = {
    USED_IF(has_cpu, cpu_ns, "CpuNs"),
    USED_IF(has_cpu, cpu_user_ns, "CpuUserNs"),
    USED_IF(has_cpu, cpu_system_ns, "CpuSystemNs"),
    USED_IF(has_throttling, periods, "CpuPeriods"),
    USED_IF(has_throttling, throttled_periods, "CpuThrottledPeriods"),
    USED_IF(has_throttling, throttled_ns, "CpuThrottledNs"),
    USED_IF(has_memory, memory_bytes, "MemoryBytes"),
    USED_IF(has_memory_peak, memory_peak_bytes, "MemoryPeakBytes"),
    USED_IF(has_memory, memory_anon_bytes, "MemoryAnonBytes"),
    USED_IF(has_memory, memory_file_bytes, "MemoryFileBytes"),
    USED_IF(has_memory, memory_inactive_file_bytes, "MemoryInactiveFileBytes"),
    USED_IF(has_memory_kernel, memory_kernel_bytes, "MemoryKernelBytes"),
    USED_IF(has_memory, memory_limit_hits, "MemoryLimitHits"),
    USED_IF(has_past_oom_kills, oom_kills, "OomKills"),
    USED_IF(has_swap, swap_bytes, "SwapBytes"),
    USED_IF(has_swap_peak, swap_peak_bytes, "SwapPeakBytes"),
    USED_IF(has_pids, pids, "Pids"),
    USED_IF(has_pids_peak, pids_peak, "PidsPeak"),
    USED_IF(has_io, io.read_bytes, "IoReadBytes"),
    USED_IF(has_io, io.write_bytes, "IoWriteBytes"),
    USED_IF(has_io, io.read_operations, "IoReadOperations"),
    USED_IF(has_io, io.write_operations, "IoWriteOperations"),
    { 0 },
};
static const struct object usage_object = { usage_fields, sizeof(struct cgroup_usage), 0 };

#define PRESSURE_SHARE(member_, name_, type_)                                                      \
    FIELD_OF(struct cgroup_pressure_share, member_, name_, type_, FIELD_KEEP_EMPTY)

static const struct field pressure_share_fields[] = {
    PRESSURE_SHARE(avg10, "Avg10Percent", FIELD_DOUBLE),
    PRESSURE_SHARE(avg60, "Avg60Percent", FIELD_DOUBLE),
    PRESSURE_SHARE(avg300, "Avg300Percent", FIELD_DOUBLE),
    PRESSURE_SHARE(total_us, "TotalUs", FIELD_U64),
    { 0 },
};
static const struct object pressure_share_object = { pressure_share_fields,
                                                     sizeof(struct cgroup_pressure_share), 0 };

static const struct field pressure_fields[] = {
    FIELD_OBJECT(struct cgroup_pressure, some, "Some", FIELD_STRUCT, &pressure_share_object,
                 FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct cgroup_pressure, full, "Full", FIELD_STRUCT, &pressure_share_object,
                 FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object pressure_object = { pressure_fields, sizeof(struct cgroup_pressure), 0 };

#define PRESSURE(member_, name_)                                                                   \
    FIELD_OBJECT(struct cgroup_details, member_, name_, FIELD_POINTER, &pressure_object, 0)

static const struct field pressures_fields[] = {
    PRESSURE(cpu_pressure, "Cpu"),
    PRESSURE(memory_pressure, "Memory"),
    PRESSURE(io_pressure, "Io"),
    PRESSURE(irq_pressure, "Irq"),
    { 0 },
};
static const struct object pressures_object = { pressures_fields, sizeof(struct cgroup_details),
                                                0 };

static const struct field report_fields[] = {
    FIELD_OF(struct group_report, name, "Name", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct group_report, path, "Path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct group_report, is_made, "Made", FIELD_BOOL, FIELD_REQUIRED),
    FIELD_OBJECT(struct group_report, settings, "Limits", FIELD_POINTER, &limit_object, 0),
    FIELD_OBJECT(struct group_report, usage, "Usage", FIELD_POINTER, &usage_object, 0),
    FIELD_OBJECT(struct group_report, details, "Pressure", FIELD_POINTER, &pressures_object, 0),
    FIELD_OF(struct group_report, groups, "Groups", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    FIELD_OF(struct group_report, containers, "Containers", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    { 0 },
};
const struct object group_report_object = { report_fields, sizeof(struct group_report), 0 };
