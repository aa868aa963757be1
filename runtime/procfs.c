#include "runtime/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/path.h"

/* Inode of the root of every procfs (PROC_ROOT_INO): a bind of something below it is not that. */
#define PROCFS_ROOT_INODE 1

/* -1 with errno. */
static int make_private(bool is_full)
{
    auto_close int context_fd = fsopen("proc", FSOPEN_CLOEXEC);

    if (context_fd < 0)
        return -1;
    if (!is_full && fsconfig(context_fd, FSCONFIG_SET_STRING, "subset", "pid", 0) < 0)
        return -1;
    if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return fsmount(context_fd, FSMOUNT_CLOEXEC,
                   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

static int open_visible(int *ret_fd, struct error *err)
{
    auto_close int fd = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct statfs file_system;
    struct stat status;

    if (fd < 0)
        return error_errno(err, "open /proc");
    if (fstatfs(fd, &file_system) < 0 || fstat(fd, &status) < 0)
        return error_errno(err, "look at /proc");
    if (file_system.f_type != PROC_SUPER_MAGIC || status.st_ino != PROCFS_ROOT_INODE)
        return error_set(err, EXDEV, "/proc is not a proc file system");
    *ret_fd = take_fd(&fd);
    return 0;
}

int procfs_open(bool is_full, int *ret_fd, struct error *err)
{
    auto_close int fd = make_private(is_full);

    if (fd < 0 && (errno == EPERM || errno == ENOSYS))
        return open_visible(ret_fd, err);
    if (fd < 0)
        return error_errno(err, "make a private proc file system");
    *ret_fd = take_fd(&fd);
    return 0;
}

int procfs_write(int proc_fd, const char *path, const char *value, struct error *err)
{
    auto_close int fd = -1;
    struct statfs file_system;
    size_t length = strlen(value);
    int r;

    r = path_open_beneath(proc_fd, path, O_WRONLY, 0, &fd, err);
    if (r < 0)
        return r;
    if (fstatfs(fd, &file_system) < 0)
        return error_errno(err, "look at /proc/%s", path);
    if (file_system.f_type != PROC_SUPER_MAGIC)
        return error_set(err, EXDEV, "/proc/%s is not a file of a proc file system", path);
    if (write(fd, value, length) != (ssize_t)length)
        return error_errno(err, "write '%s' to /proc/%s", value, path);
    return 0;
}
