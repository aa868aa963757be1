#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/process.h"
#include "base/wire.h"
#include "runtime/cgroup_owner.h"
#include "runtime/creation.h"
#include "runtime/notify.h"
#include "runtime/process_setup.h"
#include "runtime/rootfs.h"

/* The creator's side of create and start. Everything that can be decided is decided before the
 * first thing is made; from then on a failure undoes what was made, and a crash leaves a state file
 * that names the cgroup, an init that dies with its creator, and a directory in RUN that
 * container_delete_remains() removes. */

static void release(int *fd)
{
    auto_close_cleanup(fd);
    *fd = -1;
}

static bool has_limits(const struct cgroup_resources *resources)
{
    return resources->memory.has_limit || resources->memory.has_swap || resources->cpu.has_quota ||
           resources->cpu.has_shares || resources->pids.has_limit || resources->cpu.cpus != NULL ||
           resources->memory.has_reservation || resources->block_io.has_weight ||
           resources->unified.count > 0;
}

int creation_plan_cgroup(struct creation *creation, struct error *err)
{
    enum cgroup_manager manager = creation->container->runtime->cgroup_manager;
    const char *path = creation->spec->linux_.cgroups_path;
    struct state *state = &creation->container->state;
    struct cgroup_system *system = NULL;
    auto_free char *fallback = NULL;
    int r;

    r = runtime_open_cgroups(creation->container->runtime, &system, err);
    if (r < 0)
        return r;
    creation->resources = resources_with_default_devices(creation->spec->linux_.resources);
    if (manager != CGROUP_MANAGER_CGROUPFS)
        state->cgroup_manager = xstrdup(cgroup_manager_name(manager));
    if (manager == CGROUP_MANAGER_SYSTEMD)
        return creation_plan_scope(creation, err);
    if (manager == CGROUP_MANAGER_DISABLED) {
        if (has_limits(creation->resources))
            log_warning("linux.resources: cgroups are disabled, so no limit is kept");
        return 0;
    }
    if (creation->container->runtime->rootless == ROOTLESS_TRUE)
        return rootless_plan_cgroup(creation->container, path, creation->resources, err);
    if (system == NULL || cgroup_system_layout(system) == CGROUP_LAYOUT_NONE) {
        if (!has_limits(creation->resources))
            return 0;
        return error_set(err, EOPNOTSUPP,
                         "linux.resources: no cgroups are mounted below /sys/fs/cgroup, "
                         "so no limit can be kept");
    }
    if (text_is_empty(path))
        path = fallback = xasprintf("/%s", creation->options->id);
    r = cgroup_path_parse(path, &state->cgroup, err);
    return r < 0 ? error_prefix(err, r, "linux.cgroupsPath") : 0;
}

int creation_plan_state(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    const struct spec *spec = creation->spec;
    struct state *state = &container->state;
    auto_free char *bundle = NULL;

    bundle = realpath(creation->options->bundle_path, NULL);
    if (bundle == NULL)
        return error_errno(err, "find the bundle '%s'", creation->options->bundle_path);
    (void)clock_gettime(CLOCK_REALTIME, &container->created_at);
    state->oci_version = xstrdup(spec->oci_version);
    state->id = xstrdup(creation->options->id);
    state->rootfs = spec->root->path[0] == '/' ? xstrdup(spec->root->path)
                                               : path_join(bundle, spec->root->path);
    state->bundle = take_ptr(&bundle);
    state->created =
        text_format_time(container->created_at.tv_sec, (uint32_t)container->created_at.tv_nsec);
    state->owner_uid = getuid();
    for (size_t i = 0; i < spec->annotations.count; i++)
        string_map_set(&state->annotations, spec->annotations.items[i].key,
                       spec->annotations.items[i].value);
    return 0;
}

static int check_terminal(const struct creation *creation, struct error *err)
{
    const struct container_options *options = creation->options;
    bool is_taken = options->keeps_console || options->console_socket != NULL;

    if (creation->spec->process->terminal && !is_taken)
        return error_set(err, EINVAL,
                         "process.terminal: is true, but nobody takes the terminal; give a "
                         "console socket");
    if (!creation->spec->process->terminal && options->console_socket != NULL)
        return error_set(err, EINVAL, "a console socket is given, but process.terminal is false");
    return 0;
}

/* Only where the spec is ours to change, and the program could reach the socket. */
static bool has_notify_socket(const struct creation *creation)
{
    return creation->options->has_notify_socket && creation->container->own_spec != NULL &&
           creation->container->state.isolation == NULL;
}

static int plan_all(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    int r;

    if (creation->spec->process == NULL)
        return error_set(err, EINVAL, "process: is missing");
    r = check_terminal(creation, err);
    if (r < 0)
        return r;
    r = creation_plan_state(creation, err);
    if (r == 0)
        r = creation_isolate(creation, err);
    if (r < 0)
        return r;
    if (has_notify_socket(creation))
        notify_change_spec(container->runtime->path, creation->options->id, container->own_spec);
    r = rootfs_plan(creation->spec, container->state.bundle, &creation->rootfs, err);
    if (r < 0)
        return r;
    if (creation->options->root_mount != NULL)
        r = rootfs_take_root(creation->rootfs, *creation->options->root_mount, err);
    if (r == 0)
        r = creation_plan_cgroup(creation, err);
    if (r < 0)
        return r;
    r = launch_plan_make(creation->spec, creation->spec->process, container->runtime,
                         &creation->launch, err);
    if (r < 0)
        return r;
    memcpy(creation->launch.stdio, creation->options->stdio, sizeof(creation->launch.stdio));
    creation->launch.preserve_fds = creation->options->preserve_fds;
    creation->launch.listen_fds = creation->options->listen_fds;
    creation->launch.dies_with_parent = creation->options->dies_with_caller;
    r = host_setup_plan(creation->spec, &container->state, err);
    if (r < 0)
        return r;
    r = hook_output_open(creation->spec, &creation->hook_output, err);
    if (r < 0)
        return r;
    r = rootfs_prepare(creation->rootfs, err);
    if (r < 0)
        return r;
    return namespaces_open(creation->spec, &creation->namespaces, err);
}

/* The spec as it is now, for later commands: changes to the bundle have no effect after create. No
 * atomic replace: nobody reads it while there is no process. */
static int save_config(const struct creation *creation, struct error *err)
{
    auto_close int fd = -1;

    if (creation->config_json == NULL)
        return 0; /* the caller vouches for its bundle */
    fd = openat(creation->container->dir_fd, STATE_CONFIG_FILE,
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, "create %s", STATE_CONFIG_FILE);
    return fd_write_all(fd, creation->config_json, strlen(creation->config_json), STATE_CONFIG_FILE,
                        err);
}

int creation_make_directory(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    const char *id = creation->options->id;
    int r;

    if (mkdirat(container->runtime->fd, id, 0711) < 0) {
        if (errno == EEXIST)
            return error_set(err, EEXIST, "container with given ID already exists: '%s'", id);
        return error_errno(err, "make the run directory of container '%s'", id);
    }
    creation->has_directory = true;
    r = path_open_beneath(container->runtime->fd, id, O_RDONLY | O_DIRECTORY, 0, &container->dir_fd,
                          err);
    if (r < 0)
        return r;
    r = state_write(container->dir_fd, &container->state, err);
    if (r < 0)
        return r;
    r = save_config(creation, err);
    if (r < 0 || creation->options->is_started_here)
        return r;
    return wire_listen(container->dir_fd, STATE_SOCKET, 0600, &creation->listen_fd, err);
}

static int create_cgroup(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    struct cgroup_system *system = container->state.is_cgroup_delegated
                                       ? container->own_cgroups
                                       : runtime_cgroups(container->runtime);
    int r;

    r = cgroup_create(system, container->state.cgroup, &container->cgroup, err);
    if (r == -EEXIST)
        return error_set(err, EEXIST, "container's cgroup is not empty: '%s'",
                         container->state.cgroup);
    if (r == -EBUSY)
        return error_set(err, EBUSY, "container's cgroup unexpectedly frozen: '%s'",
                         container->state.cgroup);
    if (r < 0)
        return r;
    if (container->state.is_cgroup_delegated)
        return rootless_apply_limits(container, creation->spec->linux_.cgroups_path != NULL,
                                     creation->resources, err);
    r = cgroup_apply(container->cgroup, creation->resources, err);
    return r < 0 ? error_prefix(err, r, "linux.resources") : 0;
}

int creation_make_cgroup(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    int r;

    if (container->state.cgroup == NULL || container->state.scope != NULL)
        return 0;
    r = create_cgroup(creation, err);
    if (r < 0 && rootless_may_retry(container, r)) {
        r = rootless_replan_cgroup(container, creation->spec->linux_.cgroups_path,
                                   creation->resources, err);
        if (r == 0 && container->state.cgroup != NULL)
            r = create_cgroup(creation, err);
    }
    return r < 0 ? r : cgroup_owner_apply(creation->spec, container, err);
}

static pid_t clone_process(uint64_t flags, int cgroup_fd, int *ret_pidfd)
{
    struct clone_args arguments = {
        .flags = flags | CLONE_PIDFD | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0,
    };

    return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

/* Flags that clone3 can make at once; the others are made by the init (see prepare_namespaces). */
static uint64_t clone_flags(const struct namespaces_plan *plan)
{
    return plan->new_flags & ~namespaces_made_by_init(plan);
}

static void fill_init_context(const struct creation *creation, bool is_cloned_into,
                              struct init_context *ret_context)
{
    struct container *container = creation->container;

    *ret_context = (struct init_context){
        .spec = creation->spec,
        .rootfs = creation->rootfs,
        .launch = &creation->launch,
        .namespaces = &creation->namespaces,
        .cgroups = container->runtime->cgroups,
        .cgroup = container->cgroup,
        .is_cloned_into = is_cloned_into,
        .cgroup_path = container->state.cgroup,
        .id = container->state.id,
        .state = &container->state,
        .hook_output = creation->hook_output,
        .creator_fd = container->sync_fd,
        .callers_fds = creation->options->callers_fds,
        .sync_fd = creation->init_sync_fd,
        .listen_fd = creation->listen_fd,
        .has_scope = container->state.scope != NULL,
        .has_no_pivot = creation->options->has_no_pivot,
        .has_no_new_keyring = creation->options->has_no_new_keyring,
        .dies_with_parent = creation->options->dies_with_caller,
    };
}

static int join_child(void *data, struct error *err)
{
    const struct init_context *context = data;

    return namespaces_join_child(context->namespaces, err);
}

static int enter_and_join_child(void *data, struct error *err)
{
    const struct init_context *context = data;
    int r = cgroup_enter_child(context->cgroup, false, err);

    return r < 0 ? r : join_child(data, err);
}

static void run_init_child(void *data)
{
    init_run_child(data);
}

/* Namespaces that exist have to be joined before new ones are made in them. */
static pid_t clone_through_joiner(struct init_context *context, int cgroup_fd, struct error *err)
{
    struct sibling sibling = {
        .flags = clone_flags(context->namespaces),
        .cgroup_fd = cgroup_fd,
        .prepare_child = join_child,
        .run_child = run_init_child,
        .data = context,
    };
    pid_t pid = sibling_create(&sibling, err);

    if (pid != -ENOENT || cgroup_fd < 0)
        return pid;
    /* From a cgroup namespace that was joined no way leads to cgroups beside it where v2 is mounted
     * with nsdelegate, as systemd does (Documentation/admin-guide/cgroup-v2.rst, "Delegation
     * Containment"). So the child's maker enters first, and the child is where its maker is. */
    sibling.prepare_child = enter_and_join_child;
    sibling.cgroup_fd = -1;
    return sibling_create(&sibling, err);
}

static int clone_init(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    int cgroup_fd = container->cgroup != NULL ? cgroup_clone_part_fd(container->cgroup) : -1;
    struct init_context context;
    pid_t pid;

    fill_init_context(creation, cgroup_fd >= 0, &context);
    if (creation->namespaces.join_count > 0) {
        pid = clone_through_joiner(&context, cgroup_fd, err);
    } else {
        pid = clone_process(clone_flags(&creation->namespaces), cgroup_fd, &container->pidfd);
        if (pid == 0)
            init_run_child(&context);
        if (pid < 0)
            error_errno(err, "clone the container's init");
    }
    if (pid < 0 && cgroup_fd >= 0 && err != NULL)
        (void)cgroup_explain_refusal(container->cgroup, -err->code,
                                     err); /* or keeps what it says */
    if (pid < 0)
        return err != NULL && err->code != 0 ? -err->code : -EAGAIN;
    container->state.pid = pid;
    if (container->pidfd < 0)
        container->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return container->pidfd < 0 ? error_errno(err, "open the container's init") : 0;
}

static int wait_created(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    const struct spec *spec = creation->spec;
    int fds[2] = { -1, -1 };
    int r;

    if (hooks_are_given(spec, HOOK_PRESTART) || hooks_are_given(spec, HOOK_CREATE_RUNTIME)) {
        r = sync_expect(container->sync_fd, SYNC_HOOKS, NULL, err);
        if (r == 0)
            return error_set(err, ESRCH, "the container's init ended before its mounts stood");
        if (r < 0)
            return r;
        r = hooks_run(spec, HOOK_PRESTART, &container->state, container->state.pid, NULL, err);
        if (r == 0)
            r = hooks_run(spec, HOOK_CREATE_RUNTIME, &container->state, container->state.pid, NULL,
                          err);
        if (r < 0)
            return r;
        r = sync_send(container->sync_fd, SYNC_HOOKS_DONE, NULL, 0, err);
        if (r < 0)
            return r;
    }
    r = sync_expect(container->sync_fd, SYNC_CREATED, fds, err);
    if (r == 0)
        return error_set(err, ESRCH,
                         "the container's init ended before it was created "
                         "(killed, or out of memory under its limit?)");
    if (r < 0)
        return r;
    auto_close_cleanup(&fds[1]);
    container->console_fd = fds[0];
    return 0;
}

/* To --pidfd-socket, and to whom crun's annotation names; with the words that runc sends along. */
static int give_pidfd(const struct creation *creation, struct error *err)
{
    const char *receiver = string_map_get(&creation->spec->annotations, ANNOTATION_PIDFD_RECEIVER);
    int pidfd = creation->container->pidfd;
    int r = 0;

    if (creation->options->pidfd_socket != NULL)
        r = handover_give(creation->options->pidfd_socket, "standard", pidfd, "pidfd socket", err);
    if (r == 0 && receiver != NULL)
        r = handover_give(receiver, "standard", pidfd, "annotation " ANNOTATION_PIDFD_RECEIVER,
                          err);
    return r;
}

int creation_hand_over(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    const struct container_options *options = creation->options;
    int r = 0;

    if (options->console_socket != NULL) {
        r = terminal_send(options->console_socket, container->console_fd, err);
        if (r < 0)
            return r;
        release(&container->console_fd);
    }
    r = give_pidfd(creation, err);
    if (r < 0)
        return r;
    if (options->pid_file != NULL)
        r = pid_file_write(options->pid_file, container->state.pid, err);
    return r;
}

static bool needs_host(const struct creation *creation)
{
    return creation->container->state.scope != NULL || rootfs_gives_sources(creation->rootfs) ||
           host_setup_is_needed(creation->spec, &creation->namespaces);
}

/* What the init waits for; then HOST_READY. Interfaces come last, as nothing takes them back. */
static int set_up_from_host(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    int r = 0;

    if (container->state.scope != NULL)
        r = creation_make_scope(creation, container->state.pid, err);
    if (r == 0)
        r = rootfs_open_sources_of(creation->rootfs, container->state.pid, container->pidfd, err);
    if (r == 0)
        r = host_setup_apply(creation->spec, &creation->namespaces, &container->state, err);
    if (r == 0)
        r = sync_send(container->sync_fd, SYNC_HOST_READY, NULL, 0, err);
    return r < 0 ? r : rootfs_send_sources(creation->rootfs, container->sync_fd, err);
}

static int make_container(struct creation *creation, struct error *err)
{
    struct container *container = creation->container;
    auto_close int init_fd = -1;
    int pair[2];
    int r;

    r = creation_make_directory(creation, err);
    if (r < 0)
        return r;
    if (has_notify_socket(creation)) {
        r = notify_make_directory(container->dir_fd, err);
        if (r < 0)
            return r;
    }
    r = creation_prepare_isolation(creation, err);
    if (r < 0)
        return r;
    log_debug("create %s: state is written", container->state.id);
    r = creation_make_cgroup(creation, err);
    if (r < 0)
        return r;
    log_debug("create %s: cgroup %s has its limits", container->state.id,
              container->state.cgroup != NULL ? container->state.cgroup : "none");
    r = wire_pair(pair, err);
    if (r < 0)
        return r;
    container->sync_fd = pair[0];
    init_fd = creation->init_sync_fd = pair[1];
    if (!needs_host(creation)) {
        /* Nothing has to be done from outside: the message waits in the socket already. */
        r = sync_send(container->sync_fd, SYNC_HOST_READY, NULL, 0, err);
        if (r < 0)
            return r;
    }
    r = clone_init(creation, err);
    if (r < 0)
        return r;
    (void)close(take_fd(&init_fd));
    r = process_start_time(container->state.pid, &container->state.start_time, err);
    if (r < 0)
        return r;
    if (needs_host(creation)) {
        r = set_up_from_host(creation, err);
        if (r < 0)
            return r;
    }
    log_debug("create %s: init is process %d", container->state.id, container->state.pid);
    /* While the init mounts, on the other processor: who cleans up after us has to know it. Its
     * root is still the host's, and so would be the one of who enters its namespaces. */
    container->state.is_creating = true;
    r = state_write(container->dir_fd, &container->state, err);
    if (r < 0)
        return r;
    r = wait_created(creation, err);
    if (r < 0)
        return r;
    container->state.is_creating = false;
    r = state_write(container->dir_fd, &container->state, err);
    if (r < 0)
        return r;
    log_debug("create %s: created", container->state.id);
    return creation_hand_over(creation, err);
}

/* Takes back what a failed creation made; the first error stays the one that is told. */
void creation_undo(struct creation *creation)
{
    struct container *container = creation->container;
    struct error ignored = { 0 };

    if (container->state.pid > 0) {
        (void)kill(container->state.pid, SIGKILL);
        (void)waitpid(container->state.pid, NULL, 0);
    }
    /* What failed may have been the want of descriptors, and removing needs some. */
    release(&container->dir_fd);
    release(&container->sync_fd);
    release(&container->pidfd);
    release(&creation->listen_fd);
    if (container->cgroup != NULL)
        (void)cgroup_delete(container->cgroup, &ignored);
    (void)host_setup_undo(&container->state, &ignored);
    if (creation->has_scope)
        (void)container_stop_scope(container, &ignored);
    if (creation->has_directory)
        (void)path_remove_tree(container->runtime->fd, container->state.id, &ignored);
    if (ignored.code != 0)
        log_warning("clean up after a failed create of '%s': %s", container->state.id,
                    ignored.message);
}

void creation_clear(struct creation *creation)
{
    free(creation->config_json);
    isolation_plan_clear(&creation->isolation);
    hook_output_free(creation->hook_output);
    free(creation->scope_slice);
    scope_properties_clear(&creation->scope_properties);
    rootfs_plan_free(creation->rootfs);
    launch_plan_clear(&creation->launch);
    namespaces_close(&creation->namespaces);
    resources_free_shallow(creation->resources);
    release(&creation->listen_fd);
}

struct container *creation_new_container(struct runtime *runtime)
{
    struct container *container = xcalloc(1, sizeof(*container));

    container->runtime = runtime;
    container->dir_fd = container->pidfd = container->sync_fd = container->console_fd = -1;
    return container;
}

int creation_read_bundle(struct creation *creation, struct error *err)
{
    const struct container_options *options = creation->options;
    struct container *container = creation->container;
    auto_close int fd = -1;
    int r;

    if (options->bundle_fd >= 0)
        fd = fcntl(options->bundle_fd, F_DUPFD_CLOEXEC, 3);
    else
        fd = strcmp(options->bundle_path, ".") == 0
                 ? AT_FDCWD
                 : open(options->bundle_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && fd != AT_FDCWD)
        return error_errno(err, "open the bundle '%s'", options->bundle_path);
    if (options->spec == NULL) {
        r = spec_read_text(fd, options->config_name != NULL ? options->config_name : "config.json",
                           &container->own_spec, &creation->config_json, err);
        if (r < 0)
            return r;
        if (rootless_complete_spec(container->runtime, container->own_spec)) {
            free(creation->config_json);
            creation->config_json = spec_encode(container->own_spec, ENCODE_COMPACT);
        }
    }
    container->spec = options->spec != NULL ? (struct spec *)options->spec : container->own_spec;
    creation->spec = container->spec;
    return 0;
}

int container_create(struct runtime *runtime, const struct container_options *options,
                     struct container **ret_container, struct error *err)
{
    AUTO(container) struct container *container = creation_new_container(runtime);
    struct creation creation = { .options = options, .container = container, .listen_fd = -1 };
    struct error local = { 0 };
    struct error *told = err != NULL ? err : &local;
    int r;

    r = container_id_check(options->id, told);
    if (r < 0)
        return r;
    r = creation_read_bundle(&creation, told);
    if (r < 0)
        return r;
    r = plan_all(&creation, told);
    if (r == 0) {
        r = make_container(&creation, told);
        if (r < 0)
            creation_undo(&creation);
    }
    creation_clear(&creation);
    if (r < 0)
        return r;
    if (!options->is_started_here)
        release(&container->sync_fd);
    *ret_container = take_ptr(&container);
    return 0;
}
