/* process_run() and process_spawn(): other programs as children, without copying this process. */
#include "base/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"

#define PROCESS_FDS_MAX 4

/* One below @count may be overwritten before its turn comes: it is copied out of the way. */
static int move_aside(const int *fds, int count, int *ret_moved, int *ret_copies, struct error *err)
{
    for (int i = 0; i < count; i++) {
        ret_moved[i] = fds[i];
        if (fds[i] < 0 || fds[i] >= count || fds[i] == i)
            continue;
        ret_copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, count);
        if (ret_copies[i] < 0)
            return error_errno(err, "copy descriptor %d", fds[i]);
        ret_moved[i] = ret_copies[i];
    }
    return 0;
}

static int add_descriptors(posix_spawn_file_actions_t *actions, const int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        int code;

        /* dup2 of a descriptor onto itself clears its close-on-exec here (posix_spawn(3)). */
        if (fds[i] < 0)
            code = posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0);
        else
            code = posix_spawn_file_actions_adddup2(actions, fds[i], i);
        if (code != 0)
            return code;
    }
    return 0;
}

/* Returns an errno value. The child begins with no signal blocked: our callers block what they
 * read from a signalfd, and many programs never unblock. */
static int spawn(const struct strings *arguments, const struct strings *environment, const int *fds,
                 int count, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *const nothing[] = { NULL };
    char *const *variables = environ;
    sigset_t none;
    sigset_t pipe_only;
    int code;

    code = posix_spawn_file_actions_init(&actions);
    if (code != 0)
        return code;
    code = posix_spawnattr_init(&attributes);
    if (code != 0) {
        (void)posix_spawn_file_actions_destroy(&actions); /* cannot fail */
        return code;
    }
    (void)sigemptyset(&none);
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &pipe_only);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (environment != NULL)
        variables = environment->count > 0 ? environment->items : nothing;
    code = add_descriptors(&actions, fds, count);
    if (code == 0)
        code = posix_spawnp(ret_pid, arguments->items[0], &actions, &attributes, arguments->items,
                            variables);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return code;
}

static int spawn_with(const struct strings *arguments, const struct strings *environment,
                      const int *fds, int count, pid_t *ret_pid, struct error *err)
{
    int moved[PROCESS_FDS_MAX] = { -1, -1, -1, -1 };
    int copies[PROCESS_FDS_MAX] = { -1, -1, -1, -1 };
    pid_t pid;
    int code = 0;
    int r;

    assert(arguments->count > 0);
    assert(count <= PROCESS_FDS_MAX);
    assert(ret_pid != NULL);

    r = move_aside(fds, count, moved, copies, err);
    if (r == 0)
        code = spawn(arguments, environment, moved, count, &pid);
    for (int i = 0; i < count; i++)
        auto_close_cleanup(&copies[i]);
    if (r < 0)
        return r;
    if (code != 0) {
        errno = code;
        return error_errno(err, "run '%s'", arguments->items[0]);
    }
    *ret_pid = pid;
    return 0;
}

int process_spawn(const struct strings *arguments, const int fds[3], pid_t *ret_pid,
                  struct error *err)
{
    return spawn_with(arguments, NULL, fds, fds == NULL ? 0 : 3, ret_pid, err);
}

int process_spawn_environment(const struct strings *arguments, const struct strings *environment,
                              const int fds[3], pid_t *ret_pid, struct error *err)
{
    return spawn_with(arguments, environment, fds, fds == NULL ? 0 : 3, ret_pid, err);
}

int process_spawn_with_four(const struct strings *arguments, const int fds[4], pid_t *ret_pid,
                            struct error *err)
{
    assert(fds != NULL);

    return spawn_with(arguments, NULL, fds, 4, ret_pid, err);
}

int process_run(const struct strings *arguments, const int fds[3], int *ret_status,
                struct error *err)
{
    pid_t pid;
    int status;
    int r;

    assert(ret_status != NULL);

    r = process_spawn(arguments, fds, &pid, err);
    if (r < 0)
        return r;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return error_errno(err, "wait for '%s'", arguments->items[0]);
    }
    *ret_status = process_exit_status(status);
    return 0;
}
