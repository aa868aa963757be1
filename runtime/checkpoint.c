#include "runtime/checkpoint_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "runtime/checkpoint_folders.h"
#include "runtime/isolation.h"

/* A checkpoint: all that the image needs to know besides the processes is collected from the spec
 * and from the first process, then CRIU freezes the container, writes, and ends the processes or
 * lets them go on. Nothing of the container changes before CRIU has succeeded. */

struct dump {
    struct container *container;
    const struct checkpoint_options *options;
    const struct spec *spec;
    int proc_fd; /* /proc/<pid> of the first process */
    struct checkpoint_folders folders;
    struct criu_options criu;
    char *freezer; /* CRIU's options borrow it */
    struct strings descriptors;
};

static void dump_clear(struct dump *dump)
{
    auto_close_cleanup(&dump->proc_fd);
    checkpoint_folders_clear(&dump->folders);
    criu_options_clear(&dump->criu);
    free(dump->freezer);
    strings_clear(&dump->descriptors);
}

static int check_status(struct container *container, struct error *err)
{
    enum container_status status;
    int r;

    r = container_status(container, &status, err);
    if (r < 0)
        return r;
    if (status != CONTAINER_RUNNING && status != CONTAINER_PAUSED)
        return error_set(err, EINVAL, "container '%s' cannot be checkpointed in the %s state",
                         container->state.id, container_status_name(status));
    return 0;
}

/* The pidfd is opened already: when the process still lives afterwards, the directory is its own.
 */
static int open_process(struct dump *dump, struct error *err)
{
    auto_free char *path = xasprintf("/proc/%d", dump->container->state.pid);

    dump->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dump->proc_fd < 0)
        return error_errno(err, "open '%s'", path);
    if (container_pid(dump->container) == 0 || dump->container->state.is_creating)
        return error_set(err, ESRCH, "container not running: '%s'", dump->container->state.id);
    return 0;
}

/* --- external mounts -------------------------------------------------------------------------- */

/* Where a mount really is: links in its place are resolved as the container sees them. CRIU knows
 * mounts by that path. Returns 0 with NULL when there is none (any more). */
static int find_place(const struct external_mount *mount, int root_fd, char **ret_place,
                      struct error *err)
{
    char link[FD_PATH_MAX], place[PATH_MAX];
    auto_close int fd = -1;
    struct stat status;
    ssize_t length;
    int r;

    *ret_place = NULL;
    r = path_open_in_root(root_fd, mount->place, O_PATH, 0, &fd, err);
    if (r == -ENOENT || r == -ENOTDIR || r == -EACCES || r == -ELOOP)
        return 0;
    if (r < 0)
        return error_prefix(err, r, "mount on '%s'", mount->place);
    if (fstat(fd, &status) < 0)
        return error_errno(err, "look at '%s'", mount->place);
    if (mount->is_mask && S_ISDIR(status.st_mode))
        return 0;
    length = readlink(fd_path(fd, link), place, sizeof(place) - 1);
    if (length <= 0 || place[0] != '/')
        return 0;
    place[length] = '\0';
    *ret_place = xstrdup(place);
    return 0;
}

static int add_mounts(struct dump *dump, struct error *err)
{
    const struct state *state = &dump->container->state;
    AUTO(rootfs_plan) struct rootfs_plan *rootfs = NULL;
    struct external_mounts mounts = { 0 };
    auto_close int root_fd = -1;
    int r;

    r = rootfs_plan(dump->spec, state->bundle, &rootfs, err);
    if (r < 0)
        return r;
    root_fd = openat(dump->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_errno(err, "open the container's root");
    r = external_mounts_plan(dump->spec, rootfs, runtime_cgroups(dump->container->runtime),
                             state->cgroup, &mounts, err);
    for (size_t i = 0; i < mounts.count && r == 0; i++) {
        auto_free char *place = NULL;

        r = find_place(&mounts.items[i], root_fd, &place, err);
        if (r == 0 && place != NULL)
            string_map_set(&dump->criu.ext_mnt, place, mounts.items[i].name);
    }
    external_mounts_clear(&mounts);
    return r;
}

/* --- namespaces and cgroup -------------------------------------------------------------------- */

/* A namespace that was joined is the engine's, with all in it: the image only keeps its name. */
static int add_namespace(struct dump *dump, const char *type, const char *criu_type,
                         const char *key, struct error *err)
{
    const struct spec_namespace *found = spec_find_namespace(dump->spec, type);
    auto_free char *link = xasprintf("ns/%s", criu_type);
    struct stat status;

    if (found == NULL || text_is_empty(found->path))
        return 0;
    if (fstatat(dump->proc_fd, link, &status, 0) < 0)
        return error_errno(err, "look at the container's %s namespace", type);
    strings_addf(&dump->criu.external, "%s[%" PRIuMAX "]:%s", criu_type, (uintmax_t)status.st_ino,
                 key);
    return 0;
}

static bool has_controller(const struct cgroup_hierarchy *hierarchy, const char *name)
{
    struct strings names = { 0 };
    bool has;

    strings_split(&names, hierarchy->controllers, ',');
    has = strings_contains(&names, name);
    strings_clear(&names);
    return has;
}

/* With it CRIU stops all processes at once, new ones too, instead of one by one with ptrace(2). */
static void find_freezer(struct dump *dump)
{
    struct cgroup_system *system = runtime_cgroups(dump->container->runtime);
    const char *path = dump->container->state.cgroup;
    const struct cgroup_hierarchy *hierarchies, *found = NULL;
    size_t count = 0;

    if (system == NULL || path == NULL)
        return;
    hierarchies = cgroup_system_hierarchies(system, &count);
    for (size_t i = 0; i < count; i++) {
        if (has_controller(&hierarchies[i], "freezer") || (hierarchies[i].is_v2 && found == NULL))
            found = &hierarchies[i];
    }
    if (found != NULL)
        dump->freezer =
            xasprintf("/sys/fs/cgroup/%s/%s", found->mount_name, path[0] == '/' ? path + 1 : path);
    dump->criu.freeze_cgroup = dump->freezer;
}

/* --- descriptors ------------------------------------------------------------------------------ */

/* Whether a mount is one of the container's, which CRIU sees; all others are outer files to it. */
static bool has_mount(const char *mountinfo, const char *mount_id)
{
    auto_free char *start = xasprintf("%s ", mount_id);
    const char *line = mountinfo;

    while (line != NULL && *line != '\0') {
        if (text_starts(line, start))
            return true;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return false;
}

static bool is_terminal(const struct stat *status)
{
    unsigned number = major(status->st_rdev);

    return S_ISCHR(status->st_mode) &&
           (number == 4 || number == 5 || (number >= 136 && number <= 143));
}

/* "file[1a:2b]", mount and inode, when the descriptor is of a file outside of the container: the
 * caller's log, or its /dev/null. */
static char *name_outer_file(const struct dump *dump, const char *mountinfo, int number)
{
    auto_free char *info_path = xasprintf("fdinfo/%d", number);
    auto_free char *path = xasprintf("fd/%d", number);
    auto_free char *info = NULL;
    const char *found;
    uint64_t mount_id = 0;
    struct stat status;
    auto_free char *digits = NULL;

    if (fstatat(dump->proc_fd, path, &status, 0) < 0 || is_terminal(&status) ||
        S_ISSOCK(status.st_mode) || file_read_kernel(dump->proc_fd, info_path, &info, NULL) < 0)
        return NULL;
    found = strstr(info, "mnt_id:");
    if (found == NULL)
        return NULL;
    found += strlen("mnt_id:");
    found += strspn(found, " \t");
    digits = xstrndup(found, strspn(found, "0123456789"));
    if (text_parse_u64(digits, "mount", UINT32_MAX, &mount_id, NULL) < 0 ||
        has_mount(mountinfo, digits))
        return NULL;
    return xasprintf("file[%" PRIx64 ":%" PRIxMAX "]", mount_id, (uintmax_t)status.st_ino);
}

static int look_at_descriptors(struct dump *dump, struct error *err)
{
    auto_free char *mountinfo = NULL;
    int r;

    r = file_read_kernel(dump->proc_fd, "mountinfo", &mountinfo, err);
    if (r < 0)
        return r;
    for (int i = 0; i < DESCRIPTORS_COUNT; i++) {
        auto_free char *path = xasprintf("fd/%d", i);
        auto_free char *outer = NULL;
        char link[PATH_MAX];
        ssize_t length = readlinkat(dump->proc_fd, path, link, sizeof(link) - 1);

        link[length > 0 ? length : 0] = '\0'; /* closed: nothing has to be connected */
        if (link[0] == '/')
            outer = name_outer_file(dump, mountinfo, i);
        if (outer != NULL && !strings_contains(&dump->criu.external, outer))
            strings_add(&dump->criu.external, outer);
        strings_add(&dump->descriptors, outer != NULL ? outer : link);
    }
    return 0;
}

/* --- the dump --------------------------------------------------------------------------------- */

static int plan_dump(struct dump *dump, uint32_t version, struct error *err)
{
    const struct spec_namespace *network = spec_find_namespace(dump->spec, "network");
    int r;

    r = checkpoint_options_plan(dump->options, false, version, &dump->criu, err);
    if (r < 0)
        return r;
    r = checkpoint_folders_use(&dump->folders, &dump->container->state.annotations, &dump->criu,
                               err);
    if (r < 0)
        return r;
    dump->criu.pid = dump->container->state.pid;
    dump->criu.root = dump->container->state.rootfs;
    find_freezer(dump);
    r = add_namespace(dump, "network", "net", "extRootNetNS", err);
    if (r == 0)
        r = add_namespace(dump, "pid", "pid", "extRootPidNS", err);
    if (r < 0)
        return r;
    /* Network devices belong to engines, whose hooks make them again at restore. */
    if (network != NULL && text_is_empty(network->path))
        dump->criu.empty_ns = CLONE_NEWNET;
    r = add_mounts(dump, err);
    if (r < 0)
        return r;
    return look_at_descriptors(dump, err);
}

static int write_descriptors(const struct dump *dump, struct error *err)
{
    auto_free char *json = NULL;
    int r;

    if (dump->options->is_pre_dump)
        return 0;
    json = descriptors_format(&dump->descriptors);
    r = file_replace(dump->folders.image_fd, DESCRIPTORS_FILE, json, strlen(json), 0600,
                     FILE_SYNC_NONE, err);
    return r < 0 ? error_prefix(err, r, "write into '%s'", dump->options->image_path) : 0;
}

static int notice(const struct criu_response *response, int *fd, void *context, struct error *err)
{
    const struct dump *dump = context;

    (void)fd;
    /* Nothing is thawed or ended before the answer. */
    if (strcmp(response->script, "post-dump") == 0 && dump->options->keep != NULL)
        return dump->options->keep(dump->options->keep_context, err);
    if (strcmp(response->script, "status-ready") != 0 || dump->options->status_fd < 0)
        return 0;
    if (write(dump->options->status_fd, "", 1) != 1)
        return error_errno(err, "write to --status-fd %d", dump->options->status_fd);
    (void)close(dump->options->status_fd); /* who waits for its end must not wait for ours */
    return 0;
}

static int prepare_child(const void *context, struct error *err)
{
    const struct dump *dump = context;
    int r = checkpoint_shut_off_child(err);

    return r < 0 ? r : checkpoint_folders_reopen_child(&dump->folders, dump->options, err);
}

static int run_dump(struct dump *dump, const char *purpose, struct error *err)
{
    AUTO_CLEAR(criu) struct criu criu = CRIU_INITIALIZER;
    const struct criu_start start = { .stdio = { -1, -1, -1 },
                                      .prepare_child = prepare_child,
                                      .context = dump };
    const struct criu_request request = {
        .type = dump->options->is_pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP,
        .options = &dump->criu,
    };
    const struct checkpoint_folders *folders = &dump->folders;
    int log_fd = folders->work_fd >= 0 ? folders->work_fd : folders->image_fd;
    struct criu_response response;
    int r;

    r = criu_start(&start, purpose, &criu, err);
    if (r < 0)
        return r;
    r = criu_run(&criu, &request, notice, dump, &response, err);
    if (r < 0) {
        r = criu_fail(&criu, r, log_fd, folders->log_dir, CRIU_DUMP_LOG, err);
        return error_prefix(err, r, "%s", purpose);
    }
    return 0;
}

static int check_status_fd(const struct checkpoint_options *options, struct error *err)
{
    int flags;

    if (options->status_fd < 0)
        return 0;
    flags = fcntl(options->status_fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
        return error_set(err, EBADF, "--status-fd %d: is not open for writing", options->status_fd);
    return 0;
}

int container_checkpoint(struct container *container, const struct checkpoint_options *options,
                         struct error *err)
{
    AUTO_CLEAR(dump)
    struct dump dump = {
        .container = container,
        .options = options,
        .proc_fd = -1,
        .folders = CHECKPOINT_FOLDERS_NONE,
        .criu = CRIU_OPTIONS_NONE,
    };
    auto_free char *purpose = xasprintf("a checkpoint of container '%s'", container->state.id);
    const struct criu_probe probe = {
        .needs_mem_track = options->is_pre_dump || options->parent_path != NULL,
        .needs_lazy_pages = options->is_lazy,
    };
    const struct isolation *isolation = NULL;
    uint32_t version = 0;
    int r;

    r = container_find_isolation(container, &isolation, err);
    if (r == 0 && isolation != NULL)
        return isolation_checkpoint(container, isolation, options, err);
    if (r == 0)
        r = checkpoint_check_rights(purpose, err);
    if (r == 0)
        r = checkpoint_options_check(options, err);
    if (r == 0)
        r = check_status_fd(options, err);
    if (r == 0)
        r = check_status(container, err);
    if (r == 0)
        r = container_spec(container, &dump.spec, err);
    if (r == 0)
        r = namespaces_need_mounts(dump.spec, "a checkpoint", err);
    if (r < 0)
        return r;
    r = criu_check(&probe, purpose, &version, err);
    if (r < 0)
        return r;
    r = open_process(&dump, err);
    if (r < 0)
        return r;
    r = checkpoint_folders_open(options, true, spec_find_namespace(dump.spec, "user") != NULL,
                                &dump.folders, err);
    if (r < 0)
        return r;
    r = plan_dump(&dump, version, err);
    if (r < 0)
        return r;
    r = write_descriptors(&dump, err);
    if (r < 0)
        return r;
    r = run_dump(&dump, purpose, err);
    if (r < 0)
        return r;
    log_debug("checkpoint %s: the image is in '%s'", container->state.id, options->image_path);
    if (options->leaves_running || options->is_pre_dump || options->leaves_container)
        return 0;
    return container_delete(container, true, err);
}
