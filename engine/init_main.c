/* berth-init -- PROGRAM ARGUMENT...: the first process of a container with --init.
 *
 * Starts the program, passes signals on to it, reaps every process that lost its parent, and ends
 * with the program's status. Bound over /sbin/docker-init of any image, so it is static and needs
 * nothing. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void complain(const char *program, int code)
{
    const char *parts[] = { "berth-init: ", program, ": ", strerror(code), "\n" };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
            return;
}

/* A group of its own, in the foreground of the terminal if there is one: Ctrl-C reaches the program
 * and its children from the terminal, not twice. */
static pid_t start(char **arguments, const sigset_t *old_mask)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    (void)setpgid(0, 0);
    (void)tcsetpgrp(STDIN_FILENO, getpid()); /* SIGTTOU is blocked; without a terminal it fails */
    (void)sigprocmask(SIG_SETMASK, old_mask, NULL);
    execvp(arguments[0], arguments);
    complain(arguments[0], errno);
    _exit(errno == ENOENT ? 127 : 126);
}

/* Returns the status once the program ended, else -1. */
static int reap(pid_t program)
{
    int status;
    int result = -1;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == program)
            result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return result;
}

int main(int argc, char **argv)
{
    sigset_t all, old_mask;
    int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;
    pid_t program;

    if (argc <= first) {
        complain("no program given", EINVAL);
        return 125;
    }
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &old_mask);
    program = start(argv + first, &old_mask);
    if (program < 0) {
        complain(argv[first], errno);
        return 125;
    }
    for (;;) {
        int signal = 0;
        int status;

        if (sigwait(&all, &signal) != 0)
            continue;
        if (signal != SIGCHLD) {
            (void)kill(program, signal); /* it may have just ended */
            continue;
        }
        status = reap(program);
        if (status >= 0)
            return status;
    }
}
