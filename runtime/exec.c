#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/wire.h"
#include "runtime/isolation.h"
#include "runtime/process_setup.h"

/* A further process in a running container. The caller chooses the container's pid namespace for
 * its next child (setns by pidfd), clones into the cgroup; the child joins the other namespaces in
 * one setns(2) and goes on as an init does after its mounts. From before the clone until exec it is
 * not dumpable: processes in the container cannot look at or into it (CVE-2016-9962). */

struct exec_context {
    const struct container_exec_options *options;
    const struct spec *spec;
    const struct launch_plan *launch;
    const struct spec_cpu_affinity *affinity; /* NULL: none */
    struct cgroup *cgroup;                    /* NULL: none */
    struct cgroup_places *places;             /* instead of it; NULL: none */
    bool is_cloned_into;
    bool is_rootless; /* no rights over the container but through its user namespace */
    pid_t target_pid; /* the container's init */
    int target_pidfd;
    int agent_fd;  /* who answers for the seccomp filter; -1: none */
    int caller_fd; /* the caller's end of the socket, which the clone has as well */
    int sync_fd;
};

/* A terminal on the container's own devpts: opened after the mount namespace was joined. */
static int open_terminal_child(const struct exec_context *context, int *ret_master, int *ret_slave,
                               struct error *err)
{
    const struct spec_process *process = context->options->process;
    auto_close int master = -1, slave = -1;
    struct stat status;
    int unlocked = 0;

    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0)
        return error_errno(err, "open a terminal: /dev/ptmx");
    /* An image may have put something else in its place. */
    if (fstat(master, &status) < 0 || !S_ISCHR(status.st_mode) || status.st_rdev != makedev(5, 2))
        return error_set(err, EPERM, "/dev/ptmx in the container is not a terminal device");
    if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
        return error_errno(err, "unlock the terminal");
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return error_errno(err, "open the terminal's other side");
    if (context->options->has_plain_newlines)
        terminal_clear_onlcr(slave);
    if (process->console_size != NULL) {
        struct winsize size = { .ws_row = (unsigned short)process->console_size->height,
                                .ws_col = (unsigned short)process->console_size->width };

        if (ioctl(master, TIOCSWINSZ, &size) < 0)
            return error_errno(err, "set the terminal's size");
    }
    if (process->user.uid != 0 && fchown(slave, process->user.uid, (gid_t)-1) < 0)
        return error_errno(err, "give the terminal to user %u", process->user.uid);
    *ret_master = take_fd(&master);
    *ret_slave = take_fd(&slave);
    return 0;
}

/* While /proc is still the host's. */
static int set_oom_score_child(const struct spec_process *process, struct error *err)
{
    char value[16];
    int r;

    if (!process->has_oom_score_adj)
        return 0;
    (void)snprintf(value, sizeof(value), "%d", process->oom_score_adj);
    r = file_write_kernel(AT_FDCWD, "/proc/self/oom_score_adj", value, err);
    return r < 0 ? rootless_oom_score_failed(process->oom_score_adj, r, err) : 0;
}

static int run_steps_child(const struct exec_context *context, struct error *err)
{
    const struct spec_process *process = context->options->process;
    auto_close int slave = -1, master = -1;
    struct launch_program program = { 0 };
    int flags = namespaces_exec_flags(context->spec);
    int r = 0;

    if (context->places != NULL)
        r = cgroup_places_enter_child(context->places, context->is_cloned_into, err);
    else if (context->cgroup != NULL)
        r = cgroup_enter_child(context->cgroup, context->is_cloned_into, err);
    if (r < 0)
        return r;
    if (context->affinity == NULL || text_is_empty(context->affinity->final))
        process_affinity_reset();
    else
        r = process_affinity_apply(context->affinity->final, "process.execCPUAffinity.final", err);
    if (r < 0)
        return r;
    if (context->is_rootless)
        flags &= ~CLONE_NEWUSER; /* joined already, and the score is set */
    else
        r = set_oom_score_child(process, err);
    if (r < 0)
        return r;
    if (flags != 0 && setns(context->target_pidfd, flags) < 0)
        return error_errno(err, "join the container's namespaces");
    if (spec_find_namespace(context->spec, "mount") == NULL) {
        r = namespaces_enter_root_of_child(context->target_pid, context->target_pidfd, err);
        if (r < 0)
            return r;
    }
    if ((context->is_rootless || (flags & CLONE_NEWUSER) != 0) &&
        (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0))
        return error_errno(err, "become root of the user namespace");
    if (process->terminal) {
        r = open_terminal_child(context, &master, &slave, err);
        if (r < 0)
            return r;
    }
    r = launch_streams_child(context->launch, slave, err);
    if (r < 0)
        return r;
    r = launch_identity_child(context->launch, &program, err);
    if (r < 0)
        return r;
    r = sync_send(context->sync_fd, SYNC_STARTED, master >= 0 ? &master : NULL, master >= 0, err);
    if (r < 0)
        return r;
    return launch_exec_child(context->launch, &program, context->sync_fd, err);
}

static _Noreturn void run_child(const struct exec_context *context)
{
    struct error err = { 0 };

    (void)close(context->caller_fd); /* else a dead caller would not be noticed */
    (void)run_steps_child(context, &err);
    sync_send_error(context->sync_fd, &err);
    _exit(err.code == ENOENT ? 127 : err.code == EACCES ? 126 : 255);
}

static int not_running(const struct container *container, enum container_status status,
                       struct error *err)
{
    return error_set(err, ESRCH, "cannot exec in a %s container: container not running: '%s'",
                     container_status_name(status), container->state.id);
}

static int check_running(struct container *container, bool ignores_paused, struct error *err)
{
    enum container_status status;
    int r = container_status(container, &status, err);

    if (r < 0)
        return r;
    if (status == CONTAINER_PAUSED && !ignores_paused)
        return error_set(err, EBUSY,
                         "cannot exec in a paused container (use --ignore-paused to "
                         "override)");
    /* What an isolation runs is not there before the start. */
    if (status == CONTAINER_STOPPED || status == CONTAINER_CREATING ||
        (status == CONTAINER_CREATED && container->state.isolation != NULL))
        return not_running(container, status, err);
    return 0;
}

/* The container's cgroup takes no process, because it has groups with controllers below. */
static pid_t clone_nested(const struct exec_context *context, struct clone_args *arguments)
{
    auto_close int cgroup_fd = -1;
    pid_t pid;

    if (cgroup_open_nested(context->cgroup, context->target_pid, &cgroup_fd, NULL) < 0) {
        errno = EBUSY;
        return -1;
    }
    arguments->cgroup = (uint64_t)cgroup_fd;
    pid = (pid_t)syscall(SYS_clone3, arguments, sizeof(*arguments));
    if (pid == 0)
        run_child(context);
    return pid;
}

/* Through the user namespace come the rights to the others. The cgroup namespace is joined later:
 * from within, the kernel would not let the process come from a cgroup outside. */
static int join_user_child(void *data, struct error *err)
{
    const struct exec_context *context = data;
    int flags = CLONE_NEWUSER;
    int r;

    /* A process that is not dumpable cannot write its own score; this one is not yet in the
     * container's sight (proc_pid(5)). */
    (void)prctl(PR_SET_DUMPABLE, 1);
    r = set_oom_score_child(context->options->process, err);
    if (r < 0)
        return r;
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return error_errno(err, "hide the process from the container");
    if (spec_find_namespace(context->spec, "pid") != NULL)
        flags |= CLONE_NEWPID;
    if (setns(context->target_pidfd, flags) < 0)
        return error_errno(err, "join the container's user namespace");
    return 0;
}

static void run_joined_child(void *data)
{
    run_child(data);
}

/* For an ordinary user. */
static pid_t clone_rootless(const struct exec_context *context, int cgroup_fd, struct error *err)
{
    struct sibling sibling = {
        .cgroup_fd = cgroup_fd,
        .prepare_child = join_user_child,
        .run_child = run_joined_child,
        .data = (void *)context,
    };
    struct exec_context outside = *context;
    auto_close int nested_fd = -1;
    pid_t pid;

    pid = sibling_create(&sibling, err);
    /* From another session of the same user no way leads into the container's cgroup. */
    if (pid == -EACCES && cgroup_fd >= 0) {
        outside.cgroup = NULL;
        outside.is_cloned_into = false;
        sibling.data = &outside;
        sibling.cgroup_fd = -1;
        log_debug("exec: the process stays in the cgroup of its caller");
        return sibling_create(&sibling, err);
    }
    if (pid != -EBUSY || cgroup_fd < 0 ||
        cgroup_open_nested(context->cgroup, context->target_pid, &nested_fd, NULL) < 0)
        return pid;
    sibling.cgroup_fd = nested_fd;
    return sibling_create(&sibling, err);
}

static pid_t clone_exec(const struct exec_context *context, int cgroup_fd, bool has_pid_namespace,
                        struct error *err)
{
    struct clone_args arguments = {
        .flags = cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0,
        .exit_signal = SIGCHLD,
        .cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0,
    };
    auto_close int own = -1;
    pid_t pid;

    if (context->is_rootless)
        return clone_rootless(context, cgroup_fd, err);
    if (has_pid_namespace) {
        own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
        if (setns(context->target_pidfd, CLONE_NEWPID) < 0)
            return error_errno(err, "join the container's pid namespace");
    }
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid == 0)
        run_child(context);
    if (pid < 0 && errno == EBUSY && cgroup_fd >= 0 && context->places == NULL)
        pid = clone_nested(context, &arguments);
    if (pid < 0)
        error_errno(err, "clone the process");
    if (own >= 0)
        (void)setns(own, CLONE_NEWPID); /* for later children of a long-lived caller */
    return pid;
}

/* The initial affinity is the caller's at the clone, for a clone may be born in the cgroup. */
static pid_t clone_with_affinity(const struct exec_context *context, int cgroup_fd,
                                 struct error *err)
{
    bool has_pid_namespace = spec_find_namespace(context->spec, "pid") != NULL;
    struct cpu_mask own;
    pid_t pid;
    int r;

    if (context->affinity == NULL || text_is_empty(context->affinity->initial))
        return clone_exec(context, cgroup_fd, has_pid_namespace, err);
    r = process_affinity_save(&own, err);
    if (r < 0)
        return r;
    r = process_affinity_apply(context->affinity->initial, "process.execCPUAffinity.initial", err);
    if (r < 0)
        return r;
    pid = clone_exec(context, cgroup_fd, has_pid_namespace, err);
    process_affinity_restore(&own);
    return pid;
}

static int pass_listener(struct container *container, struct exec_context *context, pid_t pid,
                         struct error *err)
{
    enum container_status status;
    auto_free char *json = NULL;
    int r;

    r = container_status(container, &status, err);
    if (r < 0)
        return r;
    json = state_format_process(&container->state, status, pid,
                                context->spec->linux_.seccomp->listener_metadata);
    return seccomp_listener_pass(context->caller_fd, take_fd(&context->agent_fd), json, err);
}

/* Waits until the program runs; the descriptor of its terminal comes back. */
static int wait_started(struct container *container, struct exec_context *context, pid_t pid,
                        int *ret_console, struct error *err)
{
    auto_close int console = -1;
    int fds[2] = { -1, -1 };
    int r;

    r = sync_expect(context->caller_fd, SYNC_STARTED, fds, err);
    if (r == 0)
        return error_set(err, EPIPE, "the process ended before it was started");
    if (r < 0)
        return r;
    console = fds[0];
    auto_close_cleanup(&fds[1]);
    if (context->agent_fd >= 0) {
        r = pass_listener(container, context, pid, err);
        if (r < 0)
            return r;
    }
    r = sync_expect(context->caller_fd, SYNC_ERROR, NULL, err);
    if (r < 0)
        return r;
    *ret_console = take_fd(&console);
    return 0;
}

static int hand_over(const struct container_exec_options *options, pid_t pid, int *console,
                     struct error *err)
{
    int r;

    if (options->console_socket != NULL && *console >= 0) {
        r = terminal_send(options->console_socket, *console, err);
        if (r < 0)
            return r;
    }
    if (options->pidfd_socket != NULL) {
        auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

        if (pidfd < 0)
            return error_errno(err, "open the pidfd of process %d", pid);
        r = handover_give(options->pidfd_socket, "setns", pidfd, "pidfd socket", err);
        if (r < 0)
            return r;
    }
    if (!options->keeps_console) {
        auto_close_cleanup(console);
        *console = -1;
    }
    return options->pid_file != NULL ? pid_file_write(options->pid_file, pid, err) : 0;
}

/* The container's cgroup, or places below it. One that is gone was left by the container's first
 * process and removed: then the new one goes where that is, not where the caller is. */
static int plan_cgroup(struct container *container, const struct strings *arguments,
                       struct exec_context *context, struct error *err)
{
    struct cgroup_system *system = NULL;
    int r = 0;

    context->cgroup = container_cgroup(container);
    if (context->cgroup != NULL) {
        if (arguments != NULL && arguments->count > 0)
            r = cgroup_places_plan(context->cgroup, arguments, &context->places, err);
    } else if (arguments != NULL && arguments->count > 0) {
        r = error_set(err, EOPNOTSUPP, "'%s': the container has no cgroup", arguments->items[0]);
    } else if (container->state.cgroup != NULL) {
        r = runtime_open_cgroups(container->runtime, &system, err);
        if (r == 0 && system != NULL)
            r = cgroup_places_of(system, container->state.pid, &context->places, err);
        return r < 0 ? r : 0;
    }
    return r < 0 ? error_prefix(err, r, "--cgroup") : 0;
}

/* Decides all that can be decided before the clone. */
static int plan_exec(struct container *container, const struct container_exec_options *options,
                     struct exec_context *context, struct launch_plan *launch, struct error *err)
{
    const struct spec_process *process = options->process;
    int r;

    r = check_running(container, options->ignores_paused, err);
    if (r < 0)
        return r;
    r = container_spec(container, &context->spec, err);
    if (r < 0)
        return r;
    if (process->terminal && !options->keeps_console && options->console_socket == NULL)
        return error_set(err, EINVAL,
                         "a terminal is asked for, but nobody takes it; give a "
                         "console socket");
    if (!process->terminal && options->console_socket != NULL)
        return error_set(err, EINVAL, "a console socket is given, but no terminal is asked for");
    r = launch_plan_make(context->spec, process, container->runtime, launch, err);
    if (r < 0)
        return r;
    memcpy(launch->stdio, options->stdio, sizeof(launch->stdio));
    launch->preserve_fds = options->preserve_fds;
    launch->listen_fds = options->listen_fds;
    context->affinity = process->exec_cpu_affinity;
    return plan_cgroup(container, options->cgroups, context, err);
}

/* Where the cgroup is why there is no process, it says what to do. */
static void explain_clone(const struct exec_context *context, struct error *err)
{
    if (context->places != NULL)
        (void)cgroup_places_explain_refusal(context->places, -err->code, err);
    else
        (void)cgroup_explain_refusal(context->cgroup, -err->code, err);
}

static pid_t start_process(struct exec_context *context, struct error *err)
{
    int cgroup_fd = -1;
    pid_t pid;

    if (context->places != NULL)
        cgroup_fd = cgroup_places_clone_fd(context->places);
    else if (context->cgroup != NULL)
        cgroup_fd = cgroup_clone_part_fd(context->cgroup);
    context->is_cloned_into = cgroup_fd >= 0;
    /* Inherited by the child: memory flags survive fork, and exec resets them. */
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return error_errno(err, "hide the process from the container");
    context->is_rootless = spec_find_namespace(context->spec, "user") != NULL && geteuid() != 0;
    pid = clone_with_affinity(context, cgroup_fd, err);
    (void)prctl(PR_SET_DUMPABLE, 1);
    if (pid < 0 && context->is_cloned_into && err != NULL)
        explain_clone(context, err);
    return pid;
}

/* Starts it, waits until it runs, and gives its descriptors to whom they belong. */
static int run_process(struct container *container, struct exec_context *context, pid_t *ret_pid,
                       int *ret_console, struct error *err)
{
    auto_close int caller_fd = -1, child_fd = -1;
    int pair[2], r;
    pid_t pid;

    if (context->launch->filter != NULL && context->launch->filter->has_listener) {
        r = seccomp_listener_connect(context->spec->linux_.seccomp, &context->agent_fd, err);
        if (r < 0)
            return r;
    }
    r = wire_pair(pair, err);
    if (r < 0)
        return r;
    context->caller_fd = caller_fd = pair[0];
    context->sync_fd = child_fd = pair[1];
    pid = start_process(context, err);
    if (pid < 0)
        return pid;
    log_debug("exec in %s: process %d joins it", container->state.id, pid);
    (void)close(take_fd(&child_fd));
    r = wait_started(container, context, pid, ret_console, err);
    if (r == 0) {
        log_debug("exec in %s: the program runs", container->state.id);
        r = hand_over(context->options, pid, ret_console, err);
    }
    if (r < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return r;
    }
    *ret_pid = pid;
    return 0;
}

/* It has left its namespaces (proc(5) shows none), while its pid namespace still ends: from then on
 * nobody enters that, and who is in it is killed. */
static bool first_process_ends(const struct exec_context *context)
{
    char path[64], target[2];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/uts", context->target_pid);
    return readlink(path, target, sizeof(target)) < 0 && errno == ENOENT;
}

static int exec_here(struct container *container, const struct container_exec_options *options,
                     pid_t *ret_pid, int *ret_console, struct error *err)
{
    struct launch_plan launch = { 0 };
    struct exec_context context = {
        .options = options,
        .launch = &launch,
        .target_pid = container->state.pid,
        .target_pidfd = container->pidfd,
        .agent_fd = -1,
    };
    auto_close int console = -1;
    int r;

    r = plan_exec(container, options, &context, &launch, err);
    if (r == 0)
        r = run_process(container, &context, ret_pid, &console, err);
    if (r < 0 && first_process_ends(&context)) /* and that is why */
        r = not_running(container, CONTAINER_STOPPED, err);
    launch_plan_clear(&launch);
    auto_close_cleanup(&context.agent_fd);
    cgroup_places_free(context.places);
    if (r == 0 && ret_console != NULL)
        *ret_console = take_fd(&console);
    return r;
}

int container_exec(struct container *container, const struct container_exec_options *options,
                   pid_t *ret_pid, int *ret_console, struct error *err)
{
    AUTO(spec_process) struct spec_process *process = NULL;
    struct container_exec_options split = *options;
    const struct isolation *isolation = NULL;
    int r;

    r = container_find_isolation(container, &isolation, err);
    if (r < 0)
        return r;
    if (isolation == NULL)
        return exec_here(container, options, ret_pid, ret_console, err);
    if (options->preserve_fds > 0 || (options->cgroups != NULL && options->cgroups->count > 0))
        return error_set(err, EOPNOTSUPP,
                         "a %s container takes neither descriptors of this machine nor processes "
                         "in another cgroup (--preserve-fds, --cgroup)",
                         isolation->name);
    process = isolation->split_exec(options->process);
    split.process = process;
    return exec_here(container, &split, ret_pid, ret_console, err);
}

int container_exec_process(struct container *container, struct spec_process **ret_process,
                           struct error *err)
{
    const struct isolation *isolation = NULL;
    const struct spec *spec = NULL;
    auto_free char *json = NULL;
    struct spec_process *process;
    int r;

    r = container_find_isolation(container, &isolation, err);
    if (r < 0)
        return r;
    if (isolation != NULL)
        return isolation->find_process(container->dir_fd, ret_process, err);
    r = container_spec(container, &spec, err);
    if (r < 0)
        return r;
    if (spec->process == NULL)
        return error_set(err, EINVAL, "container '%s' has no process", container->state.id);
    /* By way of its own tables: one description of what a process has. */
    json = encode_text(&spec_process_object, spec->process, ENCODE_COMPACT);
    process = xcalloc(1, sizeof(*process));
    r = decode_text(&spec_process_object, json, strlen(json), process, NULL, err);
    if (r < 0) {
        spec_process_free(process);
        return r;
    }
    *ret_process = process;
    return 0;
}
