#include "engine/record.h"

#include <stdlib.h>

#include "engine/engine_private.h"

/* Tables of container.json and life.json. Members that are zero are not written. */

static const struct field mount_fields[] = {
    FIELD_OF(struct settings_mount, type, "type", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct settings_mount, source, "source", FIELD_STRING, 0),
    FIELD_OF(struct settings_mount, target, "target", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct settings_mount, is_readonly, "readonly", FIELD_BOOL, 0),
    FIELD_OF(struct settings_mount, is_nocopy, "nocopy", FIELD_BOOL, 0),
    FIELD_OF(struct settings_mount, labels, "labels", FIELD_MAP, 0),
    FIELD_OF(struct settings_mount, creates_source, "createsSource", FIELD_BOOL, 0),
    FIELD_OF(struct settings_mount, propagation, "propagation", FIELD_STRING, 0),
    FIELD_OF(struct settings_mount, options, "options", FIELD_STRINGS, 0),
    FIELD_OF(struct settings_mount, spec, "spec", FIELD_STRING, 0),
    FIELD_OF(struct settings_mount, volume_path, "volumePath", FIELD_STRING, 0),
    FIELD_OF(struct settings_mount, is_anonymous, "anonymous", FIELD_BOOL, 0),
    { 0 },
};
static const struct object mount_object = { mount_fields, sizeof(struct settings_mount), 0 };

static const struct field device_fields[] = {
    FIELD_OF(struct settings_device, host_path, "hostPath", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct settings_device, container_path, "containerPath", FIELD_STRING, 0),
    FIELD_OF(struct settings_device, access, "access", FIELD_STRING, 0),
    { 0 },
};
static const struct object device_object = { device_fields, sizeof(struct settings_device), 0 };

static const struct field rate_fields[] = {
    FIELD_OF(struct settings_rate, path, "path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct settings_rate, rate, "rate", FIELD_U64, FIELD_REQUIRED),
    { 0 },
};
static const struct object rate_object = { rate_fields, sizeof(struct settings_rate), 0 };

static const struct field weight_fields[] = {
    FIELD_OF(struct settings_rate, path, "path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct settings_rate, rate, "weight", FIELD_U64, FIELD_REQUIRED),
    { 0 },
};
static const struct object weight_object = { weight_fields, sizeof(struct settings_rate), 0 };

static const struct field ulimit_fields[] = {
    FIELD_OF(struct settings_ulimit, name, "name", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct settings_ulimit, soft, "soft", FIELD_I64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct settings_ulimit, hard, "hard", FIELD_I64, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object ulimit_object = { ulimit_fields, sizeof(struct settings_ulimit), 0 };

#define SETTING(member_, name_, type_) FIELD_OF(struct settings, member_, name_, type_, 0)
#define SETTING_LIST(member_, name_, object_)                                                      \
    FIELD_OBJECT(struct settings, member_, name_, FIELD_STRUCT, object_, FIELD_ARRAY)

_Static_assert(sizeof(enum settings_restart) == sizeof(uint32_t), "kept as a number of 32 bits");

static const struct field settings_fields[] = {
    SETTING(name, "name", FIELD_STRING),
    SETTING(image, "image", FIELD_STRING),
    SETTING(command, "command", FIELD_STRINGS),
    FIELD_OPTIONAL(struct settings, entrypoint, "entrypoint", FIELD_STRINGS),
    SETTING(env, "env", FIELD_STRINGS),
    SETTING(labels, "labels", FIELD_MAP),
    SETTING(annotations, "annotations", FIELD_MAP),
    SETTING(user, "user", FIELD_STRING),
    SETTING(working_dir, "workingDir", FIELD_STRING),
    SETTING(hostname, "hostname", FIELD_STRING),
    SETTING(domainname, "domainname", FIELD_STRING),
    SETTING(groups, "groups", FIELD_STRINGS),
    SETTING(has_terminal, "terminal", FIELD_BOOL),
    SETTING(opens_stdin, "opensStdin", FIELD_BOOL),
    SETTING(stdin_once, "stdinOnce", FIELD_BOOL),
    SETTING(attach_stdin, "attachStdin", FIELD_BOOL),
    SETTING(attach_stdout, "attachStdout", FIELD_BOOL),
    SETTING(attach_stderr, "attachStderr", FIELD_BOOL),
    SETTING(is_removed, "remove", FIELD_BOOL),
    SETTING(has_init, "init", FIELD_BOOL),
    SETTING(stop_signal, "stopSignal", FIELD_STRING),
    FIELD_OPTIONAL(struct settings, stop_timeout, "stopTimeout", FIELD_U32),
    SETTING_LIST(mounts, "mounts", &mount_object),
    SETTING(volumes_from, "volumesFrom", FIELD_STRINGS),
    SETTING(is_readonly, "readonly", FIELD_BOOL),
    SETTING(shm_bytes, "shmBytes", FIELD_U64),
    SETTING_LIST(devices, "devices", &device_object),
    SETTING(device_rules, "deviceRules", FIELD_STRINGS),
    SETTING(memory, "memory", FIELD_U64),
    SETTING(memory_swap, "memorySwap", FIELD_I64),
    SETTING(memory_reservation, "memoryReservation", FIELD_U64),
    SETTING(has_oom_kill_disable, "oomKillDisable", FIELD_BOOL),
    FIELD_OPTIONAL(struct settings, oom_score_adj, "oomScoreAdj", FIELD_I32),
    FIELD_OPTIONAL(struct settings, pids_limit, "pidsLimit", FIELD_I64),
    FIELD_OPTIONAL(struct settings, swappiness, "swappiness", FIELD_U64),
    SETTING(nano_cpus, "nanoCpus", FIELD_U64),
    SETTING(cpu_shares, "cpuShares", FIELD_U64),
    SETTING(cpu_period, "cpuPeriod", FIELD_U64),
    SETTING(cpu_quota, "cpuQuota", FIELD_I64),
    SETTING(cpu_rt_period, "cpuRtPeriod", FIELD_U64),
    SETTING(cpu_rt_runtime, "cpuRtRuntime", FIELD_I64),
    SETTING(cpuset_cpus, "cpusetCpus", FIELD_STRING),
    SETTING(cpuset_mems, "cpusetMems", FIELD_STRING),
    SETTING(blkio_weight, "blkioWeight", FIELD_U16),
    SETTING_LIST(blkio_weights, "blkioWeights", &weight_object),
    SETTING_LIST(read_bps, "readBps", &rate_object),
    SETTING_LIST(write_bps, "writeBps", &rate_object),
    SETTING_LIST(read_iops, "readIops", &rate_object),
    SETTING_LIST(write_iops, "writeIops", &rate_object),
    SETTING(cgroup_conf, "cgroupConf", FIELD_MAP),
    SETTING_LIST(ulimits, "ulimits", &ulimit_object),
    SETTING(cgroup_parent, "cgroupParent", FIELD_STRING),
    SETTING(cap_add, "capAdd", FIELD_STRINGS),
    SETTING(cap_drop, "capDrop", FIELD_STRINGS),
    SETTING(security_opt, "securityOpt", FIELD_STRINGS),
    SETTING(is_privileged, "privileged", FIELD_BOOL),
    SETTING(network, "network", FIELD_STRING),
    SETTING(pid_mode, "pidMode", FIELD_STRING),
    SETTING(ipc_mode, "ipcMode", FIELD_STRING),
    SETTING(uts_mode, "utsMode", FIELD_STRING),
    SETTING(isolation, "isolation", FIELD_STRING),
    SETTING(vm_kernel, "vmKernel", FIELD_STRING),
    SETTING(vm_memory, "vmMemory", FIELD_U64),
    SETTING(vm_cpus, "vmCpus", FIELD_U32),
    SETTING(vm_console, "vmConsole", FIELD_STRING),
    SETTING(is_warm, "warm", FIELD_BOOL),
    SETTING(userns_mode, "usernsMode", FIELD_STRING),
    SETTING(sysctls, "sysctls", FIELD_MAP),
    SETTING(add_hosts, "addHosts", FIELD_STRINGS),
    SETTING(dns, "dns", FIELD_STRINGS),
    SETTING(dns_search, "dnsSearch", FIELD_STRINGS),
    SETTING(dns_options, "dnsOptions", FIELD_STRINGS),
    SETTING(exposed, "exposed", FIELD_STRINGS),
    SETTING(published, "published", FIELD_STRINGS),
    SETTING(publishes_all, "publishAll", FIELD_BOOL),
    SETTING(restart, "restart", FIELD_U32),
    SETTING(restart_max, "restartMax", FIELD_U32),
    SETTING(log_driver, "logDriver", FIELD_STRING),
    SETTING(log_options, "logOptions", FIELD_MAP),
    SETTING(detach_keys, "detachKeys", FIELD_STRING),
    { 0 },
};
const struct object settings_object = { settings_fields, sizeof(struct settings), 0 };

static const struct field record_fields[] = {
    FIELD_OF(struct record, id, "id", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct record, name, "name", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct record, created, "created", FIELD_I64, FIELD_REQUIRED),
    FIELD_OF(struct record, created_ns, "createdNs", FIELD_U32, 0),
    FIELD_OF(struct record, image, "image", FIELD_STRING, 0),
    FIELD_OF(struct record, image_manifest, "imageManifest", FIELD_STRING, 0),
    FIELD_OF(struct record, image_id, "imageId", FIELD_STRING, 0),
    FIELD_OF(struct record, layers, "layers", FIELD_STRINGS, 0),
    FIELD_OF(struct record, is_copied, "copied", FIELD_BOOL, 0),
    FIELD_OF(struct record, is_served, "fuse", FIELD_BOOL, 0),
    FIELD_OF(struct record, cgroup_path, "cgroupPath", FIELD_STRING, 0),
    FIELD_OF(struct record, args, "args", FIELD_STRINGS, 0),
    FIELD_OF(struct record, env, "env", FIELD_STRINGS, 0),
    FIELD_OF(struct record, command, "command", FIELD_STRINGS, 0),
    FIELD_OF(struct record, entrypoint, "entrypoint", FIELD_STRINGS, 0),
    FIELD_OF(struct record, user, "user", FIELD_STRING, 0),
    FIELD_OF(struct record, working_dir, "workingDir", FIELD_STRING, 0),
    FIELD_OF(struct record, stop_signal, "stopSignal", FIELD_STRING, 0),
    FIELD_OF(struct record, hostname, "hostname", FIELD_STRING, 0),
    FIELD_OF(struct record, domainname, "domainname", FIELD_STRING, 0),
    FIELD_OF(struct record, labels, "labels", FIELD_MAP, 0),
    FIELD_OF(struct record, exposed_ports, "exposedPorts", FIELD_STRINGS, 0),
    FIELD_OF(struct record, image_volumes, "imageVolumes", FIELD_STRINGS, 0),
    FIELD_OBJECT(struct record, settings, "settings", FIELD_STRUCT, &settings_object,
                 FIELD_REQUIRED),
    { 0 },
};
const struct object record_object = { record_fields, sizeof(struct record), 0 };

static const struct field life_fields[] = {
    FIELD_OF(struct life, started, "started", FIELD_I64, 0),
    FIELD_OF(struct life, started_ns, "startedNs", FIELD_U32, 0),
    FIELD_OF(struct life, finished, "finished", FIELD_I64, 0),
    FIELD_OF(struct life, finished_ns, "finishedNs", FIELD_U32, 0),
    FIELD_OF(struct life, exit_status, "exitStatus", FIELD_I32, 0),
    FIELD_OF(struct life, was_oom_killed, "oomKilled", FIELD_BOOL, 0),
    FIELD_OF(struct life, was_stopped, "stopped", FIELD_BOOL, 0),
    FIELD_OF(struct life, restart_count, "restartCount", FIELD_U32, 0),
    FIELD_OF(struct life, error, "error", FIELD_STRING, 0),
    { 0 },
};
const struct object life_object = { life_fields, sizeof(struct life), 0 };

struct settings *settings_default(void)
{
    struct settings *settings = xcalloc(1, sizeof(*settings));

    settings->shm_bytes = 64u << 20;
    settings->stop_timeout = 10;
    settings->attach_stdout = settings->attach_stderr = true;
    return settings;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    object_clear(&settings_object, settings);
    free(settings);
}
