#include "engine/pause_guard.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "engine/engine_private.h"

/* The child waits for the end of a pipe whose other end only its maker has, in a session of its
 * own, so that neither keys nor signals to the maker's group end it. */

static _Noreturn void guard_child(struct container *container, const int pipe_fds[2])
{
    struct cgroup *cgroup = container_cgroup(container);
    char byte;

    (void)close(pipe_fds[1]);
    (void)setsid(); /* a new process is no leader of a group yet */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    while (read(pipe_fds[0], &byte, 1) < 0 && errno == EINTR)
        ;
    /* Also when it was started anew since: it has the same cgroup, which was frozen. */
    if (cgroup != NULL)
        (void)cgroup_thaw(cgroup, NULL); /* it ended, or someone else did it */
    _exit(0);
}

static int is_running(struct container *container)
{
    enum container_status status;

    /* It may end at any moment. */
    return container_status(container, &status, NULL) == 0 && status == CONTAINER_RUNNING;
}

int pause_guard_open(struct engine *engine, const char *id, struct pause_guard *ret_guard,
                     struct error *err)
{
    AUTO(container) struct container *container = NULL;
    struct pause_guard guard = { .fd = -1 };
    auto_close int read_fd = -1;
    int fds[2];
    int r;

    assert(ret_guard != NULL);

    *ret_guard = guard;
    r = engine_need_runtime(engine, err);
    if (r < 0)
        return r;
    if (container_open(engine->runtime, id, &container, NULL) < 0 || !is_running(container))
        return 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = fds[0];
    guard.fd = fds[1];
    guard.pid = fork();
    if (guard.pid == 0)
        guard_child(container, fds);
    if (guard.pid < 0) {
        guard.pid = 0;
        r = error_errno(err, "make a process that lets the container go on");
    } else {
        r = container_pause(container, err);
    }
    if (r < 0 && is_running(container)) {
        pause_guard_clear(&guard);
        return error_prefix(err, r, "pause container %.12s (--pause=false reads it as it runs)",
                            id);
    }
    *ret_guard = guard;
    return 0;
}

void pause_guard_clear(struct pause_guard *guard)
{
    auto_close_cleanup(&guard->fd);
    guard->fd = -1;
    while (guard->pid > 0 && waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    guard->pid = 0;
}
