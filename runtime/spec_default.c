#include "runtime/spec.h"

#include <sys/prctl.h>
#include <unistd.h>

#include "runtime/process_setup.h"

/* Two starting points: the bundle that `runc spec` writes, for berth-oci, and the container that
 * docker makes, for berth. Both are tables here, so that they can be compared with their models
 * line by line; what differs for one container is changed afterwards by its owner. */

struct default_mount {
    const char *destination, *type, *source;
    const char *options[8];
};

static const struct default_mount runc_mounts[] = {
    { "/proc", "proc", "proc", { NULL } },
    { "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
    { "/dev/pts",
      "devpts",
      "devpts",
      { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
    { "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
    { "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
    { "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
    { "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } },
};

/* Without privileges there is no gid 5 to give the terminals to, and no right to mount a sysfs in a
 * network namespace that belongs to someone else. */
static const struct default_mount runc_rootless_mounts[] = {
    { "/proc", "proc", "proc", { NULL } },
    { "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
    { "/dev/pts",
      "devpts",
      "devpts",
      { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620" } },
    { "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
    { "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
    { "/sys", "none", "/sys", { "rbind", "nosuid", "noexec", "nodev", "ro" } },
    { "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } },
};

static const struct default_mount docker_mounts[] = {
    { "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" } },
    { "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
    { "/dev/pts",
      "devpts",
      "devpts",
      { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
    { "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
    { "/sys/fs/cgroup", "cgroup", "cgroup", { "ro", "nosuid", "noexec", "nodev" } },
    { "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
    { "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
};

static const char *const runc_namespaces[] = { "pid", "network", "ipc", "uts", "mount", NULL };
static const char *const runc_rootless_namespaces[] = { "pid", "ipc", "uts", "mount", NULL };
static const char *const docker_namespaces[] = { "mount", "network", "uts", "pid",
                                                 "ipc",   "cgroup",  NULL };

static const char *const runc_masked_paths[] = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
    NULL,
};

static const char *const docker_masked_paths[] = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    NULL,
};

static const char *const readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

static const char *const runc_capabilities[] = {
    "CAP_AUDIT_WRITE",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    NULL,
};

const char *const spec_default_capabilities[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
    NULL,
};

/* Nodes that docker permits beside those every runtime adds; the last is /dev/fuse, which some
 * device lists would allow. */
static const struct default_device {
    bool allow;
    int64_t major, minor;
} docker_devices[] = {
    { true, 1, 5 }, { true, 1, 3 }, { true, 1, 9 },     { true, 1, 8 },
    { true, 5, 0 }, { true, 5, 1 }, { false, 10, 229 },
};

static void add_all(struct strings *list, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++)
        strings_add(list, words[i]);
}

static void add_mounts(struct spec *spec, const struct default_mount *mounts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)spec_add_mount(spec, mounts[i].destination, mounts[i].type, mounts[i].source,
                             mounts[i].options);
}

static void add_namespaces(struct spec *spec, const char *const *types)
{
    for (size_t i = 0; types[i] != NULL; i++)
        (void)spec_add_namespace(spec, types[i], NULL);
}

static void add_own_mapping(struct spec_id_mappings *mappings, uint32_t host_id)
{
    mappings->items = xcalloc(1, sizeof(*mappings->items));
    mappings->items[0] = (struct spec_id_mapping){ .host_id = host_id, .size = 1 };
    mappings->count = 1;
}

static struct spec *spec_new(const char *oci_version)
{
    struct spec *spec = xcalloc(1, sizeof(*spec));

    spec->oci_version = xstrdup(oci_version);
    spec->process = xcalloc(1, sizeof(*spec->process));
    spec->process->cwd = xstrdup("/");
    spec->process->capabilities = xcalloc(1, sizeof(*spec->process->capabilities));
    spec->root = xcalloc(1, sizeof(*spec->root));
    spec->root->path = xstrdup("rootfs");
    return spec;
}

static void fill_runc_process(struct spec *spec)
{
    struct spec_process *process = spec->process;

    process->terminal = true;
    strings_add(&process->args, "sh");
    strings_add(&process->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strings_add(&process->env, "TERM=xterm");
    add_all(&process->capabilities->bounding, runc_capabilities);
    add_all(&process->capabilities->effective, runc_capabilities);
    add_all(&process->capabilities->permitted, runc_capabilities);
    add_all(&process->capabilities->ambient, runc_capabilities);
    (void)spec_add_rlimit(spec, "RLIMIT_NOFILE", 1024, 1024);
    process->no_new_privileges = true;
}

struct spec *spec_default(bool is_rootless, bool is_cgroup_v2)
{
    struct spec *spec = spec_new("1.0.2-dev");

    fill_runc_process(spec);
    spec->root->readonly = true;
    spec->hostname = xstrdup("runc");
    add_all(&spec->linux_.masked_paths, runc_masked_paths);
    add_all(&spec->linux_.readonly_paths, readonly_paths);
    add_namespaces(spec, is_rootless ? runc_rootless_namespaces : runc_namespaces);
    if (is_cgroup_v2)
        (void)spec_add_namespace(spec, "cgroup", NULL);
    if (is_rootless) {
        (void)spec_add_namespace(spec, "user", NULL);
        add_mounts(spec, runc_rootless_mounts, ARRAY_SIZE(runc_rootless_mounts));
        add_own_mapping(&spec->linux_.uid_mappings, geteuid());
        add_own_mapping(&spec->linux_.gid_mappings, getegid());
    } else {
        add_mounts(spec, runc_mounts, ARRAY_SIZE(runc_mounts));
        (void)spec_add_device_rule(spec, false, NULL, -1, -1, "rwm");
    }
    return spec;
}

/* The counters tell a neighbour's load apart by heat; only physical machines have them. */
static void mask_thermal_counters(struct strings *masked_paths)
{
    long cpus;

    if (access("/sys/devices/system/cpu/cpu0/thermal_throttle", F_OK) < 0)
        return;
    cpus = sysconf(_SC_NPROCESSORS_CONF);
    for (long i = 0; i < cpus; i++)
        strings_addf(masked_paths, "/sys/devices/system/cpu/cpu%ld/thermal_throttle", i);
}

struct spec *spec_default_docker(void)
{
    struct spec *spec = spec_new("1.2.0");
    struct spec_capabilities *capabilities = spec->process->capabilities;

    add_all(&capabilities->bounding, spec_default_capabilities);
    add_all(&capabilities->effective, spec_default_capabilities);
    add_all(&capabilities->permitted, spec_default_capabilities);
    add_mounts(spec, docker_mounts, ARRAY_SIZE(docker_mounts));
    add_namespaces(spec, docker_namespaces);
    add_all(&spec->linux_.masked_paths, docker_masked_paths);
    mask_thermal_counters(&spec->linux_.masked_paths);
    add_all(&spec->linux_.readonly_paths, readonly_paths);
    (void)spec_add_device_rule(spec, false, NULL, -1, -1, "rwm");
    for (size_t i = 0; i < ARRAY_SIZE(docker_devices); i++)
        (void)spec_add_device_rule(spec, docker_devices[i].allow, "c", docker_devices[i].major,
                                   docker_devices[i].minor, "rwm");
    return spec;
}

void spec_all_capabilities(struct strings *ret_names)
{
    for (int number = 0; number <= CAPABILITY_LAST; number++) {
        /* 0: not in our bounding set, so nobody could grant it; -1: the kernel lacks it. */
        if (prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1)
            strings_add(ret_names, capability_name(number));
    }
}
