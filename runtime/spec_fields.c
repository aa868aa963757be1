#include "runtime/spec.h"

#include <stddef.h>

/* The JSON names of config.json (runtime-spec, config.md and config-linux.md), in the order in
 * which they are written. Members that are kept though empty are those that the specification
 * requires: other runtimes refuse a document without them. */

static const struct field box_fields[] = {
    FIELD_OF(struct spec_box, height, "height", FIELD_U32, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_box, width, "width", FIELD_U32, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object box_object = { box_fields, sizeof(struct spec_box), 0 };

static const struct field user_fields[] = {
    /* Required by the specification, but runc takes a missing one for 0, and callers rely on it. */
    FIELD_OF(struct spec_user, uid, "uid", FIELD_U32, FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_user, gid, "gid", FIELD_U32, FIELD_KEEP_EMPTY),
    FIELD_OPTIONAL(struct spec_user, umask, "umask", FIELD_U32),
    FIELD_LIST(struct spec_user, additional_gids, "additionalGids", FIELD_U32),
    FIELD_OF(struct spec_user, username, "username", FIELD_STRING, 0),
    { 0 },
};
static const struct object user_object = { user_fields, sizeof(struct spec_user), 0 };

static const struct field capabilities_fields[] = {
    FIELD_OF(struct spec_capabilities, bounding, "bounding", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_capabilities, effective, "effective", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_capabilities, inheritable, "inheritable", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_capabilities, permitted, "permitted", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_capabilities, ambient, "ambient", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object capabilities_object = { capabilities_fields,
                                                   sizeof(struct spec_capabilities), 0 };

static const struct field rlimit_fields[] = {
    FIELD_OF(struct spec_rlimit, type, "type", FIELD_STRING, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_rlimit, hard, "hard", FIELD_U64, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_rlimit, soft, "soft", FIELD_U64, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object rlimit_object = { rlimit_fields, sizeof(struct spec_rlimit), 0 };

static const struct field scheduler_fields[] = {
    FIELD_OF(struct spec_scheduler, policy, "policy", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct spec_scheduler, nice, "nice", FIELD_I32, 0),
    FIELD_OF(struct spec_scheduler, priority, "priority", FIELD_I32, 0),
    FIELD_OF(struct spec_scheduler, flags, "flags", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_scheduler, runtime, "runtime", FIELD_U64, 0),
    FIELD_OF(struct spec_scheduler, deadline, "deadline", FIELD_U64, 0),
    FIELD_OF(struct spec_scheduler, period, "period", FIELD_U64, 0),
    { 0 },
};
static const struct object scheduler_object = { scheduler_fields, sizeof(struct spec_scheduler),
                                                0 };

static const struct field io_priority_fields[] = {
    FIELD_OF(struct spec_io_priority, class_, "class", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct spec_io_priority, priority, "priority", FIELD_I32, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object io_priority_object = { io_priority_fields,
                                                  sizeof(struct spec_io_priority), 0 };

static const struct field cpu_affinity_fields[] = {
    FIELD_OF(struct spec_cpu_affinity, initial, "initial", FIELD_STRING, 0),
    FIELD_OF(struct spec_cpu_affinity, final, "final", FIELD_STRING, 0),
    { 0 },
};
static const struct object cpu_affinity_object = { cpu_affinity_fields,
                                                   sizeof(struct spec_cpu_affinity), 0 };

static const struct field process_fields[] = {
    FIELD_OF(struct spec_process, terminal, "terminal", FIELD_BOOL, 0),
    FIELD_OBJECT(struct spec_process, console_size, "consoleSize", FIELD_POINTER, &box_object, 0),
    FIELD_OBJECT(struct spec_process, user, "user", FIELD_STRUCT, &user_object, FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_process, args, "args", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_process, env, "env", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_process, cwd, "cwd", FIELD_STRING, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct spec_process, capabilities, "capabilities", FIELD_POINTER,
                 &capabilities_object, 0),
    FIELD_OBJECT(struct spec_process, rlimits, "rlimits", FIELD_STRUCT, &rlimit_object,
                 FIELD_ARRAY),
    FIELD_OF(struct spec_process, no_new_privileges, "noNewPrivileges", FIELD_BOOL, 0),
    FIELD_OPTIONAL(struct spec_process, oom_score_adj, "oomScoreAdj", FIELD_I32),
    FIELD_OF(struct spec_process, apparmor_profile, "apparmorProfile", FIELD_STRING, 0),
    FIELD_OF(struct spec_process, selinux_label, "selinuxLabel", FIELD_STRING, 0),
    FIELD_OBJECT(struct spec_process, scheduler, "scheduler", FIELD_POINTER, &scheduler_object, 0),
    FIELD_OBJECT(struct spec_process, io_priority, "ioPriority", FIELD_POINTER, &io_priority_object,
                 0),
    FIELD_OBJECT(struct spec_process, exec_cpu_affinity, "execCPUAffinity", FIELD_POINTER,
                 &cpu_affinity_object, 0),
    { 0 },
};
const struct object spec_process_object = { process_fields, sizeof(struct spec_process), 0 };

static const struct field root_fields[] = {
    FIELD_OF(struct spec_root, path, "path", FIELD_STRING, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_root, readonly, "readonly", FIELD_BOOL, 0),
    { 0 },
};
static const struct object root_object = { root_fields, sizeof(struct spec_root), 0 };

static const struct field id_mapping_fields[] = {
    FIELD_OF(struct spec_id_mapping, container_id, "containerID", FIELD_U32,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_id_mapping, host_id, "hostID", FIELD_U32,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_id_mapping, size, "size", FIELD_U32, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object id_mapping_object = { id_mapping_fields, sizeof(struct spec_id_mapping),
                                                 0 };

static const struct field mount_fields[] = {
    FIELD_OF(struct spec_mount, destination, "destination", FIELD_STRING,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_mount, type, "type", FIELD_STRING, 0),
    FIELD_OF(struct spec_mount, source, "source", FIELD_STRING, 0),
    FIELD_OF(struct spec_mount, options, "options", FIELD_STRINGS, 0),
    FIELD_OBJECT(struct spec_mount, uid_mappings, "uidMappings", FIELD_STRUCT, &id_mapping_object,
                 FIELD_ARRAY),
    FIELD_OBJECT(struct spec_mount, gid_mappings, "gidMappings", FIELD_STRUCT, &id_mapping_object,
                 FIELD_ARRAY),
    { 0 },
};
const struct object spec_mount_object = { mount_fields, sizeof(struct spec_mount), 0 };

static const struct field mounts_fields[] = {
    FIELD_OBJECT(struct spec, mounts, "mounts", FIELD_STRUCT, &spec_mount_object,
                 FIELD_ARRAY | FIELD_REQUIRED),
    { 0 },
};
const struct object spec_mounts_object = { mounts_fields, sizeof(struct spec), 0 };

static const struct field hook_fields[] = {
    FIELD_OF(struct spec_hook, path, "path", FIELD_STRING, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_hook, args, "args", FIELD_STRINGS, 0),
    FIELD_OPTIONAL(struct spec_hook, env, "env", FIELD_STRINGS),
    FIELD_OPTIONAL(struct spec_hook, timeout, "timeout", FIELD_I32),
    { 0 },
};
static const struct object hook_object = { hook_fields, sizeof(struct spec_hook), 0 };

static const struct field hooks_fields[] = {
    FIELD_OBJECT(struct spec_hooks, prestart, "prestart", FIELD_STRUCT, &hook_object, FIELD_ARRAY),
    FIELD_OBJECT(struct spec_hooks, create_runtime, "createRuntime", FIELD_STRUCT, &hook_object,
                 FIELD_ARRAY),
    FIELD_OBJECT(struct spec_hooks, create_container, "createContainer", FIELD_STRUCT, &hook_object,
                 FIELD_ARRAY),
    FIELD_OBJECT(struct spec_hooks, start_container, "startContainer", FIELD_STRUCT, &hook_object,
                 FIELD_ARRAY),
    FIELD_OBJECT(struct spec_hooks, poststart, "poststart", FIELD_STRUCT, &hook_object,
                 FIELD_ARRAY),
    FIELD_OBJECT(struct spec_hooks, poststop, "poststop", FIELD_STRUCT, &hook_object, FIELD_ARRAY),
    { 0 },
};
static const struct object hooks_object = { hooks_fields, sizeof(struct spec_hooks), 0 };

static const struct field namespace_fields[] = {
    FIELD_OF(struct spec_namespace, type, "type", FIELD_STRING, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_namespace, path, "path", FIELD_STRING, 0),
    { 0 },
};
static const struct object namespace_object = { namespace_fields, sizeof(struct spec_namespace),
                                                0 };

static const struct field device_fields[] = {
    FIELD_OF(struct spec_device, path, "path", FIELD_STRING, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_device, type, "type", FIELD_STRING, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_device, major, "major", FIELD_I64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_device, minor, "minor", FIELD_I64, FIELD_KEEP_EMPTY),
    FIELD_OPTIONAL(struct spec_device, file_mode, "fileMode", FIELD_U32),
    FIELD_OPTIONAL(struct spec_device, uid, "uid", FIELD_U32),
    FIELD_OPTIONAL(struct spec_device, gid, "gid", FIELD_U32),
    { 0 },
};
static const struct object device_object = { device_fields, sizeof(struct spec_device), 0 };

static const struct field seccomp_arg_fields[] = {
    FIELD_OF(struct spec_seccomp_arg, index, "index", FIELD_U32, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_seccomp_arg, value, "value", FIELD_U64, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_seccomp_arg, value_two, "valueTwo", FIELD_U64, 0),
    FIELD_OF(struct spec_seccomp_arg, op, "op", FIELD_STRING, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object seccomp_arg_object = { seccomp_arg_fields,
                                                  sizeof(struct spec_seccomp_arg), 0 };

static const struct field syscall_fields[] = {
    FIELD_OF(struct spec_syscall, names, "names", FIELD_STRINGS, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_syscall, action, "action", FIELD_STRING,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OPTIONAL(struct spec_syscall, errno_ret, "errnoRet", FIELD_U32),
    FIELD_OBJECT(struct spec_syscall, args, "args", FIELD_STRUCT, &seccomp_arg_object, FIELD_ARRAY),
    { 0 },
};
static const struct object syscall_object = { syscall_fields, sizeof(struct spec_syscall), 0 };

static const struct field seccomp_fields[] = {
    FIELD_OF(struct spec_seccomp, default_action, "defaultAction", FIELD_STRING,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OPTIONAL(struct spec_seccomp, default_errno_ret, "defaultErrnoRet", FIELD_U32),
    FIELD_OF(struct spec_seccomp, architectures, "architectures", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_seccomp, flags, "flags", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_seccomp, listener_path, "listenerPath", FIELD_STRING, 0),
    FIELD_OF(struct spec_seccomp, listener_metadata, "listenerMetadata", FIELD_STRING, 0),
    FIELD_OBJECT(struct spec_seccomp, syscalls, "syscalls", FIELD_STRUCT, &syscall_object,
                 FIELD_ARRAY),
    { 0 },
};
const struct object spec_seccomp_object = { seccomp_fields, sizeof(struct spec_seccomp), 0 };

static const struct field intel_rdt_fields[] = {
    FIELD_OF(struct spec_intel_rdt, clos_id, "closID", FIELD_STRING, 0),
    FIELD_OF(struct spec_intel_rdt, schemata, "schemata", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_intel_rdt, l3_cache_schema, "l3CacheSchema", FIELD_STRING, 0),
    FIELD_OF(struct spec_intel_rdt, mem_bw_schema, "memBwSchema", FIELD_STRING, 0),
    FIELD_OF(struct spec_intel_rdt, enable_monitoring, "enableMonitoring", FIELD_BOOL, 0),
    FIELD_OF(struct spec_intel_rdt, enable_cmt, "enableCMT", FIELD_BOOL, 0),
    FIELD_OF(struct spec_intel_rdt, enable_mbm, "enableMBM", FIELD_BOOL, 0),
    { 0 },
};
static const struct object intel_rdt_object = { intel_rdt_fields, sizeof(struct spec_intel_rdt),
                                                0 };

static const struct field personality_fields[] = {
    FIELD_OF(struct spec_personality, domain, "domain", FIELD_STRING,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_personality, flags, "flags", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object personality_object = { personality_fields,
                                                  sizeof(struct spec_personality), 0 };

static const struct field time_offset_fields[] = {
    FIELD_OF(struct spec_time_offset, secs, "secs", FIELD_I64, 0),
    FIELD_OF(struct spec_time_offset, nanosecs, "nanosecs", FIELD_U32, 0),
    { 0 },
};
static const struct object time_offset_object = { time_offset_fields,
                                                  sizeof(struct spec_time_offset), 0 };

static const struct field net_device_fields[] = {
    FIELD_OF(struct spec_net_device, name, "name", FIELD_STRING, 0),
    { 0 },
};
static const struct object net_device_object = { net_device_fields, sizeof(struct spec_net_device),
                                                 0 };

static const struct field memory_policy_fields[] = {
    FIELD_OF(struct spec_memory_policy, mode, "mode", FIELD_STRING,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct spec_memory_policy, nodes, "nodes", FIELD_STRING, 0),
    FIELD_OF(struct spec_memory_policy, flags, "flags", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object memory_policy_object = { memory_policy_fields,
                                                    sizeof(struct spec_memory_policy), 0 };

static const struct field linux_fields[] = {
    FIELD_OBJECT(struct spec_linux, uid_mappings, "uidMappings", FIELD_STRUCT, &id_mapping_object,
                 FIELD_ARRAY),
    FIELD_OBJECT(struct spec_linux, gid_mappings, "gidMappings", FIELD_STRUCT, &id_mapping_object,
                 FIELD_ARRAY),
    FIELD_OF(struct spec_linux, sysctl, "sysctl", FIELD_MAP, 0),
    FIELD_OBJECT(struct spec_linux, resources, "resources", FIELD_POINTER, &cgroup_resources_object,
                 0),
    FIELD_OF(struct spec_linux, cgroups_path, "cgroupsPath", FIELD_STRING, 0),
    FIELD_OBJECT(struct spec_linux, namespaces, "namespaces", FIELD_STRUCT, &namespace_object,
                 FIELD_ARRAY),
    FIELD_OBJECT(struct spec_linux, devices, "devices", FIELD_STRUCT, &device_object, FIELD_ARRAY),
    FIELD_OBJECT(struct spec_linux, net_devices, "netDevices", FIELD_STRUCT, &net_device_object,
                 FIELD_DICTIONARY),
    FIELD_OBJECT(struct spec_linux, seccomp, "seccomp", FIELD_POINTER, &spec_seccomp_object, 0),
    FIELD_OF(struct spec_linux, rootfs_propagation, "rootfsPropagation", FIELD_STRING, 0),
    FIELD_OF(struct spec_linux, masked_paths, "maskedPaths", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_linux, readonly_paths, "readonlyPaths", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_linux, mount_label, "mountLabel", FIELD_STRING, 0),
    FIELD_OBJECT(struct spec_linux, intel_rdt, "intelRdt", FIELD_POINTER, &intel_rdt_object, 0),
    FIELD_OBJECT(struct spec_linux, memory_policy, "memoryPolicy", FIELD_POINTER,
                 &memory_policy_object, 0),
    FIELD_OBJECT(struct spec_linux, personality, "personality", FIELD_POINTER, &personality_object,
                 0),
    FIELD_OBJECT(struct spec_linux, time_offsets, "timeOffsets", FIELD_STRUCT, &time_offset_object,
                 FIELD_DICTIONARY),
    { 0 },
};
static const struct object linux_object = { linux_fields, sizeof(struct spec_linux), 0 };

static const struct field vm_hypervisor_fields[] = {
    FIELD_OF(struct spec_vm_hypervisor, path, "path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct spec_vm_hypervisor, parameters, "parameters", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object vm_hypervisor_object = { vm_hypervisor_fields,
                                                    sizeof(struct spec_vm_hypervisor), 0 };

static const struct field vm_kernel_fields[] = {
    FIELD_OF(struct spec_vm_kernel, path, "path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct spec_vm_kernel, parameters, "parameters", FIELD_STRINGS, 0),
    FIELD_OF(struct spec_vm_kernel, initrd, "initrd", FIELD_STRING, 0),
    { 0 },
};
static const struct object vm_kernel_object = { vm_kernel_fields, sizeof(struct spec_vm_kernel),
                                                0 };

static const struct field vm_image_fields[] = {
    FIELD_OF(struct spec_vm_image, path, "path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct spec_vm_image, format, "format", FIELD_STRING, FIELD_REQUIRED),
    { 0 },
};
static const struct object vm_image_object = { vm_image_fields, sizeof(struct spec_vm_image), 0 };

/* The rest of it is for other processors, or gives devices away. */
static const struct field vm_hardware_fields[] = {
    FIELD_OPTIONAL(struct spec_vm_hardware, vcpus, "vcpus", FIELD_U32),
    FIELD_OPTIONAL(struct spec_vm_hardware, memory, "memory", FIELD_U64),
    { .name = "deviceTree", .flags = FIELD_REFUSED },
    { .name = "dtdevs", .flags = FIELD_REFUSED },
    { .name = "iomems", .flags = FIELD_REFUSED },
    { .name = "irqs", .flags = FIELD_REFUSED },
    { 0 },
};
static const struct object vm_hardware_object = { vm_hardware_fields,
                                                  sizeof(struct spec_vm_hardware), 0 };

static const struct field vm_fields[] = {
    FIELD_OBJECT(struct spec_vm, hypervisor, "hypervisor", FIELD_POINTER, &vm_hypervisor_object, 0),
    FIELD_OBJECT(struct spec_vm, kernel, "kernel", FIELD_POINTER, &vm_kernel_object, 0),
    FIELD_OBJECT(struct spec_vm, image, "image", FIELD_POINTER, &vm_image_object, 0),
    FIELD_OBJECT(struct spec_vm, hardware, "hwConfig", FIELD_STRUCT, &vm_hardware_object, 0),
    { 0 },
};
const struct object spec_vm_object = { vm_fields, sizeof(struct spec_vm), 0 };

static const struct field spec_fields[] = {
    FIELD_OF(struct spec, oci_version, "ociVersion", FIELD_STRING,
             FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct spec, process, "process", FIELD_POINTER, &spec_process_object, 0),
    FIELD_OBJECT(struct spec, root, "root", FIELD_POINTER, &root_object, 0),
    FIELD_OF(struct spec, hostname, "hostname", FIELD_STRING, 0),
    FIELD_OF(struct spec, domainname, "domainname", FIELD_STRING, 0),
    FIELD_OBJECT(struct spec, mounts, "mounts", FIELD_STRUCT, &spec_mount_object, FIELD_ARRAY),
    FIELD_OBJECT(struct spec, hooks, "hooks", FIELD_STRUCT, &hooks_object, 0),
    FIELD_OF(struct spec, annotations, "annotations", FIELD_MAP, 0),
    FIELD_OBJECT(struct spec, linux_, "linux", FIELD_STRUCT, &linux_object, 0),
    FIELD_OBJECT(struct spec, vm, "vm", FIELD_POINTER, &spec_vm_object, 0),
    { 0 },
};
const struct object spec_object = { spec_fields, sizeof(struct spec), 0 };
