#include "engine/query.h"

#include <assert.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bundle.h"
#include "engine/checkpoints.h"
#include "engine/engine_private.h"
#include "engine/fuse_root.h"
#include "engine/published_port.h"

/* The document of `docker inspect`: its names, its nesting, and null, [] or {} where docker has
 * them, since scripts depend on each. Built directly: nothing reads it back here. */

static json_t *text_or_empty(const char *text)
{
    json_t *value = json_string(text == NULL ? "" : text);

    /* What is no UTF-8 cannot be shown as JSON. */
    return value != NULL ? value : json_string("");
}

static json_t *list(const struct strings *strings)
{
    json_t *array = json_array();

    for (size_t i = 0; i < strings->count; i++)
        (void)json_array_append_new(array, text_or_empty(strings->items[i]));
    return array;
}

static json_t *list_or_null(const struct strings *strings)
{
    return strings->count == 0 ? json_null() : list(strings);
}

static json_t *map(const struct string_map *pairs)
{
    json_t *object = json_object();

    for (size_t i = 0; i < pairs->count; i++)
        (void)json_object_set_new(object, pairs->items[i].key,
                                  text_or_empty(pairs->items[i].value));
    return object;
}

static json_t *keys(const struct strings *names)
{
    json_t *object = json_object();

    for (size_t i = 0; i < names->count; i++)
        (void)json_object_set_new(object, names->items[i], json_object());
    return object;
}

static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value); /* ours and new: only memory could fail */
}

static json_t *time_text(int64_t seconds, uint32_t nanoseconds)
{
    auto_free char *text = NULL;

    if (seconds == 0)
        return json_string("0001-01-01T00:00:00Z"); /* docker's "never" */
    text = text_format_time(seconds, nanoseconds);
    return json_string(text);
}

static json_t *file_path(const struct engine *engine, const char *id, const char *name)
{
    auto_free char *path = xasprintf("%s/containers/%s/%s", engine->data_path, id, name);

    return text_or_empty(path);
}

static json_t *format_state(const struct life *life, const struct container_condition *condition,
                            bool has_checkpoint)
{
    const char *status = condition->status;
    bool is_paused = strcmp(status, "paused") == 0;
    json_t *state = json_object();

    set(state, "Status", json_string(status));
    set(state, "Running",
        json_boolean(is_paused || strcmp(status, "running") == 0 ||
                     strcmp(status, "restarting") == 0));
    set(state, "Paused", json_boolean(is_paused));
    set(state, "Restarting", json_boolean(strcmp(status, "restarting") == 0));
    set(state, "OOMKilled", json_boolean(life->was_oom_killed));
    set(state, "Dead", json_false());
    set(state, "Pid", json_integer(condition->pid));
    set(state, "ExitCode", json_integer(condition->has_died ? 128 + SIGKILL : life->exit_status));
    set(state, "Error", text_or_empty(life->error));
    set(state, "StartedAt", time_text(life->started, life->started_ns));
    set(state, "FinishedAt", time_text(life->finished, life->finished_ns));
    set(state, "Checkpointed", json_boolean(has_checkpoint)); /* as podman has it */
    return state;
}

static bool is_by_tmpfs_option(const struct settings_mount *mount)
{
    return mount->spec != NULL && strcmp(mount->type, "tmpfs") == 0;
}

static bool is_anonymous_by_option(const struct settings_mount *mount)
{
    return mount->spec != NULL && mount->is_anonymous;
}

/* As docker has them: without those by --tmpfs, which are in HostConfig. */
static json_t *format_mounts(const struct record *record)
{
    json_t *array = json_array();

    for (size_t i = 0; i < record->settings.mounts.count; i++) {
        const struct settings_mount *mount = &record->settings.mounts.items[i];
        bool is_volume = strcmp(mount->type, "volume") == 0;
        json_t *item;

        if (is_by_tmpfs_option(mount))
            continue;
        item = json_object();
        set(item, "Type", text_or_empty(mount->type));
        if (is_volume)
            set(item, "Name", text_or_empty(mount->source));
        set(item, "Source", text_or_empty(is_volume ? mount->volume_path : mount->source));
        set(item, "Destination", text_or_empty(mount->target));
        if (is_volume)
            set(item, "Driver", json_string("local"));
        set(item, "Mode", json_string(mount->is_readonly ? "ro" : ""));
        set(item, "RW", json_boolean(!mount->is_readonly));
        set(item, "Propagation",
            json_string(mount->propagation != NULL         ? mount->propagation
                        : strcmp(mount->type, "bind") == 0 ? "rprivate"
                                                           : ""));
        (void)json_array_append_new(array, item);
    }
    return array;
}

static json_t *format_binds(const struct settings *settings)
{
    json_t *array = json_array();

    for (size_t i = 0; i < settings->mounts.count; i++) {
        const struct settings_mount *mount = &settings->mounts.items[i];

        if (mount->spec != NULL && !is_by_tmpfs_option(mount) && !is_anonymous_by_option(mount))
            (void)json_array_append_new(array, text_or_empty(mount->spec));
    }
    if (json_array_size(array) > 0)
        return array;
    json_decref(array);
    return json_null();
}

static json_t *format_tmpfs(const struct settings *settings)
{
    json_t *object = json_object();

    for (size_t i = 0; i < settings->mounts.count; i++) {
        const struct settings_mount *mount = &settings->mounts.items[i];
        auto_free char *options = NULL;

        if (!is_by_tmpfs_option(mount))
            continue;
        options = strings_join(&mount->options, ",");
        set(object, mount->target, text_or_empty(options));
    }
    return object;
}

/* The image's, and those by -v that have no name. */
static json_t *format_volumes(const struct record *record)
{
    json_t *object = keys(&record->image_volumes);

    for (size_t i = 0; i < record->settings.mounts.count; i++) {
        const struct settings_mount *mount = &record->settings.mounts.items[i];

        if (is_anonymous_by_option(mount))
            set(object, mount->target, json_object());
    }
    if (json_object_size(object) > 0)
        return object;
    json_decref(object);
    return json_null();
}

/* {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]} */
static json_t *format_ports(const struct settings *settings)
{
    json_t *object = json_object();

    for (size_t i = 0; i < settings->published.count; i++) {
        struct published_port port;
        auto_free char *key = NULL;
        auto_free char *number = NULL;
        json_t *binding;

        if (published_port_parse(settings->published.items[i], &port, NULL) < 0)
            continue; /* was parsed when the container was made */
        key = xasprintf("%u/%s", port.port, port.is_udp ? "udp" : "tcp");
        number = xasprintf("%u", port.host_port);
        binding = json_object();
        set(binding, "HostIp", json_string(port.address));
        set(binding, "HostPort", json_string(number));
        if (json_object_get(object, key) == NULL)
            set(object, key, json_array());
        (void)json_array_append_new(json_object_get(object, key), binding);
    }
    return object;
}

static json_t *format_restart(const struct settings *settings)
{
    static const char *const names[] = {
        [RESTART_NO] = "no",
        [RESTART_ON_FAILURE] = "on-failure",
        [RESTART_ALWAYS] = "always",
        [RESTART_UNLESS_STOPPED] = "unless-stopped",
    };
    json_t *object = json_object();

    set(object, "Name",
        json_string(settings->restart < ARRAY_SIZE(names) ? names[settings->restart] : "no"));
    set(object, "MaximumRetryCount", json_integer(settings->restart_max));
    return object;
}

static json_t *format_log(const struct settings *settings)
{
    json_t *object = json_object();

    set(object, "Type",
        json_string(text_is_empty(settings->log_driver) ? "json-file" : settings->log_driver));
    set(object, "Config", map(&settings->log_options));
    return object;
}

/* @value  name of the number */
static json_t *format_rates(const struct settings_rates *rates, const char *value)
{
    json_t *array = json_array();

    for (size_t i = 0; i < rates->count; i++) {
        json_t *item = json_object();

        set(item, "Path", text_or_empty(rates->items[i].path));
        set(item, value, json_integer((json_int_t)rates->items[i].rate));
        (void)json_array_append_new(array, item);
    }
    return array;
}

static json_t *format_devices(const struct settings *settings)
{
    json_t *array = json_array();

    for (size_t i = 0; i < settings->devices.count; i++) {
        const struct settings_device *device = &settings->devices.items[i];
        json_t *item = json_object();

        set(item, "PathOnHost", text_or_empty(device->host_path));
        set(item, "PathInContainer",
            text_or_empty(text_is_empty(device->container_path) ? device->host_path
                                                                : device->container_path));
        set(item, "CgroupPermissions",
            json_string(text_is_empty(device->access) ? "rwm" : device->access));
        (void)json_array_append_new(array, item);
    }
    return array;
}

static json_t *format_ulimits(const struct settings *settings)
{
    json_t *array = json_array();

    for (size_t i = 0; i < settings->ulimits.count; i++) {
        json_t *item = json_object();

        set(item, "Name", text_or_empty(settings->ulimits.items[i].name));
        set(item, "Hard", json_integer(settings->ulimits.items[i].hard));
        set(item, "Soft", json_integer(settings->ulimits.items[i].soft));
        (void)json_array_append_new(array, item);
    }
    return array;
}

static int64_t shown_swap(const struct settings *settings)
{
    if (settings->memory_swap != 0 || settings->memory == 0)
        return settings->memory_swap;
    return (int64_t)settings->memory * 2;
}

static void add_limits(json_t *host, const struct settings *settings)
{
    set(host, "CpuShares", json_integer((json_int_t)settings->cpu_shares));
    set(host, "Memory", json_integer((json_int_t)settings->memory));
    set(host, "NanoCpus", json_integer((json_int_t)settings->nano_cpus));
    set(host, "CgroupParent", text_or_empty(settings->cgroup_parent));
    if (settings->cgroup_conf.count > 0)
        set(host, "CgroupConf", map(&settings->cgroup_conf)); /* as podman has it */
    set(host, "BlkioWeight", json_integer(settings->blkio_weight));
    set(host, "BlkioWeightDevice", format_rates(&settings->blkio_weights, "Weight"));
    set(host, "BlkioDeviceReadBps", format_rates(&settings->read_bps, "Rate"));
    set(host, "BlkioDeviceWriteBps", format_rates(&settings->write_bps, "Rate"));
    set(host, "BlkioDeviceReadIOps", format_rates(&settings->read_iops, "Rate"));
    set(host, "BlkioDeviceWriteIOps", format_rates(&settings->write_iops, "Rate"));
    set(host, "CpuPeriod", json_integer((json_int_t)settings->cpu_period));
    set(host, "CpuQuota", json_integer(settings->cpu_quota));
    set(host, "CpuRealtimePeriod", json_integer((json_int_t)settings->cpu_rt_period));
    set(host, "CpuRealtimeRuntime", json_integer(settings->cpu_rt_runtime));
    set(host, "CpusetCpus", text_or_empty(settings->cpuset_cpus));
    set(host, "CpusetMems", text_or_empty(settings->cpuset_mems));
    set(host, "Devices", format_devices(settings));
    set(host, "DeviceCgroupRules", list_or_null(&settings->device_rules));
    set(host, "DeviceRequests", json_null());
    set(host, "MemoryReservation", json_integer((json_int_t)settings->memory_reservation));
    set(host, "MemorySwap", json_integer(shown_swap(settings)));
    set(host, "MemorySwappiness",
        settings->has_swappiness ? json_integer((json_int_t)settings->swappiness) : json_null());
    set(host, "OomKillDisable", json_boolean(settings->has_oom_kill_disable));
    set(host, "PidsLimit",
        settings->has_pids_limit ? json_integer(settings->pids_limit) : json_null());
    set(host, "Ulimits", format_ulimits(settings));
}

static void add_masks(json_t *host, const struct settings *settings)
{
    AUTO(spec) struct spec *spec = spec_default_docker();
    AUTO_CLEAR(security_options) struct security_options options = { 0 };
    const struct strings none = { 0 };
    bool has_none = settings->is_privileged;

    if (security_options_parse(&settings->security_opt, &options, NULL) == 0)
        has_none = has_none || options.has_unmasked_all;
    set(host, "MaskedPaths", list(has_none ? &none : &spec->linux_.masked_paths));
    set(host, "ReadonlyPaths", list(has_none ? &none : &spec->linux_.readonly_paths));
}

static json_t *format_host_config(const struct record *record)
{
    const struct settings *settings = &record->settings;
    json_t *host = json_object();
    json_t *console = json_array();

    (void)json_array_append_new(console, json_integer(0));
    (void)json_array_append_new(console, json_integer(0));
    set(host, "Binds", format_binds(settings));
    set(host, "ContainerIDFile", json_string(""));
    set(host, "LogConfig", format_log(settings));
    set(host, "NetworkMode",
        json_string(text_is_empty(settings->network) ? "none" : settings->network));
    set(host, "PortBindings", format_ports(settings));
    set(host, "RestartPolicy", format_restart(settings));
    set(host, "AutoRemove", json_boolean(settings->is_removed));
    set(host, "VolumeDriver", json_string(""));
    set(host, "VolumesFrom", list_or_null(&settings->volumes_from));
    set(host, "ConsoleSize", console);
    set(host, "CapAdd", list_or_null(&settings->cap_add));
    set(host, "CapDrop", list_or_null(&settings->cap_drop));
    set(host, "CgroupnsMode", json_string("private"));
    set(host, "Dns", list(&settings->dns));
    set(host, "DnsOptions", list(&settings->dns_options));
    set(host, "DnsSearch", list(&settings->dns_search));
    set(host, "ExtraHosts", list_or_null(&settings->add_hosts));
    set(host, "GroupAdd", list_or_null(&settings->groups));
    set(host, "IpcMode",
        json_string(text_is_empty(settings->ipc_mode) ? "private" : settings->ipc_mode));
    set(host, "Cgroup", json_string(""));
    set(host, "Links", json_null());
    set(host, "OomScoreAdj",
        json_integer(settings->has_oom_score_adj ? settings->oom_score_adj : 0));
    set(host, "PidMode", text_or_empty(settings->pid_mode));
    set(host, "Privileged", json_boolean(settings->is_privileged));
    set(host, "PublishAllPorts", json_boolean(settings->publishes_all));
    set(host, "ReadonlyRootfs", json_boolean(settings->is_readonly));
    set(host, "SecurityOpt", list_or_null(&settings->security_opt));
    if (settings->annotations.count > 0)
        set(host, "Annotations", map(&settings->annotations));
    if (settings->sysctls.count > 0)
        set(host, "Sysctls", map(&settings->sysctls));
    set(host, "Tmpfs", format_tmpfs(settings));
    set(host, "UTSMode", text_or_empty(settings->uts_mode));
    set(host, "UsernsMode", text_or_empty(settings->userns_mode));
    set(host, "ShmSize", json_integer((json_int_t)settings->shm_bytes));
    set(host, "Runtime", json_string("berth"));
    set(host, "Isolation", text_or_empty(settings->isolation));
    if (bundle_is_vm(settings)) {
        set(host, "VmKernel", text_or_empty(settings->vm_kernel));
        set(host, "VmMemory", json_integer((json_int_t)settings->vm_memory));
        set(host, "VmCpus", json_integer(settings->vm_cpus));
        set(host, "VmConsole", text_or_empty(settings->vm_console));
    }
    set(host, "Init", settings->has_init ? json_true() : json_null());
    add_limits(host, settings);
    add_masks(host, settings);
    return host;
}

static json_t *format_config(const struct record *record)
{
    const struct settings *settings = &record->settings;
    json_t *config = json_object();

    set(config, "Hostname", text_or_empty(record->hostname));
    set(config, "Domainname", text_or_empty(record->domainname));
    set(config, "User", text_or_empty(record->user));
    set(config, "AttachStdin", json_boolean(settings->attach_stdin));
    set(config, "AttachStdout", json_boolean(settings->attach_stdout));
    set(config, "AttachStderr", json_boolean(settings->attach_stderr));
    if (record->exposed_ports.count > 0)
        set(config, "ExposedPorts", keys(&record->exposed_ports));
    set(config, "Tty", json_boolean(settings->has_terminal));
    set(config, "OpenStdin", json_boolean(settings->opens_stdin));
    set(config, "StdinOnce", json_boolean(settings->stdin_once));
    set(config, "Env", list(&record->env));
    set(config, "Cmd", list_or_null(&record->command));
    set(config, "Image", text_or_empty(record->image));
    set(config, "Volumes", format_volumes(record));
    set(config, "WorkingDir", text_or_empty(record->working_dir));
    set(config, "Entrypoint", list_or_null(&record->entrypoint));
    set(config, "OnBuild", json_null());
    set(config, "Labels", map(&record->labels));
    if (!text_is_empty(record->stop_signal))
        set(config, "StopSignal", text_or_empty(record->stop_signal));
    if (settings->has_stop_timeout)
        set(config, "StopTimeout", json_integer(settings->stop_timeout));
    return config;
}

static json_t *format_driver(const struct engine *engine, const struct record *record)
{
    auto_free char *lower = strings_join(&record->layers, ":");
    json_t *driver = json_object();
    json_t *data = json_object();

    set(data, "ID", text_or_empty(record->id));
    set(data, "LowerDir", text_or_empty(lower));
    set(data, "MergedDir", json_string("")); /* mounted nowhere but inside the container */
    set(data, "UpperDir", file_path(engine, record->id, "upper"));
    set(data, "WorkDir", file_path(engine, record->id, "work"));
    set(driver, "Data", data);
    set(driver, "Name",
        json_string(record->is_copied   ? "copies"
                    : record->is_served ? FUSE_ROOT_PROGRAM
                                        : "overlay2"));
    return driver;
}

static json_t *format_network(const struct record *record)
{
    const char *mode = text_is_empty(record->settings.network) ? "none" : record->settings.network;
    json_t *settings = json_object();
    json_t *networks = json_object();
    json_t *network = json_object();
    static const char *const empty[] = { "EndpointID", "Gateway", "IPAddress", "MacAddress" };

    set(settings, "Bridge", json_string(""));
    set(settings, "SandboxID", json_string(""));
    set(settings, "SandboxKey", json_string(""));
    set(settings, "Ports", format_ports(&record->settings));
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
        set(settings, empty[i], json_string(""));
        set(network, empty[i], json_string(""));
    }
    set(settings, "IPPrefixLen", json_integer(0));
    set(network, "NetworkID", json_string(""));
    set(network, "IPPrefixLen", json_integer(0));
    set(network, "Aliases", json_null());
    set(network, "Links", json_null());
    set(network, "DriverOpts", json_null());
    if (network_is_joined(&record->settings))
        json_decref(network); /* it has none of its own */
    else
        set(networks, mode, network);
    set(settings, "Networks", networks);
    return settings;
}

static json_t *later_arguments(const struct strings *args)
{
    json_t *array = json_array();

    for (size_t i = 1; i < args->count; i++)
        (void)json_array_append_new(array, text_or_empty(args->items[i]));
    return array;
}

/* What the machine is, not what was asked for: that is in HostConfig. */
static json_t *format_machine(const struct string_map *machine)
{
    static const struct {
        const char *member, *annotation;
        bool is_number;
    } members[] = {
        { "Backend", "run.berth.vm.backend", false },
        { "BackendReason", "run.berth.vm.reason", false },
        { "Kernel", "run.berth.vm.kernel", false },
        { "Memory", "run.berth.vm.memory", true },
        { "Cpus", "run.berth.vm.cpus", true },
    };
    json_t *document;

    if (machine == NULL)
        return json_null();
    document = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        const char *text = string_map_get(machine, members[i].annotation);

        if (members[i].is_number)
            set(document, members[i].member,
                json_integer(text != NULL ? strtoll(text, NULL, 10) : 0));
        else
            set(document, members[i].member, text_or_empty(text));
    }
    return document;
}

char *inspect_format(const struct engine *engine, const struct record *record,
                     const struct life *life, const struct container_condition *condition,
                     const struct string_map *machine, const uint64_t *size_rw,
                     const uint64_t *size_root)
{
    auto_free char *name = xasprintf("/%s", record->name);
    json_t *document = json_object();
    char *text;

    set(document, "Id", text_or_empty(record->id));
    set(document, "Created", time_text(record->created, record->created_ns));
    set(document, "Path", text_or_empty(record->args.count > 0 ? record->args.items[0] : ""));
    set(document, "Args", later_arguments(&record->args));
    set(document, "State", format_state(life, condition, checkpoints_has_one(engine, record->id)));
    set(document, "Image", text_or_empty(record->image_id));
    set(document, "ResolvConfPath", file_path(engine, record->id, "resolv.conf"));
    set(document, "HostnamePath", file_path(engine, record->id, "hostname"));
    set(document, "HostsPath", file_path(engine, record->id, "hosts"));
    set(document, "LogPath", file_path(engine, record->id, "log"));
    set(document, "Name", text_or_empty(name));
    set(document, "RestartCount", json_integer(life->restart_count));
    set(document, "Driver", json_string("overlay2"));
    set(document, "Platform", json_string("linux"));
    set(document, "MountLabel", json_string(""));
    set(document, "ProcessLabel", json_string(""));
    set(document, "AppArmorProfile", json_string(""));
    set(document, "ExecIDs", json_null());
    set(document, "HostConfig", format_host_config(record));
    if (bundle_is_vm(&record->settings))
        set(document, "MicroVM", format_machine(machine));
    set(document, "GraphDriver", format_driver(engine, record));
    if (size_rw != NULL)
        set(document, "SizeRw", json_integer((json_int_t)*size_rw));
    if (size_root != NULL)
        set(document, "SizeRootFs", json_integer((json_int_t)*size_root));
    set(document, "Mounts", format_mounts(record));
    set(document, "Config", format_config(record));
    set(document, "NetworkSettings", format_network(record));
    text = json_dumps(document, JSON_INDENT(4));
    json_decref(document);
    return text;
}
