#include "runtime/container.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/process.h"
#include "runtime/hooks.h"

#define KILL_WAIT_MS 10000 /* how long a killed process may take to die */

const char *container_status_name(enum container_status status)
{
    static const char *const names[] = {
        [CONTAINER_CREATING] = "creating", [CONTAINER_CREATED] = "created",
        [CONTAINER_RUNNING] = "running",   [CONTAINER_PAUSED] = "paused",
        [CONTAINER_STOPPED] = "stopped",
    };

    return names[status];
}

int container_id_check(const char *id, struct error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_+-.";

    if (text_is_empty(id))
        return error_set(err, EINVAL, "container id cannot be empty");
    if (strlen(id) > 255 || id[strspn(id, allowed)] != '\0' || strcmp(id, ".") == 0 ||
        strcmp(id, "..") == 0 || id[0] == '.')
        return error_set(err, EINVAL,
                         "invalid container id '%s': letters, digits and _+-. are allowed, up to "
                         "255, not beginning with a dot",
                         id);
    return 0;
}

void container_free(struct container *container)
{
    if (container == NULL)
        return;
    state_clear(&container->state);
    spec_free(container->own_spec);
    cgroup_free(container->cgroup);
    cgroup_system_free(container->own_cgroups);
    free(container->warning);
    auto_close_cleanup(&container->dir_fd);
    auto_close_cleanup(&container->pidfd);
    auto_close_cleanup(&container->sync_fd);
    auto_close_cleanup(&container->console_fd);
    free(container);
}

int container_open(struct runtime *runtime, const char *id, struct container **ret_container,
                   struct error *err)
{
    AUTO(container) struct container *container = xcalloc(1, sizeof(*container));
    uint32_t nanoseconds = 0;
    int64_t seconds = 0;
    int r;

    container->runtime = runtime;
    container->dir_fd = container->pidfd = container->sync_fd = container->console_fd = -1;
    r = container_id_check(id, err);
    if (r < 0)
        return r;
    r = path_open_beneath(runtime->fd, id, O_RDONLY | O_DIRECTORY, 0, &container->dir_fd, err);
    if (r == -ENOENT)
        return error_set(err, ENOENT, "container '%s' does not exist", id);
    if (r < 0)
        return r;
    r = state_read(container->dir_fd, &container->state, err);
    if (r == -ENOENT)
        return error_set(err, ENOENT, "container '%s' does not exist", id);
    if (r < 0)
        return error_prefix(err, r, "state of container '%s'", id);
    if (text_parse_time(container->state.created, &seconds, &nanoseconds, NULL) == 0)
        container->created_at = (struct timespec){ .tv_sec = seconds, .tv_nsec = nanoseconds };
    if (container->state.pid > 0) {
        r = process_open(container->state.pid, container->state.start_time, &container->pidfd, err);
        if (r < 0 && r != -ESRCH)
            return r;
    }
    *ret_container = take_ptr(&container);
    return 0;
}

int container_list(struct runtime *runtime, struct strings *ret_ids, struct error *err)
{
    int fd = openat(runtime->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    DIR *directory;

    if (fd < 0 || (directory = fdopendir(fd)) == NULL)
        return error_errno(err, "list '%s'", runtime->path);
    while ((entry = readdir(directory)) != NULL) {
        auto_free char *state = NULL;

        if (container_id_check(entry->d_name, NULL) < 0)
            continue;
        state = path_join(entry->d_name, STATE_FILE);
        if (faccessat(runtime->fd, state, F_OK, 0) == 0)
            strings_add(ret_ids, entry->d_name);
    }
    (void)closedir(directory);
    strings_sort(ret_ids);
    return 0;
}

const char *container_id(const struct container *container)
{
    return container->state.id;
}

const char *container_bundle(const struct container *container)
{
    return container->state.bundle;
}

int container_pidfd(const struct container *container)
{
    return container->pidfd;
}

const struct timespec *container_created_at(const struct container *container)
{
    return &container->created_at;
}

const struct string_map *container_annotations(const struct container *container)
{
    return &container->state.annotations;
}

uint32_t container_owner_uid(const struct container *container)
{
    return container->state.owner_uid;
}

int container_take_console(struct container *container)
{
    return take_fd(&container->console_fd);
}

static bool is_alive(const struct container *container)
{
    return container->pidfd >= 0 && process_wait_end(container->pidfd, 0, NULL) == 0;
}

pid_t container_pid(const struct container *container)
{
    return is_alive(container) ? container->state.pid : 0;
}

/* In the hierarchies where it is; in the others another cgroup may have its path. */
static int open_delegated(struct container *container, struct error *err)
{
    auto_free char *path = NULL;
    int r = 0;

    if (container->own_cgroups != NULL)
        return 0;
    r = cgroup_path_parse(container->state.cgroup, &path, err);
    if (r == 0)
        r = cgroup_system_open(NULL, &container->own_cgroups, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    (void)cgroup_system_keep_delegated(container->own_cgroups, path, true); /* none: as if gone */
    return 0;
}

static int open_cgroup(struct container *container, struct error *err)
{
    struct cgroup_system *system = NULL;
    int r;

    if (container->cgroup != NULL || container->state.cgroup == NULL)
        return 0;
    if (container->state.is_cgroup_delegated) {
        r = open_delegated(container, err);
        system = container->own_cgroups;
    } else {
        r = runtime_open_cgroups(container->runtime, &system, err);
    }
    if (r < 0 || system == NULL)
        return r;
    r = cgroup_open(system, container->state.cgroup, &container->cgroup, err);
    return r < 0 && r != -ENOENT && r != -EOPNOTSUPP ? r : 0;
}

pid_t container_first_pid(const struct container *container)
{
    return container->state.pid;
}

struct cgroup *container_cgroup(struct container *container)
{
    (void)open_cgroup(container, NULL); /* none: nothing to limit, count or kill */
    return container->cgroup;
}

int container_pids(struct container *container, pid_t **ret_pids, size_t *ret_count,
                   struct error *err)
{
    struct cgroup *cgroup = container_cgroup(container);
    AUTO_CLEAR(process_tree) struct tree tree = { 0 };
    pid_t *pids;
    int r;

    if (cgroup != NULL)
        return cgroup_pids(cgroup, ret_pids, ret_count, err);
    if (is_alive(container)) {
        r = process_tree_read(container->state.pid, &tree, err);
        if (r < 0)
            return r;
    }
    pids = xcalloc(tree.count + 1, sizeof(*pids));
    for (size_t i = 0; i < tree.count; i++)
        pids[i] = tree.items[i].pid;
    *ret_pids = pids;
    *ret_count = tree.count;
    return 0;
}

int container_spec(struct container *container, const struct spec **ret_spec, struct error *err)
{
    auto_close int bundle_fd = -1;
    int r;

    if (container->spec == NULL) {
        r = spec_read(container->dir_fd, STATE_CONFIG_FILE, &container->own_spec, err);
        if (r == -ENOENT) {
            bundle_fd = open(container->state.bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
            if (bundle_fd < 0)
                return error_errno(err, "open the bundle '%s'", container->state.bundle);
            r = spec_read(bundle_fd, "config.json", &container->own_spec, err);
        }
        if (r < 0)
            return r;
        container->spec = container->own_spec;
    }
    *ret_spec = container->spec;
    return 0;
}

int container_status(struct container *container, enum container_status *ret_status,
                     struct error *err)
{
    struct cgroup *cgroup;
    int r;

    if (!is_alive(container)) {
        *ret_status = container->state.pid == 0 ? CONTAINER_CREATING : CONTAINER_STOPPED;
        return 0;
    }
    if (container->state.is_creating) {
        *ret_status = CONTAINER_CREATING;
        return 0;
    }
    cgroup = container_cgroup(container);
    if (cgroup != NULL) {
        r = cgroup_is_frozen(cgroup, err);
        if (r == -ENOENT && !is_alive(container)) { /* since a moment */
            *ret_status = CONTAINER_STOPPED;
            return 0;
        }
        if (r < 0 && r != -EOPNOTSUPP) /* what cannot be frozen is not */
            return r;
        if (r > 0) {
            *ret_status = CONTAINER_PAUSED;
            return 0;
        }
    }
    *ret_status = faccessat(container->dir_fd, STATE_SOCKET, F_OK, 0) == 0 ? CONTAINER_CREATED
                                                                           : CONTAINER_RUNNING;
    return 0;
}

int container_state_json(struct container *container, char **ret_json, struct error *err)
{
    enum container_status status;
    int r;

    r = container_status(container, &status, err);
    if (r < 0)
        return r;
    *ret_json = state_format(&container->state, status, container_pid(container));
    return 0;
}

int container_state_row(struct container *container, const char *owner, char **ret_json,
                        struct error *err)
{
    enum container_status status;
    int r;

    r = container_status(container, &status, err);
    if (r < 0)
        return r;
    *ret_json = state_format_row(&container->state, status, container_pid(container), owner);
    return 0;
}

/* Where the first process had no pid namespace of its own, others may outlive it. */
static bool has_survivors(struct cgroup *cgroup)
{
    auto_free pid_t *pids = NULL;
    size_t count = 0;

    return cgroup != NULL && cgroup_pids(cgroup, &pids, &count, NULL) == 0 && count > 0;
}

int container_signal(struct container *container, int signal, bool to_all, struct error *err)
{
    struct cgroup *cgroup = container_cgroup(container);
    bool is_running = is_alive(container);

    /* A kill takes all along, as it does where the first process has its own pid namespace, and
     * thaws: without the latter it would wait in a paused container. */
    if (cgroup != NULL && (to_all || (is_running && signal == SIGKILL)))
        return cgroup_signal(cgroup, signal, err);
    if (!is_running && signal == SIGKILL && has_survivors(cgroup))
        return cgroup_signal(cgroup, signal, err);
    if (!is_running)
        return error_set(err, ESRCH, "container not running: '%s'", container->state.id);
    if (cgroup == NULL && (to_all || signal == SIGKILL))
        return process_tree_signal(container->state.pid, signal, err);
    return process_send_signal(container->pidfd, signal, err);
}

static int need_cgroup(struct container *container, const char *what, struct cgroup **ret_cgroup,
                       struct error *err)
{
    enum container_status status;
    int r;

    r = container_status(container, &status, err);
    if (r < 0)
        return r;
    if (status != CONTAINER_RUNNING && status != CONTAINER_CREATED && status != CONTAINER_PAUSED)
        return error_set(err, ESRCH, "container not running: '%s'", container->state.id);
    *ret_cgroup = container_cgroup(container);
    if (*ret_cgroup == NULL)
        return error_set(err, EOPNOTSUPP, "%s '%s': it has no cgroup", what, container->state.id);
    return (int)status;
}

int container_pause(struct container *container, struct error *err)
{
    struct cgroup *cgroup = NULL;
    int r = need_cgroup(container, "pause", &cgroup, err);

    if (r < 0)
        return r;
    if (r == CONTAINER_PAUSED)
        return error_set(err, EINVAL, "container not running: '%s' is already paused",
                         container->state.id);
    return cgroup_freeze(cgroup, err);
}

int container_resume(struct container *container, struct error *err)
{
    struct cgroup *cgroup = NULL;
    int r = need_cgroup(container, "resume", &cgroup, err);

    if (r == -ESRCH)
        return error_set(err, ESRCH, "container not paused: '%s' is not running",
                         container->state.id);
    if (r < 0)
        return r;
    if (r != CONTAINER_PAUSED)
        return error_set(err, EINVAL, "container not paused: '%s'", container->state.id);
    return cgroup_thaw(cgroup, err);
}

/* --- delete
 * ---------------------------------------------------------------------------------------- */

static int kill_and_wait(struct container *container, struct error *err)
{
    struct cgroup *cgroup = container_cgroup(container);
    int r;

    /* Without a cgroup this is the last moment at which the others are known. */
    if (cgroup == NULL) {
        r = process_tree_signal(container->state.pid, SIGKILL, err);
        if (r < 0)
            return r;
    }
    r = process_send_signal(container->pidfd, SIGKILL, err);
    if (r < 0 && r != -ESRCH)
        return r;
    /* A frozen process dies only when it is thawed (v1). */
    if (cgroup != NULL)
        (void)cgroup_thaw(cgroup, NULL);
    /* Reap it where it is our own child; elsewhere its parent does. */
    r = process_wait_end(container->pidfd, KILL_WAIT_MS, err);
    if (r == 0)
        return error_set(err, EBUSY,
                         "process %d of container '%s' does not die: it is stuck in "
                         "the kernel",
                         container->state.pid, container->state.id);
    return r < 0 ? r : 0;
}

static void run_poststop(struct container *container)
{
    const struct spec *spec = NULL;
    struct error err = { 0 };

    if (container_spec(container, &spec, NULL) < 0)
        return;
    /* A failing poststop hook must not keep the container (runtime.md "Lifecycle" 13). */
    if (hooks_run(spec, HOOK_POSTSTOP, &container->state, 0, NULL, &err) < 0)
        log_warning("%s", err.message);
}

static int delete_scope(struct container *container, struct error *err)
{
    struct error unit_error = { 0 };
    int r;

    if (container->state.scope == NULL)
        return 0;
    if (container_stop_scope(container, &unit_error) < 0)
        /* without processes and cgroup it ends by itself */
        log_warning("%s", unit_error.message);
    if (container->cgroup != NULL)
        return 0;
    /* A creator may have been at work: systemd does not know all parts of a cgroup of v1. */
    r = open_cgroup(container, err);
    return r < 0 || container->cgroup == NULL ? r : cgroup_delete(container->cgroup, err);
}

int container_delete(struct container *container, bool is_forced, struct error *err)
{
    const char *id = container->state.id;
    enum container_status status;
    int r;

    if (container->is_deleted)
        return 0;
    /* First, as the run state is what tells of the cgroup: it must not go without it. */
    r = open_cgroup(container, err);
    if (r < 0)
        return r;
    if (is_alive(container)) {
        r = container_status(container, &status, err);
        if (r < 0 && !is_forced)
            return r;
        if (!is_forced && status != CONTAINER_CREATED)
            return error_set(err, EBUSY, "cannot delete container '%s' that is not stopped: %s", id,
                             container_status_name(status));
        r = kill_and_wait(container, err);
        if (r < 0)
            return r;
    }
    if (container->cgroup != NULL) {
        r = cgroup_delete(container->cgroup, err);
        if (r < 0)
            return r;
    }
    r = host_setup_undo(&container->state, err);
    if (r < 0)
        return r;
    r = delete_scope(container, err);
    if (r < 0)
        return r;
    log_debug("delete %s: no process and no cgroup is left", id);
    run_poststop(container);
    r = path_remove_tree(container->runtime->fd, id, err);
    container->is_deleted = r == 0;
    return r;
}

int container_delete_remains(struct runtime *runtime, const char *id, struct error *err)
{
    AUTO(container) struct container *container = NULL;
    int r;

    r = container_id_check(id, err);
    if (r < 0)
        return r;
    r = container_open(runtime, id, &container, err);
    if (r == 0)
        return container_delete(container, true, err);
    /* Without a state nothing but the directory was made, for the state is written first; a damaged
     * one tells nothing. But a failure to read it must not hide a container that is there. */
    if (r != -ENOENT && r != -EINVAL && r != -EFBIG && r != -EISDIR)
        return r;
    return path_remove_tree(runtime->fd, id, err);
}
