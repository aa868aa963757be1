#include "microvm/agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SYSTEM "/system"

static const struct {
    const char *path, *type, *data;
    unsigned long flags;
} mounts[] = {
    { "/proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
    { "/sys", "sysfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
    { "/sys/fs/cgroup", "cgroup2", "nsdelegate", MS_NOSUID | MS_NODEV | MS_NOEXEC },
};

static const char *const directories[] = { "/dev",   "/proc",   "/sys",    "/run",    "/tmp",
                                           "/files", "/shares", "/rootfs", "/bundle", "/layers" };

static int make_directory(const char *path, struct error *err)
{
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return error_errno(err, "make directory '%s'", path);
    return 0;
}

static int do_mount(const char *path, const char *type, unsigned long flags, const char *data,
                    struct error *err)
{
    if (mount(type, path, type, flags, data) < 0)
        return error_errno(err, "mount %s on '%s'", type, path);
    return 0;
}

/* As switch_root(8): the tmpfs is moved over the initramfs, whose files stay. */
static int enter_system(struct error *err)
{
    int r;

    r = make_directory(SYSTEM, err);
    if (r == 0)
        r = do_mount(SYSTEM, "tmpfs", 0, "mode=755", err);
    if (r < 0)
        return r;
    if (chdir(SYSTEM) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
        chdir("/") < 0)
        return error_errno(err, "enter the tmpfs that becomes the root");
    return 0;
}

int agent_boot(int *ret_initramfs_fd, struct error *err)
{
    auto_close int initramfs_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (initramfs_fd < 0)
        return error_errno(err, "open the initramfs");
    r = enter_system(err);
    for (size_t i = 0; i < ARRAY_SIZE(directories) && r == 0; i++)
        r = make_directory(directories[i], err);
    if (r == 0)
        r = do_mount("/dev", "devtmpfs", MS_NOSUID, "mode=755", err);
    for (size_t i = 0; i < ARRAY_SIZE(mounts) && r == 0; i++)
        r = do_mount(mounts[i].path, mounts[i].type, mounts[i].flags, mounts[i].data, err);
    if (r == 0)
        r = make_directory("/dev/pts", err);
    if (r == 0)
        r = do_mount("/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666", err);
    if (r < 0)
        return r;
    *ret_initramfs_fd = take_fd(&initramfs_fd);
    return 0;
}

/* A port's file is there for a moment before its driver knows it (virtio_console.c, add_port), and
 * there is no event for the latter. */
static int open_new_device(int directory_fd, const char *name)
{
    const struct timespec moment = { .tv_nsec = 200000 };
    int fd = -1;

    for (int i = 0; i < 10000 && fd < 0; i++) {
        fd = openat(directory_fd, name, O_RDWR | O_CLOEXEC);
        if (fd < 0 && errno != ENXIO)
            break;
        if (fd < 0)
            (void)nanosleep(&moment, NULL); /* a shorter one is as good */
    }
    return fd;
}

/* Ports are called vport<device>p<port>; there is one device with ports. Returns 1, or 0: it is not
 * there yet. */
static int find_port(DIR *directory, unsigned number, int *ret_fd, struct error *err)
{
    const struct dirent *entry;

    rewinddir(directory);
    while ((entry = readdir(directory)) != NULL) {
        unsigned device = 0, port = 0;

        if (sscanf(entry->d_name, "vport%up%u", &device, &port) != 2 || port != number)
            continue;
        *ret_fd = open_new_device(dirfd(directory), entry->d_name);
        return *ret_fd < 0 ? error_errno(err, "open '/dev/%s'", entry->d_name) : 1;
    }
    return 0;
}

static int wait_for_port(DIR *directory, int watch_fd, unsigned number, int *ret_fd,
                         struct error *err)
{
    for (;;) {
        struct pollfd change = { .fd = watch_fd, .events = POLLIN };
        char events[4096];
        int r = find_port(directory, number, ret_fd, err);

        if (r != 0)
            return r < 0 ? r : 0;
        if (poll(&change, 1, -1) < 0 && errno != EINTR)
            return error_errno(err, "wait for port %u", number);
        while (read(watch_fd, events, sizeof(events)) > 0)
            continue;
    }
}

/* The device appears when the kernel has talked with the host's side about it: a new file in /dev
 * is looked for, not waited for by time. */
int agent_open_port(unsigned number, int *ret_fd, struct error *err)
{
    auto_close int watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    DIR *directory;
    int r;

    if (watch_fd < 0 || inotify_add_watch(watch_fd, "/dev", IN_CREATE) < 0)
        return error_errno(err, "watch /dev");
    directory = opendir("/dev");
    if (directory == NULL)
        return error_errno(err, "open /dev");
    r = wait_for_port(directory, watch_fd, number, ret_fd, err);
    (void)closedir(directory); /* was only read */
    return r;
}
