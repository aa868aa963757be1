#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/wire.h"
#include "runtime/environment.h"
#include "runtime/process_setup.h"

/* The last steps before the user's program, the same for the init and for exec.
 *
 * Their order is the order of privileges: the bounding set while there is CAP_SETPCAP, then groups
 * and user with the permitted set kept (PR_SET_KEEPCAPS), then the directory as that user. A
 * seccomp filter needs no_new_privs or CAP_SYS_ADMIN: with no_new_privs the capabilities go first
 * and the filter last, so the filter has to allow nothing but execve; without, the filter comes
 * first and capset(2) after it. */

int launch_plan_make(const struct spec *spec, const struct spec_process *process,
                     struct runtime *runtime, struct launch_plan *ret_plan, struct error *err)
{
    struct launch_plan plan = { .process = process,
                                .linux_ = &spec->linux_,
                                .stdio = { -1, -1, -1 } };
    const char *keeps_groups = string_map_get(&spec->annotations, ANNOTATION_KEEP_GROUPS);
    struct capability_sets sets = { 0 };
    int r;

    plan.keeps_groups = text_equal(keeps_groups, "1") || text_equal(keeps_groups, "true");
    r = rlimits_check(&process->rlimits, err);
    if (r < 0)
        return r;
    /* Without them in the configuration there are none, as in runc. */
    if (process->capabilities != NULL) {
        r = capabilities_plan(process->capabilities, &sets, err);
        if (r < 0)
            return error_prefix(err, r, "process.capabilities");
        plan.bounding = sets.bounding;
        plan.effective = sets.effective;
        plan.inheritable = sets.inheritable;
        plan.permitted = sets.permitted;
        plan.ambient = sets.ambient;
    }
    if (!text_is_empty(process->apparmor_profile) || !text_is_empty(process->selinux_label)) {
        struct lsm_host host;

        lsm_host_read(&host);
        r = lsm_plan(process, &host, &plan.lsm, err);
        if (r < 0)
            return r;
    }
    if (spec->linux_.seccomp != NULL) {
        auto_close int cache_fd = runtime_open_seccomp_cache(runtime);

        r = seccomp_filter_plan(spec->linux_.seccomp, cache_fd, &plan.filter, err);
        if (r < 0) {
            launch_plan_clear(&plan);
            return r;
        }
    }
    environment_plan(&process->env, &plan.env);
    *ret_plan = plan;
    return 0;
}

void launch_plan_clear(struct launch_plan *plan)
{
    strings_clear(&plan->env);
    lsm_plan_clear(&plan->lsm);
    seccomp_filter_free(plan->filter);
    plan->filter = NULL;
}

/* Moves the given descriptors to 0, 1, 2; any of them may be among these numbers already. */
static int place_stdio(const int stdio[3], struct error *err)
{
    int high[3] = { -1, -1, -1 };

    for (int i = 0; i < 3; i++) {
        if (stdio[i] < 0 || stdio[i] == i)
            continue;
        high[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
        if (high[i] < 0)
            return error_errno(err, "duplicate a standard stream");
    }
    for (int i = 0; i < 3; i++) {
        if (high[i] < 0)
            continue;
        if (dup2(high[i], i) < 0)
            return error_errno(err, "set standard stream %d", i);
        (void)close(high[i]);
    }
    return 0;
}

int launch_streams_child(const struct launch_plan *plan, int terminal_fd, struct error *err)
{
    const struct cgroup_resources *resources = plan->linux_->resources;
    int terminal[3] = { terminal_fd, terminal_fd, terminal_fd };
    int r;

    (void)setsid(); /* fails only when it leads a session already */
    r = place_stdio(terminal_fd >= 0 ? terminal : plan->stdio, err);
    if (r < 0)
        return r;
    if (terminal_fd >= 0 && ioctl(0, TIOCSCTTY, 0) < 0)
        return error_errno(err, "take the terminal as controlling terminal");
    r = process_scheduling_apply(plan->process,
                                 resources != NULL && !text_is_empty(resources->cpu.cpus), err);
    if (r < 0)
        return r;
    r = process_memory_policy_apply(plan->linux_->memory_policy, err);
    if (r < 0)
        return r;
    r = process_personality_apply(plan->linux_->personality, err);
    if (r < 0)
        return r;
    return rlimits_apply(&plan->process->rlimits, err);
}

static int set_groups(const struct spec_user *user, bool may_fail, struct error *err)
{
    /* A user namespace made without privileges denies setgroups(2); then there is nothing to drop.
     */
    if (syscall(SYS_setgroups, user->additional_gids.count, user->additional_gids.items) < 0 &&
        !(errno == EPERM && user->additional_gids.count == 0 &&
          (may_fail || runtime_is_in_user_namespace())))
        return error_errno(err, "set the additional groups");
    return 0;
}

/* The current user of a process that was permitted everything keeps it over setresuid(2); this
 * makes the permitted set effective again. */
static int raise_permitted(struct error *err)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { 0 };

    if (syscall(SYS_capget, &header, data) < 0)
        return error_errno(err, "read the capabilities");
    data[0].effective = data[0].permitted;
    data[1].effective = data[1].permitted;
    if (syscall(SYS_capset, &header, data) < 0)
        return error_errno(err, "raise the capabilities");
    return 0;
}

static int not_mapped(struct error *err, const char *what, uint32_t id)
{
    if (errno == EINVAL) /* user_namespaces(7) */
        return error_set(err, EINVAL, "become %s %u: it is not mapped in the user namespace", what,
                         id);
    return error_errno(err, "become %s %u", what, id);
}

static int change_user(const struct launch_plan *plan, bool may_lack_setgroups, struct error *err)
{
    const struct spec_user *user = &plan->process->user;
    int r = 0;

    if (!plan->keeps_groups)
        r = set_groups(user, may_lack_setgroups, err);
    if (r < 0)
        return r;
    if (syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0)
        return not_mapped(err, "group", user->gid);
    if (user->uid == 0 && getuid() == 0)
        return 0;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return error_errno(err, "keep the capabilities");
    if (syscall(SYS_setresuid, user->uid, user->uid, user->uid) < 0)
        return not_mapped(err, "user", user->uid);
    return raise_permitted(err);
}

static int enter_directory(const char *cwd, struct error *err)
{
    char where[4096];

    if (chdir(cwd) < 0)
        return error_errno(err, "change to the working directory '%s'", cwd);
    /* A directory outside of the root shows as "(unreachable)" (getcwd(2)): a descriptor of the
     * host was used as the way in (CVE-2024-21626). */
    if (syscall(SYS_getcwd, where, sizeof(where)) < 0 || where[0] != '/')
        return error_set(err, EPERM, "the working directory '%s' is outside of the container", cwd);
    return 0;
}

static int try_program(const char *path, int *best)
{
    struct stat status;

    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0) {
        if (errno == EACCES)
            *best = EACCES;
        return -errno;
    }
    if (stat(path, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode)) {
        *best = EACCES;
        return -EACCES;
    }
    return 0;
}

/* Looks up as execvp(3) does, now, because a failure of execve itself can no longer be told when
 * the filter bars it. */
static int find_program(const struct spec_process *process, const struct strings *env,
                        char **ret_program, struct error *err)
{
    const char *name = process->args.items[0];
    struct strings directories = { 0 };
    const char *path = strings_variable(env, "PATH");
    int best = ENOENT;

    if (strchr(name, '/') != NULL) {
        int r = try_program(name, &best);

        if (r < 0)
            return error_set(err, r == -EACCES || best == EACCES ? EACCES : -r, "exec %s: %s", name,
                             r == -EACCES   ? "permission denied"
                             : r == -ENOENT ? "no such file or directory"
                                            : strerror(-r));
        *ret_program = xstrdup(name);
        return 0;
    }
    if (path == NULL)
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    strings_split(&directories, path, ':');
    for (size_t i = 0; i < directories.count && *ret_program == NULL; i++) {
        auto_free char *candidate =
            xasprintf("%s/%s", directories.items[i][0] == '\0' ? "." : directories.items[i], name);

        if (try_program(candidate, &best) == 0)
            *ret_program = take_ptr(&candidate);
    }
    strings_clear(&directories);
    if (*ret_program == NULL)
        return error_set(err, best, "exec: \"%s\": %s", name,
                         best == EACCES ? "permission denied"
                                        : "executable file not found in $PATH");
    return 0;
}

static bool has_user_namespace(const struct spec_linux *linux_)
{
    for (size_t i = 0; i < linux_->namespaces.count; i++) {
        if (text_equal(linux_->namespaces.items[i].type, "user"))
            return true;
    }
    return false;
}

int launch_identity_child(const struct launch_plan *plan, struct launch_program *ret_program,
                          struct error *err)
{
    const struct spec_process *process = plan->process;
    struct capability_sets sets = { .bounding = plan->bounding };
    struct launch_program program = { 0 };
    int r;

    r = lsm_apply_child(&plan->lsm, err);
    if (r < 0)
        return r;
    r = capabilities_drop_bounding(&sets, err);
    if (r < 0)
        return r;
    r = change_user(plan, has_user_namespace(plan->linux_), err);
    if (r < 0)
        return r;
    if (process->user.has_umask)
        (void)umask(process->user.umask);
    else
        (void)umask(0022);
    strings_add_all(&program.env, &plan->env);
    environment_complete_child(&program.env, process->user.uid, plan->listen_fds);
    r = enter_directory(text_is_empty(process->cwd) ? "/" : process->cwd, err);
    if (r < 0)
        return r;
    r = find_program(process, &program.env, &program.path, err);
    if (r < 0)
        return r;
    if (plan->dies_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return error_errno(err, "tie the process to its parent");
    *ret_program = program;
    return 0;
}

static int drop_capabilities(const struct launch_plan *plan, struct error *err)
{
    struct capability_sets sets = {
        .bounding = plan->bounding,
        .effective = plan->effective,
        .inheritable = plan->inheritable,
        .permitted = plan->permitted,
        .ambient = plan->ambient,
    };

    return capabilities_apply(&sets, err);
}

static int load_filter(const struct launch_plan *plan, int peer_fd, struct error *err)
{
    int r = plan->filter->has_listener && peer_fd >= 0
                ? seccomp_listener_load_child(plan->filter, peer_fd, err)
                : seccomp_filter_apply(plan->filter, NULL, err);

    if (r == -EMFILE)
        return error_set(err, EMFILE,
                         "linux.seccomp: no descriptor is left for the listener: "
                         "process.rlimits: RLIMIT_NOFILE is too low");
    return r < 0 ? error_prefix(err, r, "linux.seccomp") : 0;
}

int launch_confine_child(const struct launch_plan *plan, int peer_fd, struct error *err)
{
    bool has_no_new_privileges = plan->process->no_new_privileges;
    int r;

    r = rlimits_apply_low_nofile(&plan->process->rlimits, err);
    if (r < 0)
        return r;
    if (has_no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(err, "set no_new_privs");
    if (plan->filter != NULL && !has_no_new_privileges) {
        r = load_filter(plan, peer_fd, err);
        if (r < 0)
            return r;
    }
    r = drop_capabilities(plan, err);
    if (r < 0)
        return r;
    return plan->filter != NULL && has_no_new_privileges ? load_filter(plan, peer_fd, err) : 0;
}

/* What the caller ignores (nohup(1), a shell's job in the background, Python) or we block would
 * stay so in the program; engines rely on a container that is like another whoever started it, as
 * with runc. These are the signals that callers ignore: all of them would be sixty calls. */
static void reset_signals(void)
{
    static const int signals[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,
                                   SIGPIPE, SIGTERM, SIGCHLD, SIGXFSZ };
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In runc's words, by which callers tell a missing interpreter from other failures. */
static int exec_failed(const char *path, int code, struct error *err)
{
    return error_set(err, code, "exec %s: %s", path,
                     code == ENOENT    ? "no such file or directory"
                     : code == ENOEXEC ? "exec format error"
                     : code == EACCES  ? "permission denied"
                                       : strerror(code));
}

int launch_exec_child(const struct launch_plan *plan, const struct launch_program *program,
                      int peer_fd, struct error *err)
{
    int r;

    reset_signals();
    if (syscall(SYS_close_range, 3 + plan->preserve_fds, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return error_errno(err, "close what the program must not see");
    r = launch_confine_child(plan, peer_fd, err);
    if (r < 0)
        return r;
    (void)execve(program->path, plan->process->args.items, program->env.items);
    return exec_failed(program->path, errno, err);
}
