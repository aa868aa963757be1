#include "image/archive_child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/process.h"
#include "base/sandbox.h"

#define PIPE_BYTES (1 << 20) /* what an ordinary user may ask for */

int archive_child_start(const char *form, const struct strings *wanted, int fd,
                        struct archive_child *ret_child, struct error *err)
{
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    AUTO_CLEAR(strings) struct strings environment = { 0 };
    auto_close int read_fd = -1;
    auto_close int write_fd = -1;
    auto_free char *program = NULL;
    /* What it could write to a terminal is for who mends it. */
    int error_fd = SANDBOX_HAS_SANITIZERS ? STDERR_FILENO : -1;
    int pipe_fds[2];
    int r;

    assert(fd >= 0);
    assert(ret_child != NULL);

    r = process_find_helper("berth-archive", &program, err);
    if (r < 0)
        return r;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = pipe_fds[0];
    write_fd = pipe_fds[1];
    (void)fcntl(write_fd, F_SETPIPE_SZ, PIPE_BYTES); /* only faster */
    strings_add(&arguments, program);
    strings_add(&arguments, form);
    for (size_t i = 0; wanted != NULL && i < wanted->count; i++)
        strings_add(&arguments, wanted->items[i]);
    /* No environment: no library is to be told anything. */
    r = process_spawn_environment(&arguments, &environment, (const int[]){ fd, write_fd, error_fd },
                                  &ret_child->pid, err);
    if (r == 0)
        ret_child->fd = take_fd(&read_fd);
    return r;
}

int archive_child_end(struct archive_child *child)
{
    int status = 0;

    assert(child->pid > 0);

    /* Our own child, not waited for yet. One that is ending keeps the status that it had. */
    (void)kill(child->pid, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    child->pid = 0;
    return process_exit_status(status);
}

void archive_child_clear(struct archive_child *child)
{
    if (child->pid > 0)
        (void)archive_child_end(child);
    auto_close_cleanup(&child->fd);
    child->fd = -1;
}
