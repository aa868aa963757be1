#include "runtime/hooks.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"

/* A hook that fails, or runs into its timeout, ends the operation; with its timeout its whole
 * process group is killed. */

#define HOOK_STATE_MAX  (60u << 10) /* fits into a pipe: writing it never blocks */
#define HOOK_OUTPUT_MAX 300         /* bytes of each stream that an error tells */

static const struct hook_word {
    const char *name;
    size_t offset; /* of its list in struct spec_hooks */
    enum container_status status;
    bool is_inside; /* runs on the container's side */
} hook_words[] = {
    [HOOK_PRESTART] = { "prestart", offsetof(struct spec_hooks, prestart), CONTAINER_CREATING,
                        false },
    [HOOK_CREATE_RUNTIME] = { "createRuntime", offsetof(struct spec_hooks, create_runtime),
                              CONTAINER_CREATING, false },
    [HOOK_CREATE_CONTAINER] = { "createContainer", offsetof(struct spec_hooks, create_container),
                                CONTAINER_CREATING, true },
    [HOOK_START_CONTAINER] = { "startContainer", offsetof(struct spec_hooks, start_container),
                               CONTAINER_CREATED, true },
    [HOOK_POSTSTART] = { "poststart", offsetof(struct spec_hooks, poststart), CONTAINER_RUNNING,
                         false },
    [HOOK_POSTSTOP] = { "poststop", offsetof(struct spec_hooks, poststop), CONTAINER_STOPPED,
                        false },
};

static const struct spec_hook_list *list_of(const struct spec *spec, enum hook_kind kind)
{
    return (const struct spec_hook_list *)(const void *)((const char *)&spec->hooks +
                                                         hook_words[kind].offset);
}

bool hooks_are_given(const struct spec *spec, enum hook_kind kind)
{
    return list_of(spec, kind)->count > 0;
}

/* --- where they write to ---------------------------------------------------------------------- */

static void close_output(struct hook_output *output)
{
    for (size_t i = 0; i < ARRAY_SIZE(output->fds); i++)
        auto_close_cleanup(&output->fds[i]);
}

static int open_output(const struct spec *spec, struct hook_output *ret_output, struct error *err)
{
    static const char *const annotations[] = { "run.oci.hooks.stdout", "run.oci.hooks.stderr" };
    struct hook_output output = { { -1, -1 } };

    for (size_t i = 0; i < ARRAY_SIZE(annotations); i++) {
        const char *path = string_map_get(&spec->annotations, annotations[i]);

        if (text_is_empty(path))
            continue;
        output.fds[i] = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
        if (output.fds[i] < 0) {
            int r = error_errno(err, "annotation %s: open '%s'", annotations[i], path);

            close_output(&output);
            return r;
        }
    }
    *ret_output = output;
    return 0;
}

int hook_output_open(const struct spec *spec, struct hook_output **ret_output, struct error *err)
{
    struct hook_output output;
    int r;

    *ret_output = NULL;
    if (!hooks_are_given(spec, HOOK_CREATE_CONTAINER) &&
        !hooks_are_given(spec, HOOK_START_CONTAINER))
        return 0;
    r = open_output(spec, &output, err);
    if (r == 0)
        *ret_output = xmemdup(&output, sizeof(output));
    return r;
}

void hook_output_free(struct hook_output *output)
{
    if (output == NULL)
        return;
    close_output(output);
    free(output);
}

/* A memory file takes what a hook writes, so nobody has to read while it runs, and what it leaves
 * behind in the background is not ended by a closed pipe. */
static int keep_output(struct hook_output *ret_kept, const struct hook_output *files,
                       struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(ret_kept->fds); i++) {
        ret_kept->fds[i] = files->fds[i] >= 0
                               ? fcntl(files->fds[i], F_DUPFD_CLOEXEC, 3)
                               : memfd_create("hook", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (ret_kept->fds[i] < 0)
            return error_errno(err, "make a file for the output");
    }
    return 0;
}

/* Adds ", stderr: text" to an error. */
static int tell_output(int fd, const char *stream, int r, struct error *err)
{
    char text[HOOK_OUTPUT_MAX + 1];
    struct error told;
    ssize_t length = pread(fd, text, HOOK_OUTPUT_MAX, 0);

    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' '))
        length--;
    if (length <= 0 || err == NULL)
        return r;
    text[length] = '\0';
    told = *err;
    return error_set(err, -r, "%s, %s: %s", told.message, stream, text);
}

static int finish_output(struct hook_output *kept, const struct hook_output *files, int r,
                         struct error *err)
{
    static const char *const streams[] = { "stdout", "stderr" };

    for (size_t i = 0; i < ARRAY_SIZE(kept->fds); i++) {
        if (kept->fds[i] < 0 || files->fds[i] >= 0)
            continue;
        if (r < 0)
            r = tell_output(kept->fds[i], streams[i], r, err);
        /* Else a process that the hook left would fill memory, unseen. */
        (void)fcntl(kept->fds[i], F_ADD_SEALS, F_SEAL_WRITE);
    }
    close_output(kept);
    return r;
}

/* --- one hook --------------------------------------------------------------------------------- */

struct hook_run {
    const struct spec_hook *hook;
    char *const *environment; /* of a hook that has none of its own */
    const char *directory;    /* NULL: where the caller is */
    const char *state_json;
    const struct hook_output *output;
    const struct launch_plan *confinement; /* NULL: none */
};

/* Last, for afterwards the filter may bar anything but execve. Its listener has no agent here. */
static int confine_child(const struct hook_run *run)
{
    struct error err = { 0 };
    int r;

    if (run->confinement == NULL)
        return 0;
    r = launch_confine_child(run->confinement, -1, &err);
    if (r < 0)
        (void)fd_write_all(STDERR_FILENO, err.message, strlen(err.message), "hook", NULL);
    return r;
}

static _Noreturn void run_hook_child(const struct hook_run *run, int input,
                                     const struct hook_output *output)
{
    static char *empty[] = { NULL };
    const struct spec_hook *hook = run->hook;
    char *only_path[] = { hook->path, NULL };
    char *const *environment = run->environment != NULL ? run->environment : empty;
    sigset_t none;

    if (hook->has_env)
        environment = hook->env.count > 0 ? hook->env.items : empty;
    /* The caller may have blocked signals to wait for them. */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0);
    /* A directory out of sight of a user namespace is not worth a failure. */
    if (run->directory != NULL)
        (void)!chdir(run->directory);
    /* Not what berth's caller has open, for a startContainer hook is a program of the container;
     * nor what is passed on to the container's own program. */
    if (fd_close_on_exec_from(3, NULL) == 0 && dup2(input, 0) >= 0 &&
        dup2(output->fds[0], 1) >= 0 && dup2(output->fds[1], 2) >= 0 && confine_child(run) == 0)
        execve(hook->path, hook->args.count > 0 ? hook->args.items : only_path, environment);
    _exit(errno == ENOENT ? 127 : 126);
}

/* As process_wait_end() wants it; a longer time than it can wait is no limit. */
static uint32_t timeout_ms(const struct spec_hook *hook)
{
    if (!hook->has_timeout || (uint32_t)hook->timeout >= UINT32_MAX / 1000u)
        return UINT32_MAX;
    return (uint32_t)hook->timeout * 1000u;
}

/* A hook that the container's filter kills shows as "signal 31 (bad system call)". */
static int ended_by_signal(int number, struct error *err)
{
    auto_free char *description = xstrdup(strsignal(number));

    description[0] = (char)tolower((unsigned char)description[0]);
    return error_set(err, ECANCELED, "was ended by signal %d (%s)", number, description);
}

/* Itself too, if it has not yet come to make its group. */
static void kill_hook(pid_t pid)
{
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
}

static int wait_hook(pid_t pid, int pidfd, const struct spec_hook *hook, struct error *err)
{
    int status = 0, ended;

    ended = process_wait_end(pidfd, timeout_ms(hook), err);
    if (ended <= 0)
        kill_hook(pid);
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return error_errno(err, "wait for the hook");
    }
    if (ended < 0)
        return ended;
    if (ended == 0)
        return error_set(err, ETIMEDOUT, "did not end within %d s and was killed", hook->timeout);
    if (WIFSIGNALED(status))
        return ended_by_signal(WTERMSIG(status), err);
    if (WEXITSTATUS(status) != 0)
        return error_set(err, ECANCELED, "exit status %d", WEXITSTATUS(status));
    return 0;
}

/* Made together with its pidfd, without which nobody would know when its time is up: so a want of
 * descriptors fails before the hook has begun. */
static pid_t clone_hook(int *ret_pidfd)
{
    struct clone_args arguments = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
        .exit_signal = SIGCHLD,
    };

    return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

static int start_hook(const struct hook_run *run, const struct hook_output *output, pid_t *ret_pid,
                      int *ret_pidfd, struct error *err)
{
    auto_close int read_fd = -1, write_fd = -1;
    size_t length = strlen(run->state_json);
    int pipe_fds[2];
    pid_t pid;

    if (length > HOOK_STATE_MAX)
        return error_set(err, E2BIG, "the state is larger than %u bytes", HOOK_STATE_MAX);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = pipe_fds[0];
    write_fd = pipe_fds[1];
    (void)fcntl(write_fd, F_SETPIPE_SZ, 65536);
    pid = clone_hook(ret_pidfd);
    if (pid < 0)
        return error_errno(err, "make its process");
    if (pid == 0)
        run_hook_child(run, read_fd, output);
    /* A hook need not read it. */
    (void)fd_write_all(write_fd, run->state_json, length, "hook", NULL);
    *ret_pid = pid;
    return 0;
}

static int run_hook(const struct hook_run *run, struct error *err)
{
    struct hook_output kept = { { -1, -1 } };
    auto_close int pidfd = -1;
    pid_t pid = 0;
    int r;

    r = keep_output(&kept, run->output, err);
    if (r == 0)
        r = start_hook(run, &kept, &pid, &pidfd, err);
    if (r == 0)
        r = wait_hook(pid, pidfd, run->hook, err);
    return finish_output(&kept, run->output, r, err);
}

static int run_at(struct hook_run *run, const struct spec_hook_list *hooks, size_t index,
                  const char *name, struct error *err)
{
    int r;

    run->hook = &hooks->items[index];
    r = run_hook(run, err);
    return r < 0 ? error_prefix(err, r, "error running %s hook #%zu: '%s'", name, index,
                                hooks->items[index].path)
                 : 0;
}

static int run_list(struct hook_run *run, const struct spec_hook_list *hooks, const char *name,
                    struct error *err)
{
    for (size_t i = 0; i < hooks->count; i++) {
        int r = run_at(run, hooks, i, name, err);

        if (r < 0)
            return r;
    }
    return 0;
}

/* Of these each one runs, and a failure is a warning (runtime.md, "Lifecycle" 13). */
static void run_poststop_list(struct hook_run *run, const struct spec_hook_list *hooks)
{
    for (size_t i = 0; i < hooks->count; i++) {
        struct error err = { 0 };

        if (run_at(run, hooks, i, "poststop", &err) < 0)
            log_warning("%s", err.message);
    }
}

static const char *directory_of(enum hook_kind kind, const struct state *state)
{
    if (!hook_words[kind].is_inside)
        return state->bundle;
    return kind == HOOK_CREATE_CONTAINER ? state->rootfs : NULL;
}

int hooks_run(const struct spec *spec, enum hook_kind kind, const struct state *state, pid_t pid,
              const struct hook_inside *inside, struct error *err)
{
    const struct hook_word *word = &hook_words[kind];
    struct hook_output own = { { -1, -1 } };
    auto_free char *json = NULL;
    struct hook_run run = { .environment = environ, .directory = directory_of(kind, state) };
    int r;

    if (!hooks_are_given(spec, kind))
        return 0;
    if (inside == NULL) {
        r = open_output(spec, &own, err);
        if (r < 0)
            return r;
    }
    run.output = &own;
    if (inside != NULL) {
        run.environment = inside->env->items;
        run.output = inside->output;
        run.confinement = inside->confinement;
    }
    run.state_json = json = state_format(state, word->status, pid);
    r = 0;
    if (kind == HOOK_POSTSTOP)
        run_poststop_list(&run, list_of(spec, kind));
    else
        r = run_list(&run, list_of(spec, kind), word->name, err);
    close_output(&own);
    return r;
}
