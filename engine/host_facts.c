#include "engine/host_facts.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "engine/engine_private.h"
#include "engine/rootless_session.h"

#define PROFILE_BYTES_MAX (4u << 20)
#define DEVICE_DEPTH_MAX  8

const struct host_device *host_facts_device(const struct host_facts *facts, const char *path)
{
    for (size_t i = 0; i < facts->devices.count; i++)
        if (strcmp(facts->devices.items[i].path, path) == 0)
            return &facts->devices.items[i];
    return NULL;
}

static void add_device(struct host_devices *devices, const char *path, const struct stat *status)
{
    struct host_device *device;

    devices->items = xrealloc(devices->items, devices->count + 1, sizeof(*devices->items));
    device = &devices->items[devices->count++];
    device->path = xstrdup(path);
    device->type = S_ISCHR(status->st_mode) ? 'c' : 'b';
    device->major = major(status->st_rdev);
    device->minor = minor(status->st_rdev);
    device->mode = status->st_mode & 07777;
    device->uid = status->st_uid;
    device->gid = status->st_gid;
}

static int add_device_at(struct host_facts *facts, const char *option, const char *path,
                         struct error *err)
{
    struct stat status;

    if (host_facts_device(facts, path) != NULL)
        return 0;
    if (stat(path, &status) < 0)
        return error_errno(err, "%s '%s'", option, path);
    if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode))
        return error_set(err, EINVAL, "%s '%s': not a device", option, path);
    if (strcmp(option, "--device") != 0 && !S_ISBLK(status.st_mode))
        return error_set(err, EINVAL, "%s '%s': is not a block device", option, path);
    add_device(&facts->devices, path, &status);
    return 0;
}

/* As docker's HostDevices: what is mounted or managed separately in every container is left out. */
static bool is_own_device(const char *name, size_t depth)
{
    static const char *const own[] = { "pts",         "shm",   "fd",      "mqueue", ".lxc",
                                       ".lxd-mounts", ".udev", "console", "ptmx" };

    for (size_t i = 0; depth == 0 && i < ARRAY_SIZE(own); i++)
        if (strcmp(own[i], name) == 0)
            return true;
    return false;
}

static void add_all_devices(struct host_devices *devices, int dir_fd, const char *path,
                            size_t depth)
{
    DIR *dir = fdopendir(dir_fd);

    if (dir == NULL) {
        close(dir_fd);
        return;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        auto_free char *child = NULL;
        struct stat status;

        if (entry->d_name[0] == '.' && (entry->d_name[1] == '\0' || entry->d_name[1] == '.'))
            continue;
        if (is_own_device(entry->d_name, depth) ||
            fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        child = xasprintf("%s/%s", path, entry->d_name);
        if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
            add_device(devices, child, &status);
        } else if (S_ISDIR(status.st_mode) && depth < DEVICE_DEPTH_MAX) {
            int fd =
                openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

            if (fd >= 0)
                add_all_devices(devices, fd, child, depth + 1);
        }
    }
    closedir(dir);
}

static int collect_devices(const struct settings *settings, struct host_facts *facts,
                           struct error *err)
{
    const struct {
        const struct settings_rates *rates;
        const char *option;
    } rates[] = {
        { &settings->blkio_weights, "--blkio-weight-device" },
        { &settings->read_bps, "--device-read-bps" },
        { &settings->write_bps, "--device-write-bps" },
        { &settings->read_iops, "--device-read-iops" },
        { &settings->write_iops, "--device-write-iops" },
    };

    if (settings->is_privileged) {
        int fd = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
            return error_errno(err, "open '/dev'");
        add_all_devices(&facts->devices, fd, "/dev", 0);
    }
    for (size_t i = 0; i < settings->devices.count; i++) {
        int r = add_device_at(facts, "--device", settings->devices.items[i].host_path, err);

        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
        for (size_t k = 0; k < rates[i].rates->count; k++) {
            int r = add_device_at(facts, rates[i].option, rates[i].rates->items[k].path, err);

            if (r < 0)
                return r;
        }
    return 0;
}

/* v1: the files memory.memsw.* are there or not; v2: memory.swap.max of any cgroup but the root,
 * which the kernel's build decides alike. */
static int collect_swap(struct engine *engine, struct host_facts *facts, struct error *err)
{
    const struct cgroup_hierarchy *hierarchies;
    size_t count;
    int r;

    r = engine_need_runtime(engine, err);
    if (r < 0)
        return r;
    hierarchies = cgroup_system_hierarchies(runtime_cgroups(engine->runtime), &count);
    for (size_t i = 0; i < count; i++) {
        if (hierarchies[i].fd < 0)
            continue;
        if (!hierarchies[i].is_v2 && strcmp(hierarchies[i].controllers, "memory") == 0)
            facts->has_swap_limit =
                faccessat(hierarchies[i].fd, "memory.memsw.limit_in_bytes", F_OK, 0) == 0;
    }
    if (cgroup_system_layout(runtime_cgroups(engine->runtime)) == CGROUP_LAYOUT_V2)
        facts->has_swap_limit = access("/proc/swaps", F_OK) == 0;
    return 0;
}

static void collect_rlimits(struct host_facts *facts)
{
    cap_t caps = cap_get_proc();
    cap_flag_value_t value = CAP_CLEAR;

    if (caps != NULL) {
        (void)cap_get_flag(caps, CAP_SYS_RESOURCE, CAP_EFFECTIVE, &value);
        cap_free(caps);
    }
    facts->may_raise_rlimits = value == CAP_SET;
    for (int i = 0; i < HOST_RLIMITS; i++) {
        struct rlimit limit;

        facts->hard_rlimits[i] = UINT64_MAX;
        if (getrlimit((__rlimit_resource_t)i, &limit) == 0 && limit.rlim_max != RLIM_INFINITY)
            facts->hard_rlimits[i] = limit.rlim_max;
    }
}

static int collect_profile(const struct settings *settings, struct host_facts *facts,
                           struct error *err)
{
    AUTO_CLEAR(security_options) struct security_options options = { 0 };
    int r;

    r = security_options_parse(&settings->security_opt, &options, err);
    if (r < 0)
        return r;
    if (options.seccomp == NULL || strcmp(options.seccomp, "unconfined") == 0)
        return 0;
    r = file_read(AT_FDCWD, options.seccomp, PROFILE_BYTES_MAX, &facts->seccomp_profile, NULL, err);
    if (r < 0)
        return error_prefix(err, r, "--security-opt seccomp='%s'", options.seccomp);
    return 0;
}

/* In a session of systemd's the score is above zero, and only root may lower it. */
static void collect_of_user(struct host_facts *facts)
{
    auto_free char *score = NULL;

    facts->binds_devices = true;
    if (file_read_piece(AT_FDCWD, "/proc/self/oom_score_adj", &score, NULL) == 0)
        facts->least_oom_score = (int)strtol(score, NULL, 10);
    if (facts->least_oom_score < 0)
        facts->least_oom_score = 0;
}

int host_facts_collect(struct engine *engine, const struct settings *settings,
                       struct host_facts *ret_facts, struct error *err)
{
    AUTO_CLEAR(host_facts) struct host_facts facts = { 0 };
    struct utsname names;
    int r;

    assert(ret_facts != NULL);

    if (uname(&names) < 0)
        return error_errno(err, "read the host's name");
    facts.hostname = xstrdup(names.nodename);
    if (rootless_session_is_on())
        collect_of_user(&facts);
    r = collect_devices(settings, &facts, err);
    if (r < 0)
        return r;
    if (settings->memory > 0 || settings->memory_swap != 0) {
        r = collect_swap(engine, &facts, err);
        if (r < 0)
            return r;
    }
    if (settings->ulimits.count > 0)
        collect_rlimits(&facts);
    if (settings->security_opt.count > 0) {
        r = collect_profile(settings, &facts, err);
        if (r < 0)
            return r;
    }
    if (settings->has_init) {
        r = process_find_helper("berth-init", &facts.init_path, err);
        if (r < 0)
            return error_prefix(err, r, "--init");
    }
    *ret_facts = facts;
    facts = (struct host_facts){ 0 };
    return 0;
}

void host_facts_clear(struct host_facts *facts)
{
    for (size_t i = 0; i < facts->devices.count; i++)
        free(facts->devices.items[i].path);
    free(facts->devices.items);
    free(facts->hostname);
    free(facts->init_path);
    free(facts->seccomp_profile);
    *facts = (struct host_facts){ 0 };
}
