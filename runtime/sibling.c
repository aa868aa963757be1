#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "runtime/container.h"

/* A child that is made by another, short-lived child, as its sibling (CLONE_PARENT). The maker may
 * join namespaces before, which the caller itself must not or cannot: a pid namespace, which
 * setns(2) decides about for children only, or a user namespace, without which an ordinary user has
 * no right to the others. The new process's pid comes back through a pipe, as seen from the maker's
 * own pid namespace, which is still the caller's. */

struct answer {
    pid_t pid;
    struct error error;
};

static pid_t clone_sibling(uint64_t flags, int cgroup_fd)
{
    struct clone_args arguments = {
        /* It takes the signal of its maker; clone3(2) refuses another. */
        .flags = flags | CLONE_PARENT | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
        .cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0,
    };

    return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

static _Noreturn void make_child(const struct sibling *sibling, int answer_fd)
{
    struct answer answer = { 0 };

    if (sibling->prepare_child(sibling->data, &answer.error) == 0) {
        answer.pid = clone_sibling(sibling->flags, sibling->cgroup_fd);
        if (answer.pid == 0)
            sibling->run_child(sibling->data);
        if (answer.pid < 0)
            error_errno(&answer.error, "clone the process");
    }
    (void)fd_write_all(answer_fd, &answer, sizeof(answer), "pipe", NULL);
    _exit(0);
}

pid_t sibling_create(const struct sibling *sibling, struct error *err)
{
    struct answer answer = { 0 };
    auto_close int read_fd = -1, write_fd = -1;
    int pipe_fds[2];
    pid_t maker;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = pipe_fds[0];
    write_fd = pipe_fds[1];
    maker = fork();
    if (maker < 0)
        return error_errno(err, "fork");
    if (maker == 0)
        make_child(sibling, write_fd);
    (void)close(take_fd(&write_fd));
    while (waitpid(maker, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (read(read_fd, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
        return error_set(err, EPROTO, "the process that joins namespaces died");
    if (answer.pid <= 0)
        return error_set(err, answer.error.code, "%s", answer.error.message);
    return answer.pid;
}
