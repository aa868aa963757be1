#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/wire.h"
#include "runtime/hooks.h"
#include "runtime/process_setup.h"
#include "runtime/rootfs.h"

/* The child's side: from clone to exec, in the container's namespaces.
 *
 *   creator                                   init
 *     |  clone, id maps, cgroup               |
 *     |  HOST_READY  --------------------->   |
 *     |  SOURCE ...  --------------------->   | only for a user namespace that root made
 *     |                                       | mounts, devices
 *     |  <--------------------------  HOOKS   | only when there are hooks before the pivot
 *     |  HOOKS_DONE  --------------------->   | createContainer hooks, pivot, identity
 *     |  <------------------------  CREATED   | with the terminal's descriptor
 *     |  START  --------------------------->  | on this socket, or on start.sock
 *     |  <------------------------  STARTED   | startContainer hooks are done
 *     |  <-------------------- end of file    | closed by exec: the program runs
 *
 * An ERROR may come instead of each of the init's messages; end of file anywhere else means that
 * the init died. */

struct init {
    const struct init_context *context;
    struct rootfs *rootfs;
    struct launch_program program;
    char *cgroup_path;
    int peer_fd;     /* who is told how it goes: the creator, later the starter */
    int terminal_fd; /* slave; -1 */
    int master_fd;   /* -1 */
};

/* A death of the creator before the container is created must take the init along. */
static int tie_to_creator(struct error *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return error_errno(err, "tie the init to its creator");
    return 0;
}

static int wait_for(int fd, enum sync_type type, struct error *err)
{
    int r = sync_expect(fd, type, NULL, err);

    if (r == 0)
        return error_set(err, EPIPE, "the creator ended before %s", sync_name(type));
    return r < 0 ? r : 0;
}

/* Becomes root of a new user namespace; until then the ids are the overflow ids. */
static int become_namespace_root(struct error *err)
{
    if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
        return error_errno(err, "become root of the user namespace");
    return 0;
}

static int name_host(const struct spec *spec, struct error *err)
{
    if (spec->hostname != NULL && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
        return error_errno(err, "hostname: set '%s'", spec->hostname);
    if (spec->domainname != NULL && setdomainname(spec->domainname, strlen(spec->domainname)) < 0)
        return error_errno(err, "domainname: set '%s'", spec->domainname);
    return 0;
}

static int make_keyring(const struct init_context *context, struct error *err)
{
    auto_free char *name = NULL;
    int r;

    if (context->has_no_new_keyring)
        return 0;
    r = lsm_label_keys_child(&context->launch->lsm, true, err);
    if (r < 0)
        return r;
    name = xasprintf("_ses.%s", context->id);
    if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, name) < 0 && errno != ENOSYS &&
        errno != EPERM && errno != EDQUOT)
        return error_errno(err, "make a session keyring");
    return lsm_label_keys_child(&context->launch->lsm, false, err);
}

static int prepare_namespaces(const struct init_context *context, struct error *err)
{
    const struct namespaces_plan *plan = context->namespaces;
    uint64_t flags = namespaces_made_by_init(plan) & ~(uint64_t)CLONE_NEWTIME;
    int r;

    /* Before the ids change: from then on the process is not dumpable, and its files in /proc, the
     * offsets among them, belong to the host's root (proc(5)). */
    if (namespaces_are_new(plan, CLONE_NEWTIME)) {
        r = namespaces_enter_time_child(context->spec, err);
        if (r < 0)
            return r;
    }
    if (plan->has_new_user || plan->has_joined_user) {
        /* The namespace's root may not be let into the folders of whoever made it. */
        r = rootfs_gives_sources(context->rootfs)
                ? rootfs_receive_sources_child(context->rootfs, context->sync_fd, err)
                : rootfs_open_sources_child(context->rootfs, err);
        if (r < 0)
            return r;
        r = become_namespace_root(err);
        if (r < 0)
            return r;
    }
    if (flags != 0 && unshare((int)flags) < 0)
        return error_errno(err, "make the cgroup or IPC namespace");
    if (namespaces_are_new(plan, CLONE_NEWNET)) {
        r = namespaces_raise_loopback_child(err);
        if (r < 0)
            return r;
    }
    return name_host(context->spec, err);
}

static bool has_host_hooks(const struct spec *spec)
{
    return hooks_are_given(spec, HOOK_PRESTART) || hooks_are_given(spec, HOOK_CREATE_RUNTIME);
}

static int run_hooks_before_pivot(const struct init *init, struct error *err)
{
    const struct init_context *context = init->context;
    const struct spec *spec = context->spec;
    const struct hook_inside inside = { .output = context->hook_output,
                                        .env = &context->launch->env };
    int r;

    if (has_host_hooks(spec)) {
        r = sync_send(init->peer_fd, SYNC_HOOKS, NULL, 0, err);
        if (r < 0)
            return r;
        r = wait_for(init->peer_fd, SYNC_HOOKS_DONE, err);
        if (r < 0)
            return r;
    }
    if (!hooks_are_given(spec, HOOK_CREATE_CONTAINER))
        return 0; /* without a system call */
    return hooks_run(spec, HOOK_CREATE_CONTAINER, context->state, getpid(), &inside, err);
}

/* An image may name a working directory that no layer has; as runc, it is made then. */
static int make_working_directory(const struct spec_process *process, struct error *err)
{
    auto_close int root_fd = -1;
    int r;

    if (text_is_empty(process->cwd) || strcmp(process->cwd, "/") == 0 ||
        faccessat(AT_FDCWD, process->cwd, F_OK, 0) == 0)
        return 0;
    root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_errno(err, "open the root");
    r = path_make_directories(root_fd, process->cwd, 0755, NULL, err);
    return r < 0 ? error_prefix(err, r, "make the working directory '%s'", process->cwd) : 0;
}

static int set_up_root(struct init *init, struct error *err)
{
    const struct init_context *context = init->context;
    struct rootfs_context rootfs = {
        .cgroups = context->cgroups,
        .cgroup_path = init->cgroup_path != NULL ? init->cgroup_path : context->cgroup_path,
        .has_user_namespace =
            context->namespaces->has_new_user || context->namespaces->has_joined_user,
        .has_cgroup_namespace = spec_find_namespace(context->spec, "cgroup") != NULL,
        .has_network_namespace = spec_find_namespace(context->spec, "network") != NULL,
        .has_no_pivot = context->has_no_pivot,
    };
    int r;

    r = rootfs_mount_child(context->rootfs, &rootfs, &init->rootfs, err);
    if (r < 0)
        return r;
    r = run_hooks_before_pivot(init, err);
    if (r < 0)
        return r;
    if (context->spec->process != NULL && context->spec->process->terminal) {
        r = rootfs_open_terminal_child(init->rootfs, context->spec->process, &init->master_fd,
                                       &init->terminal_fd, err);
        if (r < 0)
            return r;
    }
    r = rootfs_enter_child(init->rootfs, err);
    if (r < 0)
        return r;
    r = make_working_directory(context->spec->process, err);
    if (r < 0)
        return r;
    r = rootfs_finish_child(init->rootfs, err);
    if (r < 0)
        return r;
    r = namespaces_return_to_own_mounts_child(context->namespaces, err);
    if (r < 0)
        return r;
    rootfs_free(init->rootfs);
    init->rootfs = NULL;
    return 0;
}

static int report_created(struct init *init, struct error *err)
{
    int fds[1] = { init->master_fd };
    int r;

    if (!init->context->dies_with_parent && prctl(PR_SET_PDEATHSIG, 0) < 0)
        return error_errno(err, "untie the init from its creator");
    r = sync_send(init->peer_fd, SYNC_CREATED, fds, init->master_fd >= 0 ? 1 : 0, err);
    auto_close_cleanup(&init->master_fd);
    init->master_fd = -1;
    return r;
}

/* An init may wait for long, and whatever gets into its pid namespace meanwhile can look at what it
 * has open: no directory of the host, no cgroup (CVE-2024-21626), and not its creator's log, to
 * which nothing is left to say: errors go to the starter. */
static int close_what_is_done_with(const struct init *init, struct error *err)
{
    const struct hook_output *output = init->context->hook_output;
    const int kept[] = { init->context->listen_fd, init->peer_fd, init->master_fd,
                         output != NULL ? output->fds[0] : -1,
                         output != NULL ? output->fds[1] : -1 };

    /* Its number may soon be another file's. */
    log_configure("berth", -1, LOG_PLAIN, false);
    log_set_level(LOG_LEVEL_ERROR);
    return fd_close_all_but(kept, ARRAY_SIZE(kept), 3 + init->context->launch->preserve_fds, err);
}

static _Noreturn void end_child(int signal)
{
    _exit(128 + signal);
}

/* PID 1 of a pid namespace gets only the signals that it handles (pid_namespaces(7)), but whoever
 * ends a container that was never started expects TERM to do so. */
static void obey_signals(void)
{
    static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
    struct sigaction action = { .sa_handler = end_child };

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, NULL);
}

/* Before anyone is told that the container is created, who might look at it at once or end it. */
static int prepare_to_wait(const struct init *init, struct error *err)
{
    if (init->context->listen_fd < 0)
        return 0;
    obey_signals();
    return close_what_is_done_with(init, err);
}

/* Waits until someone says START. A connection that ends without it was a dead starter: the start
 * failed, and an init that nobody can start any more ends too. */
static int wait_for_start(struct init *init, struct error *err)
{
    int r;

    if (init->context->listen_fd >= 0) {
        (void)close(init->peer_fd);
        r = wire_accept(init->context->listen_fd, &init->peer_fd, err);
        if (r < 0)
            return r;
    }
    r = sync_expect(init->peer_fd, SYNC_START, NULL, err);
    if (r == 0)
        _exit(1);
    return r < 0 ? r : 0;
}

static int run_start_hooks(const struct init *init, struct error *err)
{
    const struct init_context *context = init->context;
    const struct hook_inside inside = { .output = context->hook_output,
                                        .env = &init->program.env,
                                        .confinement = context->launch };

    if (!hooks_are_given(context->spec, HOOK_START_CONTAINER))
        return 0; /* without a system call */
    return hooks_run(context->spec, HOOK_START_CONTAINER, context->state, getpid(), &inside, err);
}

static int run_steps(struct init *init, struct error *err)
{
    const struct init_context *context = init->context;
    int r;

    r = tie_to_creator(err);
    if (r < 0)
        return r;
    if (context->cgroup != NULL) {
        r = cgroup_enter_child(context->cgroup, context->is_cloned_into, err);
        if (r < 0)
            return r;
    }
    process_affinity_reset();
    r = wait_for(init->peer_fd, SYNC_HOST_READY, err);
    if (r < 0)
        return r;
    /* Before the cgroup namespace, in which it is "/". */
    if (context->has_scope) {
        r = cgroup_find_path(context->cgroups, 0, &init->cgroup_path, err);
        if (r < 0)
            return r;
    }
    r = prepare_namespaces(context, err);
    if (r < 0)
        return r;
    r = make_keyring(context, err);
    if (r < 0)
        return r;
    r = set_up_root(init, err);
    if (r < 0)
        return r;
    r = launch_streams_child(context->launch, init->terminal_fd, err);
    if (r < 0)
        return r;
    r = launch_identity_child(context->launch, &init->program, err);
    if (r < 0)
        return r;
    r = prepare_to_wait(init, err);
    if (r < 0)
        return r;
    r = report_created(init, err);
    if (r < 0)
        return r;
    r = wait_for_start(init, err);
    if (r < 0)
        return r;
    r = run_start_hooks(init, err);
    if (r < 0)
        return r;
    r = sync_send(init->peer_fd, SYNC_STARTED, NULL, 0, err);
    if (r < 0)
        return r;
    return launch_exec_child(context->launch, &init->program, init->peer_fd, err);
}

_Noreturn void init_run_child(const struct init_context *context)
{
    struct init init = {
        .context = context,
        .peer_fd = context->sync_fd,
        .terminal_fd = -1,
        .master_fd = -1,
    };
    struct error err = { 0 };

    /* Else the end of file that tells of the creator's death would never come. */
    (void)close(context->creator_fd);
    for (const int *fd = context->callers_fds; fd != NULL && *fd >= 0; fd++)
        (void)close(*fd);
    (void)run_steps(&init, &err);
    sync_send_error(init.peer_fd, &err);
    _exit(err.code == ENOENT ? 127 : err.code == EACCES ? 126 : 1);
}
