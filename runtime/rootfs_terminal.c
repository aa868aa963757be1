#include "runtime/rootfs_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "base/path.h"
#include "runtime/mount_api.h"
#include "runtime/runtime.h"

/* The terminal never has a path on its way: ptmx is opened below the descriptor of the container's
 * devpts, the other side comes from the kernel, and that descriptor's mount becomes /dev/console
 * (CVE-2025-52565 was a name /dev/pts/N that was swapped). */

/* Where the configuration binds /dev, or mounts no devpts of its own, what is at /dev/pts is taken
 * if it is a devpts. */
static int find_pts(const struct rootfs *rootfs, int *ret_fd, struct error *err)
{
    auto_close int fd = -1;
    struct statfs file_system;
    int r;

    r = path_open_in_root(rootfs->root_fd, "dev/pts", O_PATH | O_DIRECTORY, 0, &fd, err);
    if (r < 0)
        return error_prefix(err, r, "a terminal needs a mount of type devpts on '/dev/pts'");
    if (fstatfs(fd, &file_system) < 0)
        return error_errno(err, "look at '/dev/pts'");
    if (file_system.f_type != DEVPTS_SUPER_MAGIC)
        return error_set(err, ENOTTY, "a terminal needs a mount of type devpts on '/dev/pts'");
    *ret_fd = take_fd(&fd);
    return 0;
}

static int open_pair(int pts_fd, int *ret_master_fd, int *ret_slave_fd, struct error *err)
{
    auto_close int master_fd = -1, slave_fd = -1;
    int unlocked = 0;

    master_fd = openat(pts_fd, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    if (master_fd < 0)
        return error_errno(err, "open ptmx of the container");
    if (ioctl(master_fd, TIOCSPTLCK, &unlocked) < 0)
        return error_errno(err, "unlock the terminal");
    slave_fd = ioctl(master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave_fd < 0)
        return error_errno(err, "open the other side of the terminal");
    *ret_master_fd = take_fd(&master_fd);
    *ret_slave_fd = take_fd(&slave_fd);
    return 0;
}

static int set_up(int slave_fd, const struct spec_process *process, struct error *err)
{
    const struct spec_box *box = process->console_size;

    if (box != NULL) {
        struct winsize size = { .ws_row = (unsigned short)box->height,
                                .ws_col = (unsigned short)box->width };

        if (ioctl(slave_fd, TIOCSWINSZ, &size) < 0)
            return error_errno(err, "set the size of the terminal");
    }
    /* The group stays that of the devpts ("gid=5"): wall(1) and the like write through it. */
    if (process->user.uid != 0 && fchown(slave_fd, process->user.uid, (gid_t)-1) < 0)
        return error_errno(err, "give the terminal to user %u", process->user.uid);
    return 0;
}

static int bind_console(const struct rootfs *rootfs, int slave_fd, struct error *err)
{
    auto_close int mount_fd = -1, file_fd = -1;
    int r;

    r = mount_clone(slave_fd, "", false, &mount_fd, err);
    if (r < 0)
        return r;
    if (rootfs->dev_fd < 0) {
        r = path_make_file(rootfs->root_fd, "dev/console", 0600, &file_fd, err);
        if (r < 0)
            return r;
        return mount_attach(mount_fd, file_fd, NULL, err);
    }
    if (mknodat(rootfs->dev_fd, "console", S_IFREG | 0600, 0) < 0 && errno != EEXIST)
        return error_errno(err, "make '/dev/console'");
    return mount_attach(mount_fd, rootfs->dev_fd, "console", err);
}

int rootfs_open_terminal_child(struct rootfs *rootfs, const struct spec_process *process,
                               int *ret_master_fd, int *ret_slave_fd, struct error *err)
{
    auto_close int master_fd = -1, slave_fd = -1;
    int r = 0;

    if (rootfs->pts_fd < 0)
        r = find_pts(rootfs, &rootfs->pts_fd, err);
    if (r < 0)
        return r;
    r = open_pair(rootfs->pts_fd, &master_fd, &slave_fd, err);
    if (r < 0)
        return r;
    r = set_up(slave_fd, process, err);
    if (r < 0)
        return r;
    r = bind_console(rootfs, slave_fd, err);
    if (r < 0)
        return error_prefix(err, r, "'/dev/console'");
    *ret_master_fd = take_fd(&master_fd);
    *ret_slave_fd = take_fd(&slave_fd);
    return 0;
}

void terminal_clear_onlcr(int fd)
{
    struct termios settings;

    if (tcgetattr(fd, &settings) < 0)
        return; /* not a terminal */
    settings.c_oflag &= ~(tcflag_t)ONLCR;
    (void)tcsetattr(fd, TCSANOW, &settings); /* at worst there is a CR too many */
}
