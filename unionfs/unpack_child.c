#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/process.h"
#include "unionfs/unionfs.h"

#define PIPE_BYTES (1 << 20) /* what an ordinary user may ask for */
#define WORDS_MAX  4096      /* PIPE_BUF */

static int make_pipe(int *ret_read_fd, int *ret_write_fd, struct error *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    *ret_read_fd = fds[0];
    *ret_write_fd = fds[1];
    return 0;
}

int unpack_child_start(const char *command, int fd, struct unpack_child *ret_child,
                       struct error *err)
{
    AUTO_CLEAR(unpack_child) struct unpack_child child = UNPACK_CHILD_NONE;
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    AUTO_CLEAR(strings) struct strings environment = { 0 };
    auto_close int write_fd = -1;
    auto_close int error_fd = -1;
    auto_free char *program = NULL;
    int r;

    assert(fd >= 0);
    assert(ret_child != NULL);

    r = process_find_helper("berth-unpack", &program, err);
    if (r == 0)
        r = make_pipe(&child.fd, &write_fd, err);
    if (r == 0)
        r = make_pipe(&child.error_fd, &error_fd, err);
    if (r < 0)
        return r;
    (void)fcntl(write_fd, F_SETPIPE_SZ, PIPE_BYTES); /* only faster */
    strings_add(&arguments, program);
    strings_add(&arguments, command);
    /* No environment: no library is to be told anything. */
    r = process_spawn_environment(&arguments, &environment, (const int[]){ fd, write_fd, error_fd },
                                  &child.pid, err);
    if (r < 0)
        return r;
    *ret_child = child;
    child = (struct unpack_child)UNPACK_CHILD_NONE;
    return 0;
}

static int wait_child(struct unpack_child *child)
{
    int status = 0;

    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    child->pid = 0;
    return process_exit_status(status);
}

/* What one that is gone has said. */
static void read_words(const struct unpack_child *child, char words[WORDS_MAX + 1])
{
    ssize_t length = read(child->error_fd, words, WORDS_MAX);

    words[length > 0 ? length : 0] = '\0';
}

int unpack_child_finish(struct unpack_child *child, int r, struct strings *ret_warnings,
                        struct error *err)
{
    char words[WORDS_MAX + 1];
    int status;

    assert(child->pid > 0);

    /* It may wait for input that does not come. One that is ending keeps its status. */
    if (r < 0)
        (void)kill(child->pid, SIGKILL);
    status = wait_child(child);
    read_words(child, words);
    if (status == 0 && r == 0 && ret_warnings != NULL && *words != '\0')
        strings_split(ret_warnings, words, '\n');
    if (status == 0 || (r < 0 && r != -EBADMSG))
        return r;
    if (*words != '\0')
        return error_set(err, EBADMSG, "%s", words);
    return error_set(err, EBADMSG, "berth-unpack ended early, with status %d", status);
}

void unpack_child_clear(struct unpack_child *child)
{
    if (child->pid > 0) {
        (void)kill(child->pid, SIGKILL); /* our own child, not waited for yet */
        (void)wait_child(child);
    }
    auto_close_cleanup(&child->fd);
    auto_close_cleanup(&child->error_fd);
    *child = (struct unpack_child)UNPACK_CHILD_NONE;
}
