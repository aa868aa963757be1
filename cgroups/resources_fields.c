#include "cgroups/cgroups.h"

/* linux.resources of the runtime specification, config-linux.md, "Control groups". */

static const char *const device_types[] = { "a", "b", "c", NULL };

static const struct field device_rule_fields[] = {
    FIELD_OF(struct cgroup_device_rule, allow, "allow", FIELD_BOOL,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_WORD(struct cgroup_device_rule, type, "type", device_types, 0),
    FIELD_OPTIONAL(struct cgroup_device_rule, major, "major", FIELD_I64),
    FIELD_OPTIONAL(struct cgroup_device_rule, minor, "minor", FIELD_I64),
    FIELD_OF(struct cgroup_device_rule, access, "access", FIELD_STRING, 0),
    { 0 },
};
static const struct object device_rule_object = { device_rule_fields,
                                                  sizeof(struct cgroup_device_rule), 0 };

static const struct field memory_fields[] = {
    FIELD_OPTIONAL(struct cgroup_memory, limit, "limit", FIELD_I64),
    FIELD_OPTIONAL(struct cgroup_memory, reservation, "reservation", FIELD_I64),
    FIELD_OPTIONAL(struct cgroup_memory, swap, "swap", FIELD_I64),
    FIELD_OPTIONAL(struct cgroup_memory, kernel, "kernel", FIELD_I64),
    FIELD_OPTIONAL(struct cgroup_memory, kernel_tcp, "kernelTCP", FIELD_I64),
    FIELD_OPTIONAL(struct cgroup_memory, swappiness, "swappiness", FIELD_U64),
    FIELD_OPTIONAL(struct cgroup_memory, disable_oom_killer, "disableOOMKiller", FIELD_BOOL),
    FIELD_OPTIONAL(struct cgroup_memory, use_hierarchy, "useHierarchy", FIELD_BOOL),
    FIELD_OPTIONAL(struct cgroup_memory, check_before_update, "checkBeforeUpdate", FIELD_BOOL),
    { 0 },
};
static const struct object memory_object = { memory_fields, sizeof(struct cgroup_memory), 0 };

static const struct field cpu_fields[] = {
    FIELD_OPTIONAL(struct cgroup_cpu, shares, "shares", FIELD_U64),
    FIELD_OPTIONAL(struct cgroup_cpu, quota, "quota", FIELD_I64),
    FIELD_OPTIONAL(struct cgroup_cpu, burst, "burst", FIELD_U64),
    FIELD_OPTIONAL(struct cgroup_cpu, period, "period", FIELD_U64),
    FIELD_OPTIONAL(struct cgroup_cpu, realtime_runtime, "realtimeRuntime", FIELD_I64),
    FIELD_OPTIONAL(struct cgroup_cpu, realtime_period, "realtimePeriod", FIELD_U64),
    FIELD_OF(struct cgroup_cpu, cpus, "cpus", FIELD_STRING, 0),
    FIELD_OF(struct cgroup_cpu, mems, "mems", FIELD_STRING, 0),
    FIELD_OPTIONAL(struct cgroup_cpu, idle, "idle", FIELD_I64),
    { 0 },
};
static const struct object cpu_object = { cpu_fields, sizeof(struct cgroup_cpu), 0 };

static const struct field pids_fields[] = {
    FIELD_OPTIONAL(struct cgroup_pids, limit, "limit", FIELD_I64),
    { 0 },
};
static const struct object pids_object = { pids_fields, sizeof(struct cgroup_pids), 0 };

static const struct field weight_device_fields[] = {
    FIELD_OF(struct cgroup_weight_device, major, "major", FIELD_I64,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct cgroup_weight_device, minor, "minor", FIELD_I64,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OPTIONAL(struct cgroup_weight_device, weight, "weight", FIELD_U16),
    FIELD_OPTIONAL(struct cgroup_weight_device, leaf_weight, "leafWeight", FIELD_U16),
    { 0 },
};
static const struct object weight_device_object = { weight_device_fields,
                                                    sizeof(struct cgroup_weight_device), 0 };

static const struct field throttle_device_fields[] = {
    FIELD_OF(struct cgroup_throttle_device, major, "major", FIELD_I64,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct cgroup_throttle_device, minor, "minor", FIELD_I64,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct cgroup_throttle_device, rate, "rate", FIELD_U64,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object throttle_device_object = { throttle_device_fields,
                                                      sizeof(struct cgroup_throttle_device), 0 };

static const struct field block_io_fields[] = {
    FIELD_OPTIONAL(struct cgroup_block_io, weight, "weight", FIELD_U16),
    FIELD_OPTIONAL(struct cgroup_block_io, leaf_weight, "leafWeight", FIELD_U16),
    FIELD_OBJECT(struct cgroup_block_io, weight_devices, "weightDevice", FIELD_STRUCT,
                 &weight_device_object, FIELD_ARRAY),
    FIELD_OBJECT(struct cgroup_block_io, read_bps, "throttleReadBpsDevice", FIELD_STRUCT,
                 &throttle_device_object, FIELD_ARRAY),
    FIELD_OBJECT(struct cgroup_block_io, write_bps, "throttleWriteBpsDevice", FIELD_STRUCT,
                 &throttle_device_object, FIELD_ARRAY),
    FIELD_OBJECT(struct cgroup_block_io, read_iops, "throttleReadIOPSDevice", FIELD_STRUCT,
                 &throttle_device_object, FIELD_ARRAY),
    FIELD_OBJECT(struct cgroup_block_io, write_iops, "throttleWriteIOPSDevice", FIELD_STRUCT,
                 &throttle_device_object, FIELD_ARRAY),
    { 0 },
};
static const struct object block_io_object = { block_io_fields, sizeof(struct cgroup_block_io), 0 };

static const struct field hugepage_fields[] = {
    FIELD_OF(struct cgroup_hugepage, page_size, "pageSize", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct cgroup_hugepage, limit, "limit", FIELD_U64, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object hugepage_object = { hugepage_fields, sizeof(struct cgroup_hugepage), 0 };

static const struct field priority_fields[] = {
    FIELD_OF(struct cgroup_priority, name, "name", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct cgroup_priority, priority, "priority", FIELD_U32,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object priority_object = { priority_fields, sizeof(struct cgroup_priority), 0 };

static const struct field network_fields[] = {
    FIELD_OPTIONAL(struct cgroup_network, class_id, "classID", FIELD_U32),
    FIELD_OBJECT(struct cgroup_network, priorities, "priorities", FIELD_STRUCT, &priority_object,
                 FIELD_ARRAY),
    { 0 },
};
static const struct object network_object = { network_fields, sizeof(struct cgroup_network), 0 };

static const struct field rdma_fields[] = {
    FIELD_OPTIONAL(struct cgroup_rdma, hca_handles, "hcaHandles", FIELD_U32),
    FIELD_OPTIONAL(struct cgroup_rdma, hca_objects, "hcaObjects", FIELD_U32),
    { 0 },
};
static const struct object rdma_object = { rdma_fields, sizeof(struct cgroup_rdma), 0 };

static const struct field resources_fields[] = {
    FIELD_OBJECT(struct cgroup_resources, devices, "devices", FIELD_STRUCT, &device_rule_object,
                 FIELD_ARRAY),
    FIELD_OBJECT(struct cgroup_resources, memory, "memory", FIELD_STRUCT, &memory_object, 0),
    FIELD_OBJECT(struct cgroup_resources, cpu, "cpu", FIELD_STRUCT, &cpu_object, 0),
    FIELD_OBJECT(struct cgroup_resources, pids, "pids", FIELD_STRUCT, &pids_object, 0),
    FIELD_OBJECT(struct cgroup_resources, block_io, "blockIO", FIELD_STRUCT, &block_io_object, 0),
    FIELD_OBJECT(struct cgroup_resources, hugepage_limits, "hugepageLimits", FIELD_STRUCT,
                 &hugepage_object, FIELD_ARRAY),
    FIELD_OBJECT(struct cgroup_resources, network, "network", FIELD_STRUCT, &network_object, 0),
    FIELD_OBJECT(struct cgroup_resources, rdma, "rdma", FIELD_STRUCT, &rdma_object,
                 FIELD_DICTIONARY),
    FIELD_OF(struct cgroup_resources, unified, "unified", FIELD_MAP, 0),
    { 0 },
};
const struct object cgroup_resources_object = { resources_fields, sizeof(struct cgroup_resources),
                                                0 };
