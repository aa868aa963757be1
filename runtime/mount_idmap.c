#include "runtime/mount_idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/idmap.h"
#include "runtime/procfs.h"
#include "runtime/runtime.h"

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
        return error_errno(err, "make a user namespace for the id map");
    if (pid == 0)
        hold_child(maker);
    *ret_pid = pid;
    return 0;
}

static int write_maps(int proc_fd, pid_t pid, const struct spec_id_mappings *uid_mappings,
                      const struct spec_id_mappings *gid_mappings, struct error *err)
{
    auto_free char *uid_path = xasprintf("%d/uid_map", pid);
    auto_free char *gid_path = xasprintf("%d/gid_map", pid);
    auto_free char *uids = idmap_format(uid_mappings);
    auto_free char *gids = idmap_format(gid_mappings);
    int r;

    r = procfs_write(proc_fd, uid_path, uids, err);
    if (r < 0)
        return r;
    return procfs_write(proc_fd, gid_path, gids, err);
}

static int open_held(int proc_fd, pid_t pid, int *ret_fd, struct error *err)
{
    auto_free char *path = xasprintf("%d/ns/user", pid);

    /* A magic link of a procfs that procfs_open() made: the one way to a namespace. */
    *ret_fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "open the user namespace of the id map");
    return 0;
}

int mount_idmap_open(const struct spec_id_mappings *uids, const struct spec_id_mappings *gids,
                     int *ret_namespace_fd, struct error *err)
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
    r = write_maps(proc_fd, pid, uids, gids, err);
    if (r == 0)
        r = open_held(proc_fd, pid, ret_namespace_fd, err);
    /* It is our child until waited for, so the pid cannot be another's. */
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return r;
}

int mount_idmap_set(int mount_fd, int namespace_fd, bool is_recursive, struct error *err)
{
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_IDMAP,
        .userns_fd = (unsigned)namespace_fd,
    };

    if (mount_setattr(mount_fd, "", AT_EMPTY_PATH | (is_recursive ? AT_RECURSIVE : 0), &attributes,
                      sizeof(attributes)) < 0)
        return error_errno(err, "set the id map (not every file system can)");
    return 0;
}

int runtime_idmap_open(uint32_t from, uint32_t to, uint32_t count, int *ret_namespace_fd,
                       struct error *err)
{
    struct spec_id_mapping items[] = {
        { .container_id = from, .host_id = to, .size = count },
        { .container_id = 0, .host_id = to + count, .size = 1 },
    };
    const struct spec_id_mappings mappings = { .items = items, .count = from > 0 ? 2 : 1 };

    return mount_idmap_open(&mappings, &mappings, ret_namespace_fd, err);
}
