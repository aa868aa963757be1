#include "runtime/masked_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/path.h"
#include "runtime/devices.h"
#include "runtime/mount_api.h"

static bool is_missing(int r)
{
    /* EACCES: in a user namespace the path may be out of the container's own sight too. */
    return r == -ENOENT || r == -ENOTDIR || r == -EACCES;
}

static int make_read_only(const struct rootfs *rootfs, const char *path, struct error *err)
{
    auto_close int fd = -1, mount_fd = -1;
    int r;

    r = path_open_in_root(rootfs->root_fd, path, O_PATH, 0, &fd, err);
    if (is_missing(r))
        return 0;
    if (r < 0)
        return r;
    r = mount_clone(fd, "", true, &mount_fd, err);
    if (r < 0)
        return r;
    /* Not more than the configuration says: noexec on "/usr" would stop everything. */
    r = mount_change(mount_fd, MOUNT_ATTR_RDONLY, 0, false, err);
    if (r < 0)
        return r;
    return mount_attach(mount_fd, fd, NULL, err);
}

int readonly_paths_apply(const struct rootfs *rootfs, struct error *err)
{
    const struct strings *paths = &rootfs->plan->spec->linux_.readonly_paths;
    int r;

    for (size_t i = 0; i < paths->count; i++) {
        r = make_read_only(rootfs, paths->items[i], err);
        if (r < 0)
            return error_prefix(err, r, "make '%s' read-only", paths->items[i]);
    }
    return 0;
}

static int mask_file(struct rootfs *rootfs, int fd, struct error *err)
{
    auto_close int copy_fd = -1;
    int null_fd = -1, r;

    r = devices_open_null(rootfs, &null_fd, err);
    if (r < 0)
        return r;
    r = mount_clone(null_fd, "", false, &copy_fd, err);
    if (r < 0)
        return r;
    return mount_attach(copy_fd, fd, NULL, err);
}

/* The first directory gets the tmpfs itself: before Linux 6.15 only an attached mount can be
 * copied. */
static int mask_directory(int *shared_fd, int fd, struct error *err)
{
    static const char *const words[] = { "mode=755", "nr_blocks=1", "nr_inodes=2" };
    auto_close int copy_fd = -1;
    int r;

    if (*shared_fd < 0) {
        r = mount_create("tmpfs", "tmpfs", words, ARRAY_SIZE(words),
                         MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                             MOUNT_ATTR_NOEXEC,
                         shared_fd, err);
        if (r < 0)
            return r;
        return mount_attach(*shared_fd, fd, NULL, err);
    }
    r = mount_clone(*shared_fd, "", false, &copy_fd, err);
    if (r < 0)
        return r;
    return mount_attach(copy_fd, fd, NULL, err);
}

static int mask(struct rootfs *rootfs, int *shared_fd, const char *path, struct error *err)
{
    auto_close int fd = -1;
    struct stat status;
    int r;

    r = path_open_in_root(rootfs->root_fd, path, O_PATH, 0, &fd, err);
    if (is_missing(r))
        return 0;
    if (r < 0)
        return r;
    if (fstat(fd, &status) < 0)
        return error_errno(err, "look at it");
    if (S_ISDIR(status.st_mode))
        return mask_directory(shared_fd, fd, err);
    return mask_file(rootfs, fd, err);
}

int masked_paths_apply(struct rootfs *rootfs, struct error *err)
{
    const struct strings *paths = &rootfs->plan->spec->linux_.masked_paths;
    auto_close int shared_fd = -1; /* the tmpfs, once a directory needed it */
    int r = 0;

    for (size_t i = 0; i < paths->count && r == 0; i++) {
        r = mask(rootfs, &shared_fd, paths->items[i], err);
        if (r < 0)
            (void)error_prefix(err, r, "mask '%s'", paths->items[i]);
    }
    return r;
}
