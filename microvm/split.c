#include "microvm/split.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/text.h"
#include "microvm/machine.h"
#include "microvm/vm_config.h"

/* What goes where.
 *
 * The jail: everything that competes with the rest of this machine or is done on it. Its cgroup
 * with CPU, block devices and the memory of the whole guest; network devices; hooks; priorities.
 *
 * The guest: everything that the program sees. The process, its root, mounts, capabilities,
 * seccomp, sysctls, time, limits on its own memory and number of processes.
 *
 * Refused: what ties a container to this machine's kernel, such as its devices and namespaces.
 *
 * Both halves begin as one copy of the spec, the guest's, out of which the jail's members are
 * moved; so no member is in neither half unless it is dropped here by name. */

#define SHARE_ROOT  "root"
#define SHARE_FILES "files"

/* Moves a member; the source is as if it was never given. */
#define MOVE(to, from)                                                                             \
    do {                                                                                           \
        (to) = (from);                                                                             \
        memset(&(from), 0, sizeof(from));                                                          \
    } while (0)

struct split {
    const struct spec *spec;
    const struct vm_host *host;
    struct vm_options options;
    struct spec *guest, *jail;
    struct vm_config *config;
    struct strings *notes;
};

/* --- options ---------------------------------------------------------------------------------- */

/* An engine may hand on annotations that an image brings (podman does), and an image must not raise
 * a limit that its user has set. */
static int check_limited(const struct spec *spec, const char *text, uint64_t memory_bytes,
                         struct error *err)
{
    const struct cgroup_resources *resources = spec->linux_.resources;
    const struct vm_options none = { 0 };

    if (resources == NULL || !resources->memory.has_limit || resources->memory.limit <= 0 ||
        memory_bytes <= vm_memory_plan(&none, resources))
        return 0;
    return error_set(err, EINVAL,
                     "annotation " VM_ANNOTATION_MEMORY
                     ": '%s' is more than linux.resources.memory.limit and %llu MiB for the "
                     "guest's kernel: give the machine more by vm.hwConfig.memory, which no image "
                     "can set",
                     text, VM_MEMORY_GUEST >> 20);
}

static int take_hardware(const struct spec_vm_hardware *hardware, struct vm_options *options,
                         struct error *err)
{
    if (hardware->has_memory && hardware->memory < VM_MEMORY_MIN)
        return error_set(err, EINVAL,
                         "vm.hwConfig.memory: %llu bytes are too little: a guest needs at least "
                         "128m",
                         (unsigned long long)hardware->memory);
    if (hardware->has_vcpus && (hardware->vcpus == 0 || hardware->vcpus > VM_CPUS_MAX))
        return error_set(err, EINVAL, "vm.hwConfig.vcpus: %u is not between 1 and %u",
                         hardware->vcpus, VM_CPUS_MAX);
    if (hardware->has_memory)
        options->memory_bytes = hardware->memory;
    if (hardware->has_vcpus)
        options->cpus = hardware->vcpus;
    return 0;
}

int vm_options_parse(const struct spec *spec, struct vm_options *ret_options, struct error *err)
{
    const char *memory = string_map_get(&spec->annotations, VM_ANNOTATION_MEMORY);
    const char *cpus = string_map_get(&spec->annotations, VM_ANNOTATION_CPUS);
    const char *warm = string_map_get(&spec->annotations, VM_ANNOTATION_WARM);
    struct vm_options options = {
        .kernel = string_map_get(&spec->annotations, VM_ANNOTATION_KERNEL),
        .console = string_map_get(&spec->annotations, VM_ANNOTATION_CONSOLE),
    };
    uint64_t number = 0;
    int r = 0;

    if (memory != NULL)
        r = text_parse_bytes(memory, "annotation " VM_ANNOTATION_MEMORY, &options.memory_bytes,
                             err);
    if (r == 0 && cpus != NULL)
        r = text_parse_u64(cpus, "annotation " VM_ANNOTATION_CPUS, VM_CPUS_MAX, &number, err);
    if (r < 0)
        return r;
    options.cpus = (uint32_t)number;
    if (memory != NULL && options.memory_bytes < VM_MEMORY_MIN)
        return error_set(err, EINVAL,
                         "annotation " VM_ANNOTATION_MEMORY ": '%s' is too little: a guest needs "
                         "at least 128m",
                         memory);
    if (cpus != NULL && options.cpus == 0)
        return error_set(err, EINVAL, "annotation " VM_ANNOTATION_CPUS ": a guest needs a CPU");
    if (spec->vm != NULL)
        r = take_hardware(&spec->vm->hardware, &options, err);
    if (r == 0 && memory != NULL && (spec->vm == NULL || !spec->vm->hardware.has_memory))
        r = check_limited(spec, memory, options.memory_bytes, err);
    if (r < 0)
        return r;
    if (options.console != NULL && strcmp(options.console, "none") != 0 &&
        strcmp(options.console, "log") != 0)
        return error_set(err, EINVAL,
                         "annotation " VM_ANNOTATION_CONSOLE ": '%s': give none or log",
                         options.console);
    if (warm != NULL && strcmp(warm, "true") != 0 && strcmp(warm, "false") != 0)
        return error_set(err, EINVAL, "annotation " VM_ANNOTATION_WARM ": '%s': give true or false",
                         warm);
    options.is_warm = text_equal(warm, "true");
    *ret_options = options;
    return 0;
}

uint64_t vm_memory_plan(const struct vm_options *options, const struct cgroup_resources *resources)
{
    uint64_t bytes = VM_MEMORY_DEFAULT;

    if (options->memory_bytes > 0)
        bytes = options->memory_bytes;
    else if (resources != NULL && resources->memory.has_limit && resources->memory.limit > 0)
        bytes = (uint64_t)resources->memory.limit + VM_MEMORY_GUEST;
    if (bytes < VM_MEMORY_MIN)
        bytes = VM_MEMORY_MIN;
    return (bytes + VM_MEMORY_UNIT - 1) / VM_MEMORY_UNIT * VM_MEMORY_UNIT;
}

uint64_t vm_memory_limit(uint64_t memory_bytes, const char *backend, size_t share_count)
{
    uint64_t overhead = strcmp(backend, "kvm") == 0 ? VM_OVERHEAD_KVM : VM_OVERHEAD_EMULATED;

    return memory_bytes + overhead + share_count * VM_OVERHEAD_SHARE;
}

uint32_t vm_cpus_plan(const struct vm_options *options, const struct cgroup_resources *resources)
{
    const struct cgroup_cpu *cpu = resources != NULL ? &resources->cpu : NULL;
    uint64_t count = 1;

    if (options->cpus > 0)
        return options->cpus;
    if (cpu != NULL && cpu->has_quota && cpu->quota > 0) {
        uint64_t period = cpu->has_period && cpu->period > 0 ? cpu->period : 100000;

        count = ((uint64_t)cpu->quota + period - 1) / period;
    }
    return count > VM_CPUS_MAX ? VM_CPUS_MAX : (uint32_t)count;
}

/* --- what cannot be --------------------------------------------------------------------------- */

static int check_namespaces(const struct spec *spec, const struct vm_host *host, struct error *err)
{
    static const struct {
        const char *type, *whose; /* what the container would share with the host without it */
    } own[] = {
        { "pid", "process ids" }, { "ipc", "shared memory and queues" },
        { "uts", "host name" },   { "network", "network (--network host)" },
        { "mount", "mounts" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        if (spec_find_namespace(spec, own[i].type) == NULL)
            return error_set(err, EOPNOTSUPP,
                             "linux.namespaces: '%s' is missing: a microVM has a kernel of its own "
                             "and cannot use this machine's %s",
                             own[i].type, own[i].whose);
    }
    for (size_t i = 0; i < spec->linux_.namespaces.count; i++) {
        const struct spec_namespace *item = &spec->linux_.namespaces.items[i];

        if (strcmp(item->type, "user") == 0 && !host->is_rootless)
            return error_set(err, EOPNOTSUPP,
                             "linux.namespaces[%zu]: a microVM takes no user namespace: its kernel "
                             "is its own already",
                             i);
        if (item->path != NULL && strcmp(item->type, "network") != 0)
            return error_set(
                err, EOPNOTSUPP,
                "linux.namespaces[%zu].path: a microVM cannot join the %s namespace of "
                "another container: it has a kernel of its own",
                i, item->type);
    }
    return 0;
}

/* Each kernel has its own of these, so the guest's is meant as well. */
static bool is_of_each_kernel(const struct spec_device *device)
{
    return strcmp(device->path, "/dev/kmsg") == 0 && text_equal(device->type, "c") &&
           device->major == 1 && device->minor == 11;
}

static int check_devices(const struct spec_devices *devices, struct error *err)
{
    for (size_t i = 0; i < devices->count; i++) {
        if (!is_of_each_kernel(&devices->items[i]))
            return error_set(err, EOPNOTSUPP,
                             "linux.devices[%zu]: '%s' is a device of this machine, which a "
                             "microVM cannot use",
                             i, devices->items[i].path);
    }
    return 0;
}

static int check_members(const struct spec *spec, const struct vm_host *host, struct error *err)
{
    const struct spec_linux *linux_ = &spec->linux_;
    const struct cgroup_resources *resources = linux_->resources;
    int r;

    if (spec->process == NULL)
        return error_set(err, EINVAL, "process: is missing");
    if (linux_->seccomp != NULL && !text_is_empty(linux_->seccomp->listener_path))
        return error_set(err, EOPNOTSUPP,
                         "linux.seccomp.listenerPath: an agent of this machine cannot answer for "
                         "system calls of a microVM's kernel");
    if (spec->process->exec_cpu_affinity != NULL)
        return error_set(err, EOPNOTSUPP,
                         "process.execCPUAffinity: the CPUs of a microVM are its own");
    if (resources != NULL && resources->memory.disable_oom_killer)
        return error_set(err, EOPNOTSUPP,
                         "linux.resources.memory.disableOOMKiller: a microVM that is out of memory "
                         "would only stand still");
    if (spec->vm != NULL && spec->vm->hypervisor != NULL)
        return error_set(err, EOPNOTSUPP,
                         "vm.hypervisor: berth runs its own, and no other can be chosen");
    if (spec->vm != NULL && spec->vm->image != NULL)
        return error_set(err, EOPNOTSUPP, "vm.image: the guest's root is root.path");
    r = check_devices(&linux_->devices, err);
    return r < 0 ? r : check_namespaces(spec, host, err);
}

/* --- the two halves --------------------------------------------------------------------------- */

/* Annotations that are read where the program is started; all others where hooks and callers are.
 */
static bool is_guest_annotation(const char *key)
{
    static const char *const names[] = {
        "run.oci.keep_original_groups",
        "run.oci.seccomp_bpf_data",
        "run.oci.seccomp_fail_unknown_syscall",
        "run.oci.timens_offset",
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i], key) == 0)
            return true;
    }
    return false;
}

/* For who looks at the container from outside. */
static void describe_machine(const struct split *split)
{
    struct string_map *annotations = &split->jail->annotations;
    const struct vm_host *host = split->host;
    auto_free char *memory = xasprintf("%llu", (unsigned long long)split->config->memory_bytes);
    auto_free char *cpus = xasprintf("%u", split->config->cpus);

    string_map_set(annotations, VM_ANNOTATION_BACKEND, host->backend);
    string_map_set(annotations, VM_ANNOTATION_REASON, host->reason != NULL ? host->reason : "");
    string_map_set(annotations, VM_ANNOTATION_KERNEL,
                   host->kernel_name != NULL ? host->kernel_name : host->kernel);
    string_map_set(annotations, VM_ANNOTATION_MEMORY, memory);
    string_map_set(annotations, VM_ANNOTATION_CPUS, cpus);
}

static void split_annotations(struct split *split)
{
    struct string_map kept = { 0 };

    for (size_t i = 0; i < split->spec->annotations.count; i++) {
        const struct string_pair *pair = &split->spec->annotations.items[i];
        bool is_guests = is_guest_annotation(pair->key);

        string_map_set(is_guests ? &kept : &split->jail->annotations, pair->key, pair->value);
    }
    describe_machine(split);
    /* The program of a raw filter is borrowed from the old ones, so they must not go before. */
    if (split->guest->linux_.seccomp != NULL)
        split->guest->linux_.seccomp->raw_filter = NULL;
    string_map_clear(&split->guest->annotations);
    split->guest->annotations = kept;
}

static void add_rule(struct spec *jail, bool allow, const char *type, int64_t major, int64_t minor)
{
    (void)spec_add_device_rule(jail, allow, type, major, minor, "rwm");
}

#define MISC_MAJOR 10
#define KVM_MINOR  232
#define TUN_MINOR  200

static void add_devices(struct split *split)
{
    add_rule(split->jail, false, "a", -1, -1);
    if (strcmp(split->host->backend, "kvm") == 0) {
        (void)spec_add_device(split->jail, "c", "/dev/kvm", MISC_MAJOR, KVM_MINOR);
        add_rule(split->jail, true, "c", MISC_MAJOR, KVM_MINOR);
    }
    if (split->host->has_tap_device) {
        (void)spec_add_device(split->jail, "c", "/dev/net/tun", MISC_MAJOR, TUN_MINOR);
        add_rule(split->jail, true, "c", MISC_MAJOR, TUN_MINOR);
    }
}

/* The guest keeps the limits that say what happens to its own processes: who is killed when there
 * is no memory, how many there may be, which devices of its kernel they may open. */
static void split_resources(struct split *split)
{
    struct cgroup_resources *inner = xcalloc(1, sizeof(*inner));
    struct cgroup_resources *outer = split->guest->linux_.resources;
    struct cgroup_memory *memory;

    if (outer == NULL)
        outer = xcalloc(1, sizeof(*outer));
    MOVE(inner->devices, outer->devices);
    MOVE(inner->pids, outer->pids);
    memory = &outer->memory;
    inner->memory = (struct cgroup_memory){
        .has_limit = memory->has_limit,
        .limit = memory->limit,
        .has_reservation = memory->has_reservation,
        .reservation = memory->reservation,
    };
    split->guest->linux_.resources = inner;
    split->jail->linux_.resources = outer;
}

/* What the container may swap, the guest may. */
static struct cgroup_memory outer_memory(const struct cgroup_memory *memory, uint64_t limit)
{
    struct cgroup_memory outer = {
        .has_limit = true,
        .limit = (int64_t)limit,
        .has_swappiness = memory->has_swappiness,
        .swappiness = memory->swappiness,
    };

    if (memory->has_limit && memory->limit >= 0 && memory->has_swap) {
        outer.has_swap = true;
        outer.swap = memory->swap < 0 ? -1 : (int64_t)limit + memory->swap - memory->limit;
    }
    return outer;
}

/* After the mounts, when the shares are counted. */
static void limit_memory(struct split *split)
{
    const struct vm_config *config = split->config;
    struct cgroup_memory *memory = &split->jail->linux_.resources->memory;

    *memory = outer_memory(
        memory, vm_memory_limit(config->memory_bytes, split->host->backend, config->shares.count));
}

/* Who the container's users are on this machine is a matter of the jail: of berth-fs, which acts
 * for them there. The guest has all ids of its own. */
static void move_user_namespace(struct split *split)
{
    struct spec_linux *inner = &split->guest->linux_, *outer = &split->jail->linux_;

    (void)spec_add_namespace(split->jail, "user", NULL);
    /* By one of his groups a user may use /dev/kvm. */
    string_map_set(&split->jail->annotations, "run.oci.keep_original_groups", "1");
    MOVE(outer->uid_mappings, inner->uid_mappings);
    MOVE(outer->gid_mappings, inner->gid_mappings);
    spec_remove_namespace(split->guest, "user");
}

static void add_namespaces(struct split *split)
{
    static const char *const types[] = { "pid", "ipc", "uts", "mount" };
    const struct spec_namespace *network = spec_find_namespace(split->spec, "network");

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        (void)spec_add_namespace(split->jail, types[i], NULL);
    if (spec_find_namespace(split->spec, "user") != NULL)
        move_user_namespace(split);
    (void)spec_add_namespace(split->jail, "network", network->path);
}

/* The guest's network is the whole guest's. Where settings of it are given, the container is said
 * to be in it, as else they would belong to nobody. */
static void change_guest_namespaces(struct split *split)
{
    struct spec_namespaces *list = &split->guest->linux_.namespaces;
    bool has_net = false;

    for (size_t i = 0; i < split->guest->linux_.sysctl.count; i++)
        has_net = has_net || text_starts(split->guest->linux_.sysctl.items[i].key, "net");
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].type, "network") != 0)
            continue;
        free(list->items[i].path);
        list->items[i].path = NULL;
        if (has_net) {
            list->items[i].path = xstrdup("/proc/1/ns/net");
            return;
        }
        spec_remove_namespace(split->guest, "network");
        return;
    }
}

static void drop_label(struct split *split, char **label, const char *member)
{
    if (text_is_empty(*label))
        return;
    strings_addf(split->notes, "%s: '%s' is not used: a microVM's kernel has no such label", member,
                 *label);
    free(*label);
    *label = NULL;
}

static struct spec_process *new_process(const char *const *arguments)
{
    struct spec_process *process = xcalloc(1, sizeof(*process));

    for (size_t i = 0; arguments[i] != NULL; i++)
        strings_add(&process->args, arguments[i]);
    process->cwd = xstrdup("/");
    process->capabilities = xcalloc(1, sizeof(*process->capabilities));
    process->no_new_privileges = true;
    return process;
}

/* Until the machine is ready: berth-fs acts for the guest's users, taps are made. */
static void add_capabilities(struct spec_process *process)
{
    static const char *const names[] = {
        "CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER",    "CAP_FSETID",
        "CAP_SETGID", "CAP_SETUID",       "CAP_SETFCAP",         "CAP_NET_ADMIN",
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        strings_add(&process->capabilities->bounding, names[i]);
        strings_add(&process->capabilities->effective, names[i]);
        strings_add(&process->capabilities->permitted, names[i]);
    }
}

static void split_process(struct split *split)
{
    static const char *const arguments[] = { "/vm/berth-vmm", NULL };
    struct spec_process *inner = split->guest->process;
    struct spec_process *outer = new_process(arguments);

    add_capabilities(outer);
    outer->terminal = inner->terminal;
    if (inner->console_size != NULL)
        outer->console_size = xmemdup(inner->console_size, sizeof(*inner->console_size));
    MOVE(outer->scheduler, inner->scheduler);
    MOVE(outer->io_priority, inner->io_priority);
    MOVE(outer->has_oom_score_adj, inner->has_oom_score_adj);
    MOVE(outer->oom_score_adj, inner->oom_score_adj);
    drop_label(split, &inner->apparmor_profile, "process.apparmorProfile");
    drop_label(split, &inner->selinux_label, "process.selinuxLabel");
    split->jail->process = outer;
    /* The guest's memory must not end up in a file. */
    (void)spec_add_rlimit(split->jail, "RLIMIT_CORE", 0, 0);
}

static void split_members(struct split *split)
{
    struct spec_linux *inner = &split->guest->linux_, *outer = &split->jail->linux_;
    struct spec_hook_list in_guest = { 0 };

    split->jail->oci_version = xstrdup(split->spec->oci_version);
    MOVE(in_guest, split->guest->hooks.start_container);
    MOVE(split->jail->hooks, split->guest->hooks);
    split->guest->hooks.start_container = in_guest;
    MOVE(outer->cgroups_path, inner->cgroups_path);
    inner->cgroups_path = xstrdup("/container");
    MOVE(outer->intel_rdt, inner->intel_rdt);
    MOVE(outer->net_devices, inner->net_devices);
    MOVE(outer->memory_policy, inner->memory_policy);
    drop_label(split, &inner->mount_label, "linux.mountLabel");
    split->jail->root = xcalloc(1, sizeof(*split->jail->root));
    split->jail->root->path = path_join(split->host->run_path, "root");
    split->jail->root->readonly = true;
    free(split->guest->root->path);
    split->guest->root->path = xstrdup("/rootfs");
    spec_vm_free(split->guest->vm);
    split->guest->vm = NULL;
}

/* --- mounts ----------------------------------------------------------------------------------- */

bool vm_is_copied(const char *destination)
{
    static const char *const names[] = { "/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
                                         "/run/.containerenv" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (text_equal(names[i], destination))
            return true;
    }
    return false;
}

bool vm_is_bind(const struct spec_mount *mount)
{
    return text_equal(mount->type, "bind") || text_equal(mount->type, "rbind") ||
           strings_contains(&mount->options, "bind") || strings_contains(&mount->options, "rbind");
}

static bool is_read_only(const struct spec_mount *mount)
{
    bool result = false;

    for (size_t i = 0; i < mount->options.count; i++) {
        const char *word = mount->options.items[i];

        if (strcmp(word, "ro") == 0 || strcmp(word, "rro") == 0)
            result = true;
        else if (strcmp(word, "rw") == 0 || strcmp(word, "rrw") == 0)
            result = false;
    }
    return result;
}

static void replace_text(char **text, char *taken)
{
    free(*text);
    *text = taken;
}

static int add_share(struct split *split, const char *tag, bool read_only, struct error *err)
{
    struct vm_shares *shares = &split->config->shares;

    if (shares->count == VM_SHARES_MAX)
        return error_set(err, EOPNOTSUPP,
                         "mounts: a microVM shares at most %u directories with this machine",
                         VM_SHARES_MAX);
    shares->items = xrealloc(shares->items, shares->count + 1, sizeof(*shares->items));
    shares->items[shares->count++] = (struct vm_share){
        .tag = xstrdup(tag),
        .path = xasprintf("/share/%s", tag),
        .is_read_only = read_only,
    };
    return 0;
}

static struct vm_share *find_share(struct split *split, const char *tag)
{
    for (size_t i = 0; i < split->config->shares.count; i++) {
        if (strcmp(split->config->shares.items[i].tag, tag) == 0)
            return &split->config->shares.items[i];
    }
    return NULL;
}

/* In the jail as it would be in the container, so that the host's kernel keeps the options. */
static void mount_in_jail(struct split *split, const char *destination, const char *source,
                          const struct spec_mount *mount)
{
    (void)spec_add_mount(split->jail, destination, mount->type, source,
                         (const char *const *)mount->options.items);
}

static int share_directory(struct split *split, size_t index, const char *source, struct error *err)
{
    struct spec_mount *mount = &split->guest->mounts.items[index];
    auto_free char *tag = xasprintf("share%zu", index);
    auto_free char *place = xasprintf("/share/%s", tag);
    int r;

    r = add_share(split, tag, is_read_only(mount), err);
    if (r < 0)
        return r;
    mount_in_jail(split, place, source, mount);
    replace_text(&mount->source, xasprintf("/shares/%s", tag));
    return 0;
}

/* Made by this machine's kernel for the jail; the guest binds what is shown there. */
static int share_overlay(struct split *split, size_t index, struct error *err)
{
    struct spec_mount *mount = &split->guest->mounts.items[index];
    int r;

    r = share_directory(split, index, mount->source, err);
    if (r < 0)
        return r;
    replace_text(&mount->type, xstrdup("bind"));
    strings_clear(&mount->options);
    strings_add(&mount->options, "rbind");
    return 0;
}

/* All single files are names in one share. */
static int share_file(struct split *split, size_t index, const char *source, struct error *err)
{
    struct spec_mount *mount = &split->guest->mounts.items[index];
    auto_free char *place = xasprintf("/share/" SHARE_FILES "/%zu", index);
    struct vm_share *share = find_share(split, SHARE_FILES);
    int r;

    if (share == NULL) {
        r = add_share(split, SHARE_FILES, is_read_only(mount), err);
        if (r < 0)
            return r;
    } else if (!is_read_only(mount)) {
        share->is_read_only = false;
    }
    mount_in_jail(split, place, source, mount);
    replace_text(&mount->source, xasprintf("/shares/" SHARE_FILES "/%zu", index));
    return 0;
}

static void copy_file(struct split *split, size_t index, const struct vm_source *source)
{
    struct vm_files *files = &split->config->files;
    struct spec_mount *mount = &split->guest->mounts.items[index];

    replace_text(&mount->source, xasprintf("/files/%zu", index));
    files->items = xrealloc(files->items, files->count + 1, sizeof(*files->items));
    files->items[files->count++] = (struct vm_file){
        .path = xstrdup(mount->source),
        .content = xstrdup(source->content),
        .mode = source->mode,
    };
}

/* Memory cannot be shared with a program under another kernel. */
static void replace_shared_memory(struct spec_mount *mount)
{
    static const char *const options[] = { "nosuid", "noexec", "nodev", "mode=1777", "size=64m" };

    replace_text(&mount->type, xstrdup("tmpfs"));
    replace_text(&mount->source, xstrdup("shm"));
    strings_clear(&mount->options);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        strings_add(&mount->options, options[i]);
}

static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static int split_bind(struct split *split, size_t index, struct error *err)
{
    static const char *const of_kernel[] = { "/proc", "/sys", "/dev" };
    struct spec_mount *mount = &split->guest->mounts.items[index];
    const struct vm_source *source = &split->host->sources[index];

    if (strcmp(mount->destination, "/dev/shm") == 0) {
        replace_shared_memory(mount);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(of_kernel); i++) {
        if (is_below(source->path, of_kernel[i]))
            return error_set(err, EOPNOTSUPP,
                             "mounts[%zu].source: '%s' shows this machine's kernel, and a microVM "
                             "has another",
                             index, source->path);
    }
    switch (source->kind) {
    case VM_SOURCE_DIRECTORY:
        return share_directory(split, index, source->path, err);
    case VM_SOURCE_FILE:
        if (source->content == NULL)
            return share_file(split, index, source->path, err);
        copy_file(split, index, source);
        return 0;
    case VM_SOURCE_MISSING:
        return error_set(err, ENOENT, "mounts[%zu].source: '%s' does not exist", index,
                         source->path);
    case VM_SOURCE_OTHER:
        break;
    }
    return error_set(err, EOPNOTSUPP,
                     "mounts[%zu].source: '%s' is neither a directory nor a file: sockets, pipes "
                     "and devices cannot be shared with a microVM",
                     index, source->path);
}

static int check_mount(const struct spec_mount *mount, size_t index, struct error *err)
{
    if (mount->uid_mappings.count > 0 || mount->gid_mappings.count > 0 ||
        strings_contains(&mount->options, "idmap") || strings_contains(&mount->options, "ridmap"))
        return error_set(err, EOPNOTSUPP,
                         "mounts[%zu]: '%s' is id-mapped, which a microVM cannot do", index,
                         mount->destination);
    return 0;
}

static const char *option_value(const struct spec_mount *mount, const char *key)
{
    size_t length = strlen(key);

    for (size_t i = 0; i < mount->options.count; i++) {
        const char *word = mount->options.items[i];

        if (strncmp(word, key, length) == 0 && word[length] == '=')
            return word + length + 1;
    }
    return NULL;
}

/* An image that engine/ made of layers: the guest's kernel mounts it. */
static int use_image(struct split *split, const struct spec_mount *mount, struct error *err)
{
    static const char *const read_only[] = { "bind", "ro", NULL };
    static const char *const writable[] = { "bind", NULL };
    const char *disk = option_value(mount, "disk"), *size = option_value(mount, "size");
    struct vm_root *root = &split->config->root;
    int r;

    root->type = xstrdup("erofs");
    root->path = xstrdup("/vm/root.erofs");
    (void)spec_add_mount(split->jail, root->path, "bind", mount->source, read_only);
    root->upper = xstrdup(disk != NULL ? "disk" : "tmpfs");
    if (disk != NULL) {
        root->disk = xstrdup(VM_DISK_PATH);
        (void)spec_add_mount(split->jail, root->disk, "bind", disk, writable);
    }
    if (size != NULL) {
        r = text_parse_bytes(size, "mounts: size", &root->upper_bytes, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int share_root(struct split *split, const struct spec_mount *overlay, struct error *err)
{
    static const char *const options[] = { "rbind", NULL };
    const char *path = split->spec->root->path;
    auto_free char *absolute =
        path[0] == '/' ? xstrdup(path) : path_join(split->host->bundle_path, path);
    int r;

    r = add_share(split, SHARE_ROOT, false, err);
    if (r < 0)
        return r;
    split->config->root.type = xstrdup("share");
    split->config->root.share = xstrdup(SHARE_ROOT);
    if (overlay != NULL)
        mount_in_jail(split, "/share/" SHARE_ROOT, overlay->source, overlay);
    else
        (void)spec_add_mount(split->jail, "/share/" SHARE_ROOT, "bind", absolute, options);
    return 0;
}

/* The mount at "/", wherever it stands in the list, is the root; else root.path is. */
static int split_root(struct split *split, struct error *err)
{
    ssize_t index = spec_find_mount(split->spec, "/");
    const struct spec_mount *mount = index >= 0 ? &split->spec->mounts.items[index] : NULL;

    if (mount == NULL || text_equal(mount->type, "overlay"))
        return share_root(split, mount, err);
    if (!text_equal(mount->type, "erofs"))
        return error_set(err, EINVAL,
                         "mounts[%zd].destination: only an overlay or an EROFS image can be "
                         "mounted on '/'",
                         index);
    return use_image(split, mount, err);
}

static int split_mounts(struct split *split, struct error *err)
{
    struct spec_mounts *mounts = &split->guest->mounts;
    ssize_t root;
    int r;

    r = split_root(split, err);
    for (size_t i = 0; r == 0 && i < mounts->count; i++) {
        const struct spec_mount *mount = &mounts->items[i];

        if (strcmp(mount->destination, "/") == 0)
            continue;
        r = check_mount(mount, i, err);
        if (r == 0 && text_equal(mount->type, "overlay"))
            r = share_overlay(split, i, err);
        else if (r == 0 && vm_is_bind(mount))
            r = split_bind(split, i, err);
    }
    if (r < 0)
        return r;
    root = spec_find_mount(split->guest, "/");
    if (root >= 0)
        spec_remove_mount(split->guest, (size_t)root);
    return 0;
}

/* --- the jail's own files --------------------------------------------------------------------- */

static void bind_file(struct split *split, const char *place, const char *source, bool is_program)
{
    const char *const options[] = { "bind", "ro", "nosuid", "nodev", is_program ? NULL : "noexec",
                                    NULL };

    (void)spec_add_mount(split->jail, place, "bind", source, options);
}

static void mount_jail(struct split *split)
{
    static const char *const pts_options[] = { "nosuid",        "noexec",    "newinstance",
                                               "ptmxmode=0666", "mode=0620", NULL };
    static const char *const proc_options[] = { "nosuid", "nodev", "noexec", "ro", NULL };
    static const char *const run_options[] = { "bind", "nosuid", "nodev", "noexec", NULL };
    static const char *const folder_options[] = { "rbind", "rro", "nosuid", "nodev", NULL };
    const struct vm_host *host = split->host;
    auto_free char *config = path_join(host->run_path, "config.json");
    auto_free char *run = path_join(host->run_path, "run");

    bind_file(split, "/vm/berth-vmm", host->vmm, true);
    bind_file(split, "/vm/berth-fs", host->file_server, true);
    bind_file(split, "/vm/berth-agent", host->agent, false);
    bind_file(split, "/vm/kernel", host->kernel, false);
    if (host->modules != NULL)
        bind_file(split, "/vm/modules.cpio", host->modules, false);
    bind_file(split, "/vm/config.json", config, false);
    (void)spec_add_mount(split->jail, "/vm/run", "bind", run, run_options);
    (void)spec_add_mount(split->jail, "/dev/pts", "devpts", "devpts", pts_options);
    (void)spec_add_mount(split->jail, "/proc", "proc", "proc", proc_options);
    if (strcmp(host->backend, "kvm") == 0)
        return;
    for (size_t i = 0; host->emulator_folders != NULL && i < host->emulator_folders->count; i++)
        (void)spec_add_mount(split->jail, host->emulator_folders->items[i], "bind",
                             host->emulator_folders->items[i], folder_options);
}

/* Whether the program can come to the kernel's files for tracing: it may mount them, or has them
 * mounted. */
static bool may_trace(const struct spec *spec)
{
    const struct spec_capabilities *capabilities = spec->process->capabilities;

    for (size_t i = 0; i < spec->mounts.count; i++) {
        const char *type = spec->mounts.items[i].type;

        if (text_equal(type, "tracefs") || text_equal(type, "debugfs"))
            return true;
    }
    return capabilities == NULL || strings_contains(&capabilities->bounding, "CAP_SYS_ADMIN");
}

static void fill_cmdline(struct split *split)
{
    const struct spec_vm *vm = split->spec->vm;
    AUTO_CLEAR(strings) struct strings words = { 0 };

    if (!may_trace(split->spec))
        strings_add(&words, MACHINE_CMDLINE_UNTRACED);
    if (vm != NULL && vm->kernel != NULL)
        strings_add_all(&words, &vm->kernel->parameters);
    if (words.count > 0)
        split->config->cmdline = strings_join(&words, " ");
}

static void fill_config(struct split *split)
{
    const struct cgroup_resources *resources = split->spec->linux_.resources;
    struct vm_config *config = split->config;

    config->memory_bytes = vm_memory_plan(&split->options, resources);
    config->cpus = vm_cpus_plan(&split->options, resources);
    config->backend = xstrdup(split->host->backend);
    config->kernel = xstrdup("/vm/kernel");
    config->modules = xstrdup("/vm/modules.cpio");
    config->agent = xstrdup("/vm/berth-agent");
    config->fs_program = xstrdup("/vm/berth-fs");
    config->console = xstrdup(split->options.console);
    config->is_warm = split->options.is_warm && split->host->saved_path == NULL;
    config->is_restored = split->host->saved_path != NULL;
    config->has_terminal = split->spec->process->terminal;
    config->tsc_khz = split->host->tsc_khz;
    fill_cmdline(split);
}

static int make_halves(struct split *split, struct error *err)
{
    int r;

    fill_config(split);
    split_annotations(split);
    split_process(split);
    split_members(split);
    split_resources(split);
    add_namespaces(split);
    change_guest_namespaces(split);
    mount_jail(split);
    r = split_mounts(split, err);
    if (r < 0)
        return r;
    add_devices(split);
    limit_memory(split);
    split->config->guest = spec_encode(split->guest, ENCODE_COMPACT);
    return 0;
}

int vm_split(const struct spec *spec, const struct vm_host *host, struct spec **ret_jail,
             char **ret_config, struct strings *ret_notes, struct error *err)
{
    AUTO(spec) struct spec *guest = NULL;
    AUTO(spec) struct spec *jail = NULL;
    AUTO(vm_config) struct vm_config *config = NULL;
    struct split split = { .spec = spec, .host = host, .notes = ret_notes };
    int r;

    assert(ret_jail != NULL);
    assert(ret_config != NULL);

    r = check_members(spec, host, err);
    if (r == 0)
        r = vm_options_parse(spec, &split.options, err);
    if (r < 0)
        return r;
    split.guest = guest = spec_copy(spec);
    split.jail = jail = xcalloc(1, sizeof(*jail));
    split.config = config = xcalloc(1, sizeof(*config));
    r = make_halves(&split, err);
    if (r < 0)
        return r;
    *ret_config = vm_config_encode(config);
    *ret_jail = take_ptr(&jail);
    return 0;
}

/* --- later ------------------------------------------------------------------------------------ */

struct spec_process *vm_split_exec(const struct spec_process *process)
{
    static const char *const arguments[] = { "/vm/berth-vmm", "exec", NULL };
    auto_free char *json = encode_text(&spec_process_object, process, ENCODE_COMPACT);
    struct spec_process *outer = new_process(arguments);

    strings_addf(&outer->env, "BERTH_VM_EXEC=%s", json);
    outer->terminal = process->terminal;
    if (process->console_size != NULL)
        outer->console_size = xmemdup(process->console_size, sizeof(*process->console_size));
    return outer;
}

static int check_change(const struct vm_config *config, const struct cgroup_resources *given,
                        struct error *err)
{
    const struct cgroup_memory *memory = &given->memory;

    if (given->devices.count > 0)
        return error_set(err, EOPNOTSUPP,
                         "linux.resources.devices: cannot be changed while a microVM runs");
    if (memory->has_swap && !memory->has_limit)
        return error_set(err, EOPNOTSUPP,
                         "linux.resources.memory.swap: of a microVM that runs it can be changed "
                         "only together with memory.limit");
    if (memory->has_limit && memory->limit > 0 &&
        (uint64_t)memory->limit + VM_MEMORY_GUEST > config->memory_bytes)
        return error_set(
            err, EINVAL,
            "linux.resources.memory.limit: %lld is too much for the microVM, which was "
            "started with %llu MiB of memory, %llu MiB of them for its kernel: stop "
            "it first",
            (long long)memory->limit, (unsigned long long)config->memory_bytes >> 20,
            (unsigned long long)VM_MEMORY_GUEST >> 20);
    return 0;
}

/* A machine whose size was asked for keeps it, whatever its container may have of it. */
static uint64_t plan_changed_memory(const struct vm_config *config,
                                    const struct cgroup_resources *first,
                                    const struct cgroup_resources *given)
{
    static const struct vm_options none = { 0 };
    uint64_t bytes = config->memory_bytes;

    if (vm_memory_plan(&none, first) == bytes && given->memory.limit > 0)
        bytes = vm_memory_plan(&none, given);
    return bytes < config->memory_bytes ? bytes : config->memory_bytes;
}

int vm_update_plan(const struct vm_config *config, const struct cgroup_resources *first,
                   const struct cgroup_resources *jail, const struct cgroup_resources *given,
                   struct isolation_update *ret_update, struct error *err)
{
    const uint64_t overhead = vm_memory_limit(0, config->backend, config->shares.count);
    const uint64_t old = jail->memory.limit > (int64_t)overhead
                             ? (uint64_t)jail->memory.limit - overhead
                             : config->memory_bytes;
    struct cgroup_resources inner = { .pids = given->pids };
    struct isolation_update update = { .outer = *given };
    uint64_t bytes = old;
    int r = check_change(config, given, err);

    if (r < 0)
        return r;
    update.outer.pids = (struct cgroup_pids){ 0 };
    update.outer.memory = (struct cgroup_memory){ .has_swappiness = given->memory.has_swappiness,
                                                  .swappiness = given->memory.swappiness };
    if (given->memory.has_limit) {
        bytes = plan_changed_memory(config, first, given);
        update.outer.memory = outer_memory(&given->memory, bytes + overhead);
        inner.memory.has_limit = true;
        inner.memory.limit = given->memory.limit;
    }
    inner.memory.has_reservation = given->memory.has_reservation;
    inner.memory.reservation = given->memory.reservation;
    update.old_take_bytes = old < config->memory_bytes ? config->memory_bytes - old : 0;
    update.take_bytes = bytes < config->memory_bytes ? config->memory_bytes - bytes : 0;
    if (inner.memory.has_limit || inner.memory.has_reservation || inner.pids.has_limit)
        update.inner = encode_text(&cgroup_resources_object, &inner, ENCODE_COMPACT);
    *ret_update = update;
    return 0;
}
