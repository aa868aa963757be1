#include "microvm/split.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "microvm/machine.h"
#include "microvm/vm_config.h"
#include "tests/unit/base_test.h"

/* A spec with everything that a microVM takes. The walk over the members below says where each of
 * them has to come out. */
static const char full[] =
    "{\"ociVersion\":\"1.2.0\",\"hostname\":\"box\",\"domainname\":\"dom\","
    "\"process\":{\"terminal\":true,\"consoleSize\":{\"height\":24,\"width\":80},"
    "\"user\":{\"uid\":7,\"gid\":8,\"umask\":18,\"additionalGids\":[9]},"
    "\"args\":[\"sh\"],\"env\":[\"A=b\"],\"cwd\":\"/w\","
    "\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"effective\":[\"CAP_KILL\"],"
    "\"permitted\":[\"CAP_KILL\"]},"
    "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":5,\"hard\":6}],"
    "\"noNewPrivileges\":true,\"oomScoreAdj\":100,\"apparmorProfile\":\"profile\","
    "\"selinuxLabel\":\"label\",\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"nice\":5},"
    "\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\",\"priority\":0}},"
    "\"root\":{\"path\":\"tree\",\"readonly\":true},"
    "\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"/srv\",\"options\":[\"rbind\","
    "\"ro\"]},"
    "{\"destination\":\"/etc/hosts\",\"type\":\"bind\",\"source\":\"/c/hosts\",\"options\":["
    "\"bind\"]},"
    "{\"destination\":\"/file\",\"type\":\"bind\",\"source\":\"/c/file\",\"options\":[\"bind\"]},"
    "{\"destination\":\"/dev/shm\",\"type\":\"bind\",\"source\":\"/c/shm\",\"options\":[\"bind\"]}"
    "],"
    "\"hooks\":{\"prestart\":[{\"path\":\"/a\"}],\"createRuntime\":[{\"path\":\"/b\"}],"
    "\"createContainer\":[{\"path\":\"/c\"}],\"startContainer\":[{\"path\":\"/d\"}],"
    "\"poststart\":[{\"path\":\"/e\"}],\"poststop\":[{\"path\":\"/f\"}]},"
    "\"annotations\":{\"run.berth.isolation\":\"microvm\",\"run.berth.vm.cpus\":\"2\","
    "\"user\":\"x\",\"run.oci.keep_original_groups\":\"1\"},"
    "\"linux\":{\"devices\":[{\"type\":\"c\",\"path\":\"/dev/kmsg\",\"major\":1,\"minor\":11}],"
    "\"sysctl\":{\"net.core.somaxconn\":\"5\"},"
    "\"cgroupsPath\":\"/a/b\",\"rootfsPropagation\":\"slave\",\"mountLabel\":\"mount\","
    "\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[\"/proc/sys\"],"
    "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},"
    "{\"type\":\"network\",\"path\":\"/var/run/netns/"
    "n\"},{\"type\":\"cgroup\"},{\"type\":\"time\"}],"
    "\"timeOffsets\":{\"boottime\":{\"secs\":5}},\"personality\":{\"domain\":\"LINUX\"},"
    "\"intelRdt\":{\"closID\":\"class\"},\"netDevices\":{\"eth7\":{}},"
    "\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0\"},"
    "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"},"
    "\"resources\":{\"devices\":[{\"allow\":false}],"
    "\"memory\":{\"limit\":67108864,\"reservation\":33554432,\"swap\":134217728,\"swappiness\":10},"
    "\"cpu\":{\"shares\":100,\"quota\":150000,\"period\":100000,\"cpus\":\"0\"},"
    "\"pids\":{\"limit\":11},\"blockIO\":{\"weight\":20},"
    "\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":1}],\"network\":{\"classID\":3},"
    "\"rdma\":{\"mlx\":{\"hcaHandles\":1}},\"unified\":{\"memory.high\":\"1\"}}}}";

#define MINIMAL(more)                                                                              \
    "{\"ociVersion\":\"1.0.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"x\"],"      \
    "\"cwd\":\"/\"},\"root\":{\"path\":\"rootfs\"},\"linux\":{\"namespaces\":[{\"type\":\"pid\"}," \
    "{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"network\"}]}" more "}"

struct halves {
    struct spec *spec, *jail, *guest;
    struct vm_config *config;
    struct strings notes;
};

static void halves_clear(struct halves *halves)
{
    spec_free(halves->spec);
    spec_free(halves->jail);
    spec_free(halves->guest);
    vm_config_free(halves->config);
    strings_clear(&halves->notes);
}

static struct vm_source sources[] = {
    { .kind = VM_SOURCE_MISSING },
    { .kind = VM_SOURCE_DIRECTORY, .path = (char *)"/srv" },
    { .kind = VM_SOURCE_FILE,
      .path = (char *)"/c/hosts",
      .content = (char *)"::1 x\n",
      .mode = 0644 },
    { .kind = VM_SOURCE_FILE, .path = (char *)"/c/file" },
    { .kind = VM_SOURCE_DIRECTORY, .path = (char *)"/c/shm" },
};

static const struct vm_host kvm_host = {
    .backend = "kvm",
    .vmm = "/lib/berth-vmm",
    .file_server = "/lib/berth-fs",
    .agent = "/lib/berth-agent",
    .kernel = "/k/vmlinux",
    .modules = "/k/modules.cpio",
    .run_path = "/run/berth/id/vm",
    .bundle_path = "/bundle",
    .has_tap_device = true,
    .sources = sources,
};

static int split_on(const struct vm_host *host, const char *json, struct halves *ret_halves,
                    struct error *err)
{
    struct halves halves = { 0 };
    auto_free char *config = NULL;
    int r;

    assert_int_equal(spec_decode(json, strlen(json), &halves.spec, err), 0);
    r = vm_split(halves.spec, host, &halves.jail, &config, &halves.notes, err);
    if (r < 0) {
        halves_clear(&halves);
        return r;
    }
    assert_int_equal(vm_config_decode(config, strlen(config), &halves.config, err), 0);
    assert_int_equal(
        spec_decode(halves.config->guest, strlen(halves.config->guest), &halves.guest, err), 0);
    *ret_halves = halves;
    return 0;
}

static int split(const char *json, struct halves *ret_halves, struct error *err)
{
    return split_on(&kvm_host, json, ret_halves, err);
}

static void every_member_is_in_the_half_that_keeps_it(void **state)
{
    AUTO_CLEAR(halves) struct halves halves = { 0 };
    struct error err = { 0 };
    const struct spec *jail, *guest;
    const struct cgroup_resources *outer, *inner;

    (void)state;
    assert_int_equal(split(full, &halves, &err), 0);
    jail = halves.jail;
    guest = halves.guest;
    outer = jail->linux_.resources;
    inner = guest->linux_.resources;

    /* the guest's */
    assert_string_equal(guest->hostname, "box");
    assert_null(jail->hostname);
    assert_string_equal(guest->domainname, "dom");
    assert_null(jail->domainname);
    assert_string_equal(guest->process->args.items[0], "sh");
    assert_string_equal(guest->process->env.items[0], "A=b");
    assert_string_equal(guest->process->cwd, "/w");
    assert_int_equal(guest->process->user.uid, 7);
    assert_int_equal(guest->process->user.gid, 8);
    assert_int_equal(guest->process->user.umask, 18);
    assert_int_equal(guest->process->user.additional_gids.count, 1);
    assert_int_equal(guest->process->capabilities->bounding.count, 1);
    assert_int_equal(guest->process->rlimits.items[0].soft, 5);
    assert_true(guest->process->no_new_privileges);
    assert_true(guest->root->readonly);
    assert_string_equal(guest->root->path, "/rootfs");
    assert_int_equal(guest->hooks.start_container.count, 1);
    assert_int_equal(guest->linux_.sysctl.count, 1);
    assert_int_equal(jail->linux_.sysctl.count, 0);
    assert_string_equal(guest->linux_.rootfs_propagation, "slave");
    assert_int_equal(guest->linux_.masked_paths.count, 1);
    assert_int_equal(guest->linux_.readonly_paths.count, 1);
    assert_int_equal(guest->linux_.time_offsets.count, 1);
    assert_non_null(guest->linux_.personality);
    assert_non_null(guest->linux_.seccomp);
    assert_null(jail->linux_.seccomp);
    assert_int_equal(inner->devices.count, 1);
    assert_int_equal(inner->memory.limit, 64 << 20);
    assert_int_equal(inner->memory.reservation, 32 << 20);
    assert_int_equal(inner->pids.limit, 11);
    assert_false(outer->pids.has_limit);
    assert_string_equal(guest->annotations.items[0].key, "run.oci.keep_original_groups");
    assert_int_equal(guest->annotations.count, 1);

    /* the jail's */
    assert_int_equal(jail->hooks.prestart.count, 1);
    assert_int_equal(jail->hooks.create_runtime.count, 1);
    assert_int_equal(jail->hooks.create_container.count, 1);
    assert_int_equal(jail->hooks.start_container.count, 0);
    assert_int_equal(jail->hooks.poststart.count, 1);
    assert_int_equal(jail->hooks.poststop.count, 1);
    assert_int_equal(guest->hooks.poststop.count, 0);
    assert_string_equal(jail->linux_.cgroups_path, "/a/b");
    assert_string_equal(guest->linux_.cgroups_path, "/container");
    assert_non_null(jail->linux_.intel_rdt);
    assert_null(guest->linux_.intel_rdt);
    assert_int_equal(jail->linux_.net_devices.count, 1);
    assert_int_equal(guest->linux_.net_devices.count, 0);
    assert_string_equal(guest->linux_.devices.items[0].path, "/dev/kmsg");
    assert_non_null(jail->linux_.memory_policy);
    assert_null(guest->linux_.memory_policy);
    assert_non_null(jail->process->scheduler);
    assert_null(guest->process->scheduler);
    assert_non_null(jail->process->io_priority);
    assert_null(guest->process->io_priority);
    assert_int_equal(jail->process->oom_score_adj, 100);
    assert_false(guest->process->has_oom_score_adj);
    assert_int_equal(outer->cpu.shares, 100);
    assert_false(inner->cpu.has_shares);
    assert_int_equal(outer->cpu.quota, 150000);
    assert_string_equal(outer->cpu.cpus, "0");
    assert_int_equal(outer->block_io.weight, 20);
    assert_int_equal(outer->hugepage_limits.count, 1);
    assert_true(outer->network.has_class_id);
    assert_int_equal(outer->rdma.count, 1);
    assert_int_equal(outer->unified.count, 1);
    assert_int_equal(inner->unified.count, 0);
    assert_string_equal(string_map_get(&jail->annotations, "user"), "x");

    assert_string_equal(string_map_get(&jail->annotations, VM_ANNOTATION_BACKEND), "kvm");
    assert_string_equal(string_map_get(&jail->annotations, VM_ANNOTATION_REASON), "");
    assert_string_equal(string_map_get(&jail->annotations, VM_ANNOTATION_KERNEL), "/k/vmlinux");
    assert_string_equal(string_map_get(&jail->annotations, VM_ANNOTATION_MEMORY), "167772160");
    assert_string_equal(string_map_get(&jail->annotations, VM_ANNOTATION_CPUS), "2");

    /* both: the terminal goes through */
    assert_true(jail->process->terminal);
    assert_true(guest->process->terminal);
    assert_int_equal(jail->process->console_size->width, 80);

    /* nobody's */
    assert_null(guest->process->apparmor_profile);
    assert_null(guest->process->selinux_label);
    assert_null(guest->linux_.mount_label);
    assert_null(jail->process->apparmor_profile);
    assert_int_equal(halves.notes.count, 3);
}

static void the_jail_runs_nothing_but_the_machine(void **state)
{
    AUTO_CLEAR(halves) struct halves halves = { 0 };
    struct error err = { 0 };
    const struct spec *jail;

    (void)state;
    assert_int_equal(split(full, &halves, &err), 0);
    jail = halves.jail;
    assert_int_equal(spec_check(jail, &err), 0);
    assert_string_equal(jail->process->args.items[0], "/vm/berth-vmm");
    assert_int_equal(jail->process->args.count, 1);
    assert_int_equal(jail->process->env.count, 0);
    assert_true(jail->process->no_new_privileges);
    assert_true(jail->root->readonly);
    assert_string_equal(jail->root->path, "/run/berth/id/vm/root");
    assert_string_equal(spec_find_namespace(jail, "network")->path, "/var/run/netns/n");
    assert_null(spec_find_namespace(jail, "pid")->path);
    assert_int_equal(jail->linux_.devices.count, 2);
    assert_false(jail->linux_.resources->devices.items[0].allow);
    for (size_t i = 0; i < jail->process->capabilities->bounding.count; i++)
        assert_string_not_equal(jail->process->capabilities->bounding.items[i], "CAP_SYS_ADMIN");
}

static void the_guest_sees_shares_and_copies_in_place_of_the_hosts_files(void **state)
{
    AUTO_CLEAR(halves) struct halves halves = { 0 };
    struct error err = { 0 };
    const struct spec_mount *mounts;
    ssize_t place;

    (void)state;
    assert_int_equal(split(full, &halves, &err), 0);
    mounts = halves.guest->mounts.items;
    assert_string_equal(mounts[0].type, "proc");
    assert_string_equal(mounts[1].source, "/shares/share1");
    assert_string_equal(mounts[2].source, "/files/2");
    assert_string_equal(mounts[3].source, "/shares/files/3");
    assert_string_equal(mounts[4].type, "tmpfs");
    assert_int_equal(halves.config->files.count, 1);
    assert_string_equal(halves.config->files.items[0].content, "::1 x\n");
    assert_int_equal(halves.config->shares.count, 3);
    assert_string_equal(halves.config->root.share, "root");
    place = spec_find_mount(halves.jail, "/share/share1");
    assert_true(place >= 0);
    assert_string_equal(halves.jail->mounts.items[place].source, "/srv");
    assert_true(strings_contains(&halves.jail->mounts.items[place].options, "ro"));
    assert_true(spec_find_mount(halves.jail, "/share/files/3") >= 0);
    assert_true(spec_find_mount(halves.jail, "/share/files/2") < 0);
    place = spec_find_mount(halves.jail, "/share/root");
    assert_string_equal(halves.jail->mounts.items[place].source, "/bundle/tree");
    for (size_t i = 0; i < halves.config->shares.count; i++)
        assert_int_equal(halves.config->shares.items[i].is_read_only,
                         strcmp(halves.config->shares.items[i].tag, "share1") == 0);
}

/* What stands on the kernel's command line for a spec of @capabilities and @mounts. */
static char *cmdline_of(const char *process_more, const char *more)
{
    auto_free char *json = xasprintf(
        "{\"ociVersion\":\"1.0.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"x\"],"
        "\"cwd\":\"/\"%s},\"root\":{\"path\":\"rootfs\"},\"linux\":{\"namespaces\":["
        "{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},"
        "{\"type\":\"network\"}]}%s}",
        process_more, more);
    AUTO_CLEAR(halves) struct halves halves = { 0 };

    assert_int_equal(split_on(&kvm_host, json, &halves, NULL), 0);
    return halves.config->cmdline != NULL ? xstrdup(halves.config->cmdline) : xstrdup("");
}

#define ORDINARY ",\"capabilities\":{\"bounding\":[\"CAP_KILL\"]}"

static void a_guest_has_files_for_tracing_where_they_can_be_reached(void **state)
{
    static const struct {
        const char *process, *more, *cmdline;
    } rows[] = {
        { ORDINARY, "", MACHINE_CMDLINE_UNTRACED },
        { ORDINARY, ",\"vm\":{\"kernel\":{\"path\":\"/k\",\"parameters\":[\"a\",\"b=c\"]}}",
          MACHINE_CMDLINE_UNTRACED " a b=c" },
        { ",\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_SYS_ADMIN\"]}", "", "" },
        { "", "", "" },
        { ORDINARY,
          ",\"mounts\":[{\"destination\":\"/t\",\"type\":\"tracefs\",\"source\":\"tracefs\"}]",
          "" },
        { ORDINARY,
          ",\"mounts\":[{\"destination\":\"/t\",\"type\":\"debugfs\",\"source\":\"debugfs\"}]",
          "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *cmdline = cmdline_of(rows[i].process, rows[i].more);

        assert_string_equal(cmdline, rows[i].cmdline);
    }
}

static void memory_of_the_cgroup_is_the_guests_and_the_overhead(void **state)
{
    AUTO_CLEAR(halves) struct halves halves = { 0 };
    struct error err = { 0 };
    const struct cgroup_memory *memory;
    uint64_t guest;

    (void)state;
    assert_int_equal(split(full, &halves, &err), 0);
    guest = halves.config->memory_bytes;
    memory = &halves.jail->linux_.resources->memory;
    assert_int_equal(guest, (64ull << 20) + VM_MEMORY_GUEST);
    assert_int_equal(memory->limit, guest + VM_OVERHEAD_KVM + 3 * VM_OVERHEAD_SHARE);
    assert_int_equal(memory->swap, memory->limit + (64 << 20));
    assert_int_equal(memory->swappiness, 10);
    assert_int_equal(halves.config->cpus, 2);
}

static void an_image_of_the_root_needs_no_share(void **state)
{
    static const char json[] = MINIMAL(
        ",\"mounts\":[{\"destination\":\"/\",\"type\":\"erofs\",\"source\":\"/e/root.erofs\","
        "\"options\":[\"disk=/c/disk.img\"]},{\"destination\":\"/proc\",\"type\":\"proc\"}]");
    AUTO_CLEAR(halves) struct halves halves = { 0 };
    struct error err = { 0 };
    ssize_t place;

    (void)state;
    assert_int_equal(split(json, &halves, &err), 0);
    assert_int_equal(halves.config->shares.count, 0);
    assert_string_equal(halves.config->root.type, "erofs");
    assert_string_equal(halves.config->root.upper, "disk");
    assert_int_equal(halves.guest->mounts.count, 1);
    place = spec_find_mount(halves.jail, halves.config->root.path);
    assert_string_equal(halves.jail->mounts.items[place].source, "/e/root.erofs");
    place = spec_find_mount(halves.jail, halves.config->root.disk);
    assert_string_equal(halves.jail->mounts.items[place].source, "/c/disk.img");
}

static void an_emulator_gets_the_hosts_programs_and_no_kvm(void **state)
{
    char *folders[] = { (char *)"/usr", (char *)"/lib64", NULL };
    const struct strings list = { folders, 2 };
    struct vm_host host = kvm_host;
    AUTO_CLEAR(halves) struct halves halves = { 0 };
    struct error err = { 0 };

    (void)state;
    host.backend = "qemu";
    host.has_tap_device = false;
    host.emulator_folders = &list;
    assert_int_equal(split_on(&host, full, &halves, &err), 0);
    assert_int_equal(halves.jail->linux_.devices.count, 0);
    assert_true(spec_find_mount(halves.jail, "/usr") >= 0);
    assert_true(spec_find_mount(halves.jail, "/lib64") >= 0);
}

static void what_ties_to_this_machines_kernel_is_refused_by_name(void **state)
{
#define PROCESS "\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"x\"],\"cwd\":\"/\""
#define BEGIN   "{\"ociVersion\":\"1.0.0\"," PROCESS "},\"root\":{\"path\":\"r\"},"
#define OWN                                                                                        \
    "{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},"               \
    "{\"type\":\"network\"}"
#define LINUX(more) BEGIN "\"linux\":{\"namespaces\":[" OWN "]," more "}}"
#define MOUNT(type, source, options)                                                               \
    MINIMAL(",\"mounts\":[{\"destination\":\"/x\",\"type\":\"" type "\",\"source\":\"" source      \
            "\",\"options\":[" options "]}]")
    static const struct {
        const char *json, *message;
    } rows[] = {
        { BEGIN "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
          "linux.namespaces: 'pid' is missing" },
        { BEGIN "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"ipc\"},"
                "{\"type\":\"uts\"},{\"type\":\"mount\"}]}}",
          "this machine's network (--network host)" },
        { BEGIN "\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"/p\"},{\"type\":\"ipc\"},"
                "{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"network\"}]}}",
          "linux.namespaces[0].path: a microVM cannot join the pid namespace" },
        { BEGIN "\"linux\":{\"namespaces\":[" OWN ",{\"type\":\"user\"}],\"uidMappings\":[{"
                "\"containerID\":0,\"hostID\":1,\"size\":1}],\"gidMappings\":[{\"containerID\":0,"
                "\"hostID\":1,\"size\":1}]}}",
          "linux.namespaces[5]: a microVM takes no user namespace" },
        { LINUX("\"devices\":[{\"type\":\"c\",\"path\":\"/dev/x\",\"major\":1,\"minor\":2}]"),
          "linux.devices[0]: '/dev/x' is a device of this machine" },
        { LINUX("\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/s\"}"),
          "linux.seccomp.listenerPath: " },
        { LINUX("\"resources\":{\"memory\":{\"disableOOMKiller\":true}}"),
          "linux.resources.memory.disableOOMKiller: " },
        { "{\"ociVersion\":\"1.0.0\"," PROCESS ",\"execCPUAffinity\":{\"initial\":\"0\"}},"
          "\"root\":{\"path\":\"r\"},\"linux\":{\"namespaces\":[" OWN "]}}",
          "process.execCPUAffinity: " },
        { MINIMAL(",\"vm\":{\"hypervisor\":{\"path\":\"/q\"}}"), "vm.hypervisor: " },
        { MINIMAL(",\"vm\":{\"image\":{\"path\":\"/q\",\"format\":\"raw\"}}"), "vm.image: " },
        { MINIMAL(",\"annotations\":{\"run.berth.vm.memory\":\"1m\"}"),
          "annotation run.berth.vm.memory: '1m' is too little" },
        { BEGIN "\"annotations\":{\"run.berth.vm.memory\":\"1t\"},\"linux\":{\"namespaces\":[" OWN
                "],\"resources\":{\"memory\":{\"limit\":67108864}}}}",
          "annotation run.berth.vm.memory: '1t' is more than linux.resources.memory.limit" },
        { MINIMAL(",\"vm\":{\"hwConfig\":{\"memory\":1}}"), "vm.hwConfig.memory: 1 bytes" },
        { MINIMAL(",\"vm\":{\"hwConfig\":{\"vcpus\":65}}"), "vm.hwConfig.vcpus: 65" },
        { MINIMAL(",\"annotations\":{\"run.berth.vm.cpus\":\"0\"}"),
          "annotation run.berth.vm.cpus: " },
        { MINIMAL(",\"annotations\":{\"run.berth.vm.console\":\"x\"}"),
          "annotation run.berth.vm.console: 'x'" },
        { MINIMAL(",\"annotations\":{\"run.berth.vm.warm\":\"1\"}"),
          "annotation run.berth.vm.warm: '1': give true or false" },
        { MOUNT("bind", "/missing", "\"bind\""), "mounts[0].source: '/missing' does not exist" },
        { MOUNT("bind", "/socket", "\"bind\""),
          "mounts[0].source: '/socket' is neither a directory nor a file" },
        { MOUNT("bind", "/sys/fs", "\"bind\""),
          "mounts[0].source: '/sys/fs' shows this machine's kernel" },
        { MOUNT("bind", "/sysroot", "\"bind\",\"idmap\""), "mounts[0]: '/x' is id-mapped" },
        { MINIMAL(",\"mounts\":[{\"destination\":\"/\",\"type\":\"tmpfs\"}]"),
          "mounts[0].destination: only an overlay or an EROFS image" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_source source = { .kind = VM_SOURCE_MISSING, .path = (char *)"/missing" };
        struct vm_host host = kvm_host;
        AUTO_CLEAR(halves) struct halves halves = { 0 };
        struct error err = { 0 };

        host.sources = &source;
        if (strstr(rows[i].json, "/socket") != NULL)
            source = (struct vm_source){ .kind = VM_SOURCE_OTHER, .path = (char *)"/socket" };
        if (strstr(rows[i].json, "/sys") != NULL)
            source = (struct vm_source){ .kind = VM_SOURCE_DIRECTORY, .path = (char *)"/sys/fs" };
        if (split_on(&host, rows[i].json, &halves, &err) == 0)
            fail_msg("row %zu is not refused", i);
        if (strstr(err.message, rows[i].message) == NULL)
            fail_msg("row %zu: %s", i, err.message);
    }
}

static void the_user_namespace_of_an_ordinary_user_is_the_jails(void **state)
{
    static const char json[] =
        BEGIN "\"linux\":{\"namespaces\":[" OWN ",{\"type\":\"user\"}],\"uidMappings\":[{"
              "\"containerID\":0,\"hostID\":1000,\"size\":1}],\"gidMappings\":[{"
              "\"containerID\":0,\"hostID\":1000,\"size\":1}]}}";
    AUTO_CLEAR(halves) struct halves halves = { 0 };
    struct vm_host host = kvm_host;
    struct error err = { 0 };

    (void)state;
    host.is_rootless = true;
    assert_int_equal(split_on(&host, json, &halves, &err), 0);
    assert_non_null(spec_find_namespace(halves.jail, "user"));
    assert_int_equal(halves.jail->linux_.uid_mappings.items[0].host_id, 1000);
    assert_int_equal(halves.jail->linux_.gid_mappings.count, 1);
    assert_null(spec_find_namespace(halves.guest, "user"));
    assert_int_equal(halves.guest->linux_.uid_mappings.count, 0);
}

static void the_hardware_of_the_bundle_comes_before_annotations(void **state)
{
    static const char json[] =
        MINIMAL(",\"annotations\":{\"run.berth.vm.memory\":\"1t\",\"run.berth.vm.cpus\":\"3\"},"
                "\"vm\":{\"hwConfig\":{\"memory\":268435456,\"vcpus\":2}}");
    AUTO_CLEAR(halves) struct halves halves = { 0 };
    AUTO_CLEAR(halves) struct halves less = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(split_on(&kvm_host, json, &halves, &err), 0);
    assert_int_equal(halves.config->memory_bytes, 268435456);
    assert_int_equal(halves.config->cpus, 2);
    /* What an image could bring raises nothing; less than the limit allows is fine. */
    assert_int_equal(split_on(&kvm_host,
                              BEGIN "\"annotations\":{\"run.berth.vm.memory\":\"150m\"},"
                                    "\"linux\":{\"namespaces\":[" OWN
                                    "],\"resources\":{\"memory\":{\"limit\":67108864}}}}",
                              &less, &err),
                     0);
    assert_int_equal(less.config->memory_bytes, 150 << 20);
}

static void more_shares_than_the_machine_takes_are_refused(void **state)
{
    struct vm_source many[VM_SHARES_MAX + 1];
    struct vm_host host = kvm_host;
    AUTO_CLEAR(halves) struct halves halves = { 0 };
    AUTO_CLEAR(text) struct text json = { 0 };
    struct error err = { 0 };

    (void)state;
    text_add(&json, "{\"ociVersion\":\"1.0.0\"," PROCESS "},\"root\":{\"path\":\"r\"},"
                    "\"linux\":{\"namespaces\":[" OWN "]},\"mounts\":[");
    for (size_t i = 0; i < VM_SHARES_MAX; i++) {
        many[i] = (struct vm_source){ .kind = VM_SOURCE_DIRECTORY, .path = (char *)"/v" };
        text_addf(&json, "%s{\"destination\":\"/%zu\",\"type\":\"bind\",\"source\":\"/v\"}",
                  i > 0 ? "," : "", i);
    }
    text_add(&json, "]}");
    host.sources = many;
    /* The root is one, too. */
    assert_int_equal(split_on(&host, json.data, &halves, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.message, "at most 8 directories"));
}

static void an_exec_is_told_to_the_machine(void **state)
{
    struct spec_box box = { 24, 80 };
    char *arguments[] = { (char *)"ls", (char *)"-l", NULL };
    struct spec_process process = {
        .terminal = true,
        .console_size = &box,
        .user = { .uid = 5 },
        .args = { arguments, 2 },
        .cwd = (char *)"/tmp",
    };
    AUTO(spec_process) struct spec_process *outer = vm_split_exec(&process);

    (void)state;
    assert_string_equal(outer->args.items[0], "/vm/berth-vmm");
    assert_string_equal(outer->args.items[1], "exec");
    assert_int_equal(outer->user.uid, 0);
    assert_int_equal(outer->capabilities->bounding.count, 0);
    assert_true(outer->terminal);
    assert_int_equal(outer->console_size->width, 80);
    assert_int_equal(outer->env.count, 1);
    assert_non_null(strstr(strings_variable(&outer->env, "BERTH_VM_EXEC"), "[\"ls\",\"-l\"]"));
}

static void a_change_of_limits_is_split_and_no_guest_gets_more_than_at_its_start(void **state)
{
    static const int64_t MIB = 1 << 20, OVER = VM_OVERHEAD_KVM;
    static const struct {
        uint64_t machine;      /* MiB, as it was started */
        int64_t first, before; /* MiB: the guest's limit then; the guest's memory now */
        struct cgroup_memory given;
        int64_t outer, swap; /* of the jail, without the overhead */
        uint64_t old_take, take;
        const char *inner, *sentence;
    } rows[] = {
        { 256,
          160,
          256,
          { .has_limit = true, .limit = 64 << 20 },
          160,
          0,
          0,
          96,
          "{\"memory\":{\"limit\":67108864}}",
          NULL },
        { 256,
          160,
          160,
          { .has_limit = true, .limit = 160 << 20 },
          256,
          0,
          96,
          0,
          "{\"memory\":{\"limit\":167772160}}",
          NULL },
        { 256,
          160,
          160,
          { .has_limit = true, .limit = -1 },
          256,
          0,
          96,
          0,
          "{\"memory\":{\"limit\":-1}}",
          NULL },
        { 256,
          160,
          256,
          { .has_limit = true, .limit = 64 << 20, .has_swap = true, .swap = 100 << 20 },
          160,
          196,
          0,
          96,
          "{\"memory\":{\"limit\":67108864}}",
          NULL },
        /* The size was asked for. */
        { 512,
          160,
          512,
          { .has_limit = true, .limit = 64 << 20 },
          512,
          0,
          0,
          0,
          "{\"memory\":{\"limit\":67108864}}",
          NULL },
        { 256,
          160,
          256,
          { .has_limit = true, .limit = 161 << 20 },
          0,
          0,
          0,
          0,
          NULL,
          "linux.resources.memory.limit: 168820736 is too much for the microVM, which was started "
          "with 256 MiB of memory, 96 MiB of them for its kernel: stop it first" },
        { 256,
          160,
          256,
          { .has_swap = true, .swap = 5 },
          0,
          0,
          0,
          0,
          NULL,
          "linux.resources.memory.swap: of a microVM that runs it can be changed only together "
          "with memory.limit" },
        { 256, 160, 256, { 0 }, 0, 0, 0, 0, NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_config config = { .memory_bytes = rows[i].machine << 20, .backend = "kvm" };
        struct cgroup_resources first = { .memory = { .has_limit = true,
                                                      .limit = rows[i].first * MIB } };
        struct cgroup_resources jail = { .memory = { .has_limit = true,
                                                     .limit = rows[i].before * MIB + OVER } };
        struct cgroup_resources given = { .memory = rows[i].given,
                                          .cpu = { .has_shares = true, .shares = 5 } };
        AUTO_CLEAR(isolation_update) struct isolation_update update = { 0 };
        struct error err = { 0 };
        int r = vm_update_plan(&config, &first, &jail, &given, &update, &err);

        print_message("row %zu: %s\n", i, err.message);
        assert_string_equal(err.message, rows[i].sentence != NULL ? rows[i].sentence : "");
        assert_true(rows[i].sentence != NULL ? r < 0 : r == 0);
        if (r < 0)
            continue;
        assert_int_equal(update.outer.cpu.shares, 5);
        assert_int_equal(update.outer.memory.has_limit, rows[i].outer > 0);
        assert_int_equal(update.outer.memory.limit,
                         rows[i].outer > 0 ? rows[i].outer * MIB + OVER : 0);
        assert_int_equal(update.outer.memory.swap,
                         rows[i].swap > 0 ? rows[i].swap * MIB + OVER : 0);
        assert_int_equal(update.old_take_bytes, rows[i].old_take << 20);
        assert_int_equal(update.take_bytes, rows[i].take << 20);
        assert_int_equal(update.inner != NULL, rows[i].inner != NULL);
        if (update.inner != NULL)
            assert_string_equal(update.inner, rows[i].inner);
    }
}

static void memory_and_cpus_follow_options_before_limits(void **state)
{
    static const struct {
        uint64_t option, result;
        int64_t limit;
    } rows[] = {
        { 0, VM_MEMORY_DEFAULT, 0 },
        { 0, VM_MEMORY_DEFAULT, -1 },
        { 256u << 20, 256u << 20, 1 << 30 },
        { 0, VM_MEMORY_MIN, 6 << 20 },
        { 0, (100u << 20) + VM_MEMORY_GUEST, (99 << 20) + 1 },
        { (200u << 20) + 1, 202u << 20, 0 },
    };
    struct cgroup_resources cpus = { .cpu = { .has_quota = true, .quota = 150001 } };
    struct vm_options two = { .cpus = 2 }, none = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_options options = { .memory_bytes = rows[i].option };
        struct cgroup_resources resources = {
            .memory = { .has_limit = rows[i].limit != 0, .limit = rows[i].limit },
        };

        if (vm_memory_plan(&options, &resources) != rows[i].result)
            fail_msg("row %zu: %llu", i, (unsigned long long)vm_memory_plan(&options, &resources));
    }
    assert_int_equal(vm_cpus_plan(&none, NULL), 1);
    assert_int_equal(vm_cpus_plan(&none, &cpus), 2);
    cpus.cpu.quota = 1000;
    assert_int_equal(vm_cpus_plan(&none, &cpus), 1);
    assert_int_equal(vm_cpus_plan(&two, &cpus), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_is_in_the_half_that_keeps_it),
        cmocka_unit_test(the_jail_runs_nothing_but_the_machine),
        cmocka_unit_test(the_guest_sees_shares_and_copies_in_place_of_the_hosts_files),
        cmocka_unit_test(a_guest_has_files_for_tracing_where_they_can_be_reached),
        cmocka_unit_test(memory_of_the_cgroup_is_the_guests_and_the_overhead),
        cmocka_unit_test(an_image_of_the_root_needs_no_share),
        cmocka_unit_test(an_emulator_gets_the_hosts_programs_and_no_kvm),
        cmocka_unit_test(what_ties_to_this_machines_kernel_is_refused_by_name),
        cmocka_unit_test(the_user_namespace_of_an_ordinary_user_is_the_jails),
        cmocka_unit_test(the_hardware_of_the_bundle_comes_before_annotations),
        cmocka_unit_test(more_shares_than_the_machine_takes_are_refused),
        cmocka_unit_test(an_exec_is_told_to_the_machine),
        cmocka_unit_test(a_change_of_limits_is_split_and_no_guest_gets_more_than_at_its_start),
        cmocka_unit_test(memory_and_cpus_follow_options_before_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
