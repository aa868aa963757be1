#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/process.h"

/* The child's end: its error is the whole message, without what it tolerated on its way. */
static _Noreturn void call_child(process_function *function, void *context, int report_fd)
{
    struct error error = { 0 };

    if (function(context, &error) >= 0)
        error.code = 0;
    (void)fd_write_all(report_fd, &error, sizeof(error), "pipe", NULL);
    _exit(0);
}

int process_call_in_child(process_function *function, void *context, struct error *err)
{
    auto_close int read_fd = -1, write_fd = -1;
    struct error error = { 0 };
    int pipe_fds[2];
    ssize_t length;
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = pipe_fds[0];
    write_fd = pipe_fds[1];
    pid = fork();
    if (pid < 0)
        return error_errno(err, "fork");
    if (pid == 0)
        call_child(function, context, write_fd);
    (void)close(take_fd(&write_fd));
    /* Less than a pipe takes at once, so it comes whole or not at all. */
    do {
        length = read(read_fd, &error, sizeof(error));
    } while (length < 0 && errno == EINTR);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (length != (ssize_t)sizeof(error))
        return error_set(err, EPROTO, "the process for it died");
    return error.code == 0 ? 0 : error_set(err, error.code, "%s", error.message);
}
