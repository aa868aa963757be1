#include "engine/image_root.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"

/* glibc's sys/mount.h and linux/mount.h cannot be included together everywhere. */
static int configure(int fd, unsigned command, const char *key, const char *value)
{
    return (int)syscall(SYS_fsconfig, fd, command, key, value, 0);
}

static int mount_layers(const struct strings *layers, int *ret_fd, struct error *err)
{
    auto_close int fs_fd = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
    int fd;

    if (fs_fd < 0)
        return error_errno(err, "open an overlay of the image's layers");
    for (size_t i = 0; i < layers->count; i++)
        if (configure(fs_fd, FSCONFIG_SET_STRING, "lowerdir+", layers->items[i]) < 0)
            return error_errno(err, "add layer '%s' to an overlay", layers->items[i]);
    if (configure(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
        return error_errno(err, "make an overlay of the image's layers");
    fd = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC,
                      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (fd < 0)
        return error_errno(err, "mount an overlay of the image's layers");
    *ret_fd = fd;
    return 0;
}

int image_root_open(const struct strings *layers, int *ret_fd, struct error *err)
{
    assert(ret_fd != NULL);

    if (layers->count == 0)
        return error_set(err, EINVAL, "the image has no layers");
    if (layers->count > 1)
        return mount_layers(layers, ret_fd, err);
    *ret_fd = open(layers->items[0], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "open layer '%s'", layers->items[0]);
    return 0;
}
