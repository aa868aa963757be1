#include "engine/bundle.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/host_facts.h"

/* Files of the container's own directory, and where they appear. */
static const struct {
    const char *name, *destination;
} own_files[] = {
    { "resolv.conf", "/etc/resolv.conf" },
    { "hostname", "/etc/hostname" },
    { "hosts", "/etc/hosts" },
};

/* The whole root is in the container's own directory. */
static void use_copied_root(const struct bundle_input *input, struct spec *spec)
{
    free(spec->root->path);
    spec->root->path = xstrdup(input->snapshot->upper);
}

/* The init performs the mount at "/" first, so it has to be first in the list. */
static void add_root(const struct bundle_input *input, struct spec *spec)
{
    AUTO_CLEAR(strings) struct strings options = { 0 };
    struct spec_mount root;

    snapshot_mount_options(input->snapshot, &options);
    if (bundle_has_user_namespace(&input->record->settings))
        strings_add(&options,
                    "idmap"); /* the layers; the writable directory is made for its root */
    (void)spec_add_mount(spec, "/", "overlay", "overlay", (const char *const *)options.items);
    root = spec->mounts.items[spec->mounts.count - 1];
    memmove(spec->mounts.items + 1, spec->mounts.items,
            (spec->mounts.count - 1) * sizeof(*spec->mounts.items));
    spec->mounts.items[0] = root;
}

static void remove_mount_at(struct spec *spec, const char *destination)
{
    ssize_t index = spec_find_mount(spec, destination);

    if (index >= 0)
        spec_remove_mount(spec, (size_t)index);
}

static void remove_option(struct spec *spec, const char *destination, const char *option)
{
    ssize_t index = spec_find_mount(spec, destination);
    struct strings *options;

    if (index < 0)
        return;
    options = &spec->mounts.items[index].options;
    for (size_t i = options->count; i > 0; i--)
        if (strcmp(options->items[i - 1], option) == 0)
            strings_remove(options, i - 1);
}

static void bind_host_folder(struct spec *spec, const char *path)
{
    static const char *const options[] = { "rbind", "rprivate", NULL };

    remove_mount_at(spec, path);
    (void)spec_add_mount(spec, path, "bind", path, options);
}

static int plan_shared_memory(const struct settings *settings, struct spec *spec, struct error *err)
{
    enum namespace_mode mode;
    ssize_t index;
    int r;

    r = namespace_mode_parse("--ipc", settings->ipc_mode, &mode, NULL, err);
    if (r < 0)
        return r;
    if (mode == NAMESPACE_HOST) {
        /* The default mount at /dev/mqueue shows the queues of the namespace, so the host's. */
        bind_host_folder(spec, "/dev/shm");
        return 0;
    }
    if (settings->ipc_mode != NULL && strcmp(settings->ipc_mode, "none") == 0) {
        remove_mount_at(spec, "/dev/shm");
        return 0;
    }
    index = spec_find_mount(spec, "/dev/shm");
    if (index >= 0 && settings->shm_bytes > 0) {
        struct strings *options = &spec->mounts.items[index].options;

        for (size_t i = options->count; i > 0; i--)
            if (text_starts(options->items[i - 1], "size="))
                strings_remove(options, i - 1);
        strings_addf(options, "size=%llu", (unsigned long long)settings->shm_bytes);
    }
    return 0;
}

static size_t path_depth(const char *path)
{
    size_t depth = 0;

    for (size_t i = 0; path[i] != '\0'; i++)
        if (path[i] == '/' && path[i + 1] != '\0')
            depth++;
    return depth;
}

static bool has_mount_for(const struct settings *settings, const char *target)
{
    for (size_t i = 0; i < settings->mounts.count; i++)
        if (strcmp(settings->mounts.items[i].target, target) == 0)
            return true;
    return false;
}

static void add_own_files(const struct bundle_input *input, struct spec *spec)
{
    bool is_mapped = bundle_has_user_namespace(&input->record->settings);
    const char *const options[] = { "bind", "rprivate", is_mapped ? "idmap" : NULL, NULL };

    for (size_t i = 0; i < ARRAY_SIZE(own_files); i++) {
        auto_free char *source = NULL;

        if (has_mount_for(&input->record->settings, own_files[i].destination))
            continue;
        source = xasprintf("%s/%s", input->container_path, own_files[i].name);
        (void)spec_add_mount(spec, own_files[i].destination, "bind", source, options);
    }
}

static void add_tmpfs(const struct settings_mount *mount, struct spec *spec)
{
    AUTO_CLEAR(strings) struct strings options = { 0 };

    strings_add(&options, "noexec");
    strings_add(&options, "nosuid");
    strings_add(&options, "nodev");
    strings_add_all(&options, &mount->options);
    if (mount->is_readonly)
        strings_add(&options, "ro");
    (void)spec_add_mount(spec, mount->target, "tmpfs", "tmpfs", (const char *const *)options.items);
}

static int add_bind(const struct settings_mount *mount, bool has_user_namespace, struct spec *spec,
                    struct error *err)
{
    bool is_volume = strcmp(mount->type, "volume") == 0;
    const char *source = is_volume ? mount->volume_path : mount->source;
    AUTO_CLEAR(strings) struct strings options = { 0 };

    if (text_is_empty(source) || source[0] != '/')
        return error_set(err, EINVAL, "mount at '%s': source '%s' is not an absolute path",
                         mount->target, source == NULL ? "" : source);
    strings_add(&options, "rbind");
    /* Recursive, as docker does it since 25: a writable mount below would be a hole. */
    if (mount->is_readonly)
        strings_add(&options, "rro");
    strings_add_all(&options, &mount->options);
    /* berth's own volumes follow the container's ids; what a user binds stays as it is. */
    if (is_volume && has_user_namespace)
        strings_add(&options, "idmap");
    strings_add(&options, mount->propagation != NULL ? mount->propagation : "rprivate");
    (void)spec_add_mount(spec, mount->target, "bind", source, (const char *const *)options.items);
    return 0;
}

/* Parents before what lies below them; equally deep ones stay in the user's order. */
static int add_user_mounts(const struct settings *settings, struct spec *spec, struct error *err)
{
    size_t deepest = 0;
    int r;

    for (size_t i = 0; i < settings->mounts.count; i++) {
        const struct settings_mount *mount = &settings->mounts.items[i];

        if (mount->target[0] != '/' || mount->target[1] == '\0')
            return error_set(err, EINVAL, "cannot mount at '%s': give a path below /",
                             mount->target);
        if (path_depth(mount->target) > deepest)
            deepest = path_depth(mount->target);
        remove_mount_at(spec, mount->target);
    }
    for (size_t depth = 1; depth <= deepest; depth++) {
        for (size_t i = 0; i < settings->mounts.count; i++) {
            const struct settings_mount *mount = &settings->mounts.items[i];

            if (path_depth(mount->target) != depth)
                continue;
            if (strcmp(mount->type, "tmpfs") == 0) {
                add_tmpfs(mount, spec);
                continue;
            }
            r = add_bind(mount, bundle_has_user_namespace(settings), spec, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static void add_host_device(const struct host_device *device, const char *path, struct spec *spec)
{
    const char type[2] = { device->type, '\0' };
    struct spec_device *added;

    added = spec_add_device(spec, type, path, device->major, device->minor);
    added->has_file_mode = added->has_uid = added->has_gid = true;
    added->file_mode = device->mode;
    added->uid = device->uid;
    added->gid = device->gid;
}

/* The runtime binds what it cannot make, but by the name that it has on the host. */
static void bind_device(const struct host_device *device, const char *path, struct spec *spec)
{
    static const char *const options[] = { "bind", "rprivate", NULL };

    remove_mount_at(spec, path);
    (void)spec_add_mount(spec, path, "bind", device->path, options);
}

static int plan_devices(const struct bundle_input *input, struct spec *spec, struct error *err)
{
    const struct settings *settings = &input->record->settings;

    if (settings->is_privileged) {
        for (size_t i = 0; i < input->facts->devices.count; i++) {
            const struct host_device *device = &input->facts->devices.items[i];

            /* A microVM's kernel has its own messages, and no way to the machine's devices. */
            if (!bundle_is_vm(settings) || strcmp(device->path, "/dev/kmsg") == 0)
                add_host_device(device, device->path, spec);
        }
        (void)spec_add_device_rule(spec, true, "a", -1, -1, "rwm");
        return 0;
    }
    for (size_t i = 0; i < settings->devices.count; i++) {
        const struct settings_device *wanted = &settings->devices.items[i];
        const struct host_device *device = host_facts_device(input->facts, wanted->host_path);
        const char *access = text_is_empty(wanted->access) ? "rwm" : wanted->access;
        const char *path =
            text_is_empty(wanted->container_path) ? wanted->host_path : wanted->container_path;
        const char type[2] = { device == NULL ? 'c' : device->type, '\0' };

        if (device == NULL)
            return error_set(err, ENOENT, "--device '%s': not found", wanted->host_path);
        if (strspn(access, "rwm") != strlen(access))
            return error_set(err, EINVAL, "--device '%s': '%s' is not made of r, w and m",
                             wanted->host_path, access);
        if (path[0] != '/')
            return error_set(err, EINVAL, "--device '%s': '%s' is not an absolute path",
                             wanted->host_path, path);
        if (input->facts->binds_devices && strcmp(path, device->path) != 0)
            bind_device(device, path, spec);
        else
            add_host_device(device, path, spec);
        (void)spec_add_device_rule(spec, true, type, device->major, device->minor, access);
    }
    return 0;
}

int bundle_plan_mounts(const struct bundle_input *input, struct spec *spec, struct error *err)
{
    static const char *const init_options[] = { "bind", "ro", "rprivate", NULL };
    const struct settings *settings = &input->record->settings;
    int r;

    assert(input->snapshot != NULL);

    r = plan_shared_memory(settings, spec, err);
    if (r < 0)
        return r;
    if (settings->is_privileged) {
        remove_option(spec, "/sys", "ro");
        remove_option(spec, "/sys/fs/cgroup", "ro");
    }
    add_own_files(input, spec);
    r = add_user_mounts(settings, spec, err);
    if (r < 0)
        return r;
    if (settings->has_init)
        (void)spec_add_mount(spec, "/sbin/docker-init", "bind", input->facts->init_path,
                             init_options);
    if (bundle_is_vm(settings))
        bundle_add_vm_root(input, spec);
    else if (input->record->is_copied)
        use_copied_root(input, spec);
    else if (!input->record->is_served) /* then the monitor has it made for the init */
        add_root(input, spec);
    return plan_devices(input, spec, err);
}
