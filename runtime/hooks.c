#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"

/* Hooks (runtime-spec config.md "POSIX-platform Hooks"): programs that run one after the other with
 * the container's state on their standard input. A hook that fails, or runs into its timeout, ends
 * the operation; with its timeout its whole process group is killed. */

#define HOOK_STATE_MAX (60u << 10) /* fits into a pipe: writing it never blocks */

static _Noreturn void run_hook_child(const struct spec_hook *hook, int input)
{
    static char *empty[] = { NULL };
    char *only_path[] = { hook->path, NULL };

    sigset_t none;

    /* The caller may have blocked signals to wait for them. */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0);
    /* Not what berth's caller has open, for a startContainer hook is a program of the container;
     * nor what is passed on to the container's own program. */
    if (fd_close_on_exec_from(3, NULL) == 0 && dup2(input, 0) >= 0)
        execve(hook->path, hook->args.count > 0 ? hook->args.items : only_path,
               hook->env.count > 0 ? hook->env.items : empty);
    _exit(errno == ENOENT ? 127 : 126);
}

/* Waits for the hook; @timeout_ms as process_wait_end(). */
static int wait_hook(pid_t pid, const struct spec_hook *hook, struct error *err)
{
    auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    uint32_t timeout_ms = hook->has_timeout ? (uint32_t)hook->timeout * 1000u : UINT32_MAX;
    bool is_late = false;
    int status = 0, r;

    if (pidfd >= 0) {
        r = process_wait_end(pidfd, timeout_ms, err);
        is_late = r <= 0;
    }
    if (is_late)
        (void)kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return error_errno(err, "wait for the hook");
    }
    if (is_late)
        return error_set(err, ETIMEDOUT, "did not end within %d s and was killed", hook->timeout);
    if (WIFSIGNALED(status))
        return error_set(err, ECANCELED, "was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return error_set(err, ECANCELED, "exit status %d", WEXITSTATUS(status));
    return 0;
}

static int run_hook(const struct spec_hook *hook, const char *state_json, struct error *err)
{
    auto_close int read_fd = -1, write_fd = -1;
    size_t length = strlen(state_json);
    int pipe_fds[2];
    pid_t pid;

    if (length > HOOK_STATE_MAX)
        return error_set(err, E2BIG, "the state is larger than %u bytes", HOOK_STATE_MAX);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = pipe_fds[0];
    write_fd = pipe_fds[1];
    (void)fcntl(write_fd, F_SETPIPE_SZ, 65536);

    pid = fork();
    if (pid < 0)
        return error_errno(err, "fork");
    if (pid == 0)
        run_hook_child(hook, read_fd);
    (void)fd_write_all(write_fd, state_json, length, "hook", NULL); /* a hook need not read it */
    auto_close_cleanup(&write_fd);
    write_fd = -1;
    return wait_hook(pid, hook, err);
}

int hooks_run(const struct spec_hook_list *hooks, const char *kind, const char *state_json,
              struct error *err)
{
    for (size_t i = 0; i < hooks->count; i++) {
        int r = run_hook(&hooks->items[i], state_json, err);

        if (r < 0)
            return error_prefix(err, r, "error running %s hook #%zu: '%s'", kind, i,
                                hooks->items[i].path);
    }
    return 0;
}
