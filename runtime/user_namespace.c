#include "runtime/user_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "runtime/container.h"
#include "runtime/procfs.h"

/* User namespaces that no container's init makes: to carry an id map, or for a whole command of an
 * ordinary user. */

/* Lives until it is killed, or until its maker dies. */
static _Noreturn void hold_child(pid_t maker)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != maker)
        _exit(1);
    for (;;)
        (void)pause();
}

/* A child in a new user namespace. */
static int start_holder(pid_t *ret_pid, struct error *err)
{
    struct clone_args arguments = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
    pid_t maker = getpid();
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));

    if (pid < 0)
        return error_errno(err, "make a user namespace");
    if (pid == 0)
        hold_child(maker);
    *ret_pid = pid;
    return 0;
}

static int open_held(int proc_fd, pid_t pid, int *ret_fd, struct error *err)
{
    auto_free char *path = xasprintf("%d/ns/user", pid);

    /* A magic link of a procfs that procfs_open() made: the one way to a namespace. */
    *ret_fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? error_errno(err, "open a user namespace") : 0;
}

int user_namespace_open(user_namespace_map *map, void *context, int *ret_fd, struct error *err)
{
    auto_close int proc_fd = -1;
    pid_t pid = 0;
    int r;

    r = procfs_open(false, &proc_fd, err);
    if (r < 0)
        return r;
    r = start_holder(&pid, err);
    if (r < 0)
        return r;
    r = map(proc_fd, pid, context, err);
    if (r == 0)
        r = open_held(proc_fd, pid, ret_fd, err);
    /* It is our child until waited for, so the pid cannot be another's. */
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return r;
}

static int map_own(int proc_fd, pid_t pid, void *context, struct error *err)
{
    (void)proc_fd; /* newuidmap(1) has its own */
    return idmap_write(pid, context, err);
}

int runtime_user_namespace_make(int *ret_fd, struct error *err)
{
    struct spec_linux maps = { 0 };
    int r;

    idmap_fill_own(&maps);
    r = user_namespace_open(map_own, &maps, ret_fd, err);
    free(maps.uid_mappings.items);
    free(maps.gid_mappings.items);
    return r;
}

int runtime_user_namespace_enter(int fd, struct error *err)
{
    if (setns(fd, CLONE_NEWUSER) < 0)
        return error_errno(err, "enter a user namespace");
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return error_errno(err, "become root of a user namespace");
    /* Only there may mounts be made. What is mounted outside from now on is seen all the same
     * (mount_namespaces(7), "Restrictions on mount namespaces"). */
    if (unshare(CLONE_NEWNS) < 0)
        return error_errno(err, "make a mount namespace in a user namespace");
    return 0;
}
