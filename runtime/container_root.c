#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/runtime.h"

/* The root of a running container as others look at it: what its mount namespace has there, copied
 * as a mount that is attached nowhere. */

static int enter(const struct container *container, bool has_user_namespace, struct error *err)
{
    /* Nobody in the container's namespaces may look into us (ptrace(2)). */
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return error_errno(err, "hide the process");
    if (setns(container_pidfd(container), CLONE_NEWNS | (has_user_namespace ? CLONE_NEWUSER : 0)) <
        0)
        return error_errno(err, "join the container's namespaces");
    if (has_user_namespace &&
        (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0))
        return error_errno(err, "become root of the user namespace");
    return 0;
}

int container_copy_mounts(const struct container *container, bool has_user_namespace, bool is_whole,
                          int *ret_fd, struct error *err)
{
    struct mount_attr attributes = { .attr_set = MOUNT_ATTR_NODEV };
    auto_close int fd = -1;
    int r;

    assert(container != NULL);
    assert(ret_fd != NULL);

    r = enter(container, has_user_namespace, err);
    if (r < 0)
        return r;
    fd = open_tree(AT_FDCWD, "/",
                   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (is_whole ? AT_RECURSIVE : 0));
    if (fd < 0)
        return error_errno(err, "copy the container's mounts");
    if (!is_whole)
        attributes.attr_set |= MOUNT_ATTR_RDONLY;
    if (mount_setattr(fd, "", AT_EMPTY_PATH | (is_whole ? AT_RECURSIVE : 0), &attributes,
                      sizeof(attributes)) < 0)
        return error_errno(err, "protect the container's mounts");
    *ret_fd = take_fd(&fd);
    return 0;
}
