#include "engine/image_root.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "engine/engine.h"
#include "unionfs/unionfs.h"

/* Layers are named one by one, or, for kernels before 6.7, together by numbers of descriptors. */

/* glibc's sys/mount.h and linux/mount.h cannot be included together everywhere. */
static int configure(int fd, unsigned command, const char *key, const char *value)
{
    return (int)syscall(SYS_fsconfig, fd, command, key, value, 0);
}

/* Names the layers one by one (Linux 6.7). -EOPNOTSUPP: not by this kernel. */
static int add_layers(int fs_fd, const struct strings *layers, struct error *err)
{
    /* Before 6.5 any string is taken, and refused only with the whole overlay. */
    if (configure(fs_fd, FSCONFIG_SET_STRING, "lowerdir+", "") == 0)
        return -EOPNOTSUPP;
    for (size_t i = 0; i < layers->count; i++) {
        if (configure(fs_fd, FSCONFIG_SET_STRING, "lowerdir+", layers->items[i]) == 0)
            continue;
        if (errno == EINVAL && i == 0)
            return -EOPNOTSUPP;
        return error_errno(err, "add layer '%s' to an overlay", layers->items[i]);
    }
    return 0;
}

/* For kernels that want all layers in one string of up to 255 bytes: the numbers of descriptors,
 * relative to /proc/self/fd. */
static int create_by_number(int fs_fd, const struct strings *layers, struct error *err)
{
    AUTO_CLEAR(layer_fds) struct layer_fds fds = { 0 };
    AUTO_CLEAR(text) struct text names = { 0 };
    auto_close int here_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = 0;

    if (here_fd < 0)
        return error_errno(err, "open the working directory");
    r = layer_fds_open(AT_FDCWD, layers, O_PATH, &fds, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < fds.count; i++)
        text_addf(&names, "%s%d", i == 0 ? "" : ":", fds.items[i]);
    if (chdir("/proc/self/fd") < 0)
        return error_errno(err, "enter /proc/self/fd");
    if (configure(fs_fd, FSCONFIG_SET_STRING, "lowerdir", names.data) < 0 ||
        configure(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
        r = error_errno(err, "make an overlay of the image's %zu layers", layers->count);
    if (fchdir(here_fd) < 0 && r == 0)
        r = error_errno(err, "return to the working directory");
    return r;
}

static int open_overlay(int *ret_fs_fd, struct error *err)
{
    *ret_fs_fd = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
    if (*ret_fs_fd < 0)
        return error_errno(err, "open an overlay of the image's layers");
    if (rootless_session_is_on() && configure(*ret_fs_fd, FSCONFIG_SET_FLAG, "userxattr", NULL) < 0)
        return error_errno(err, "let an overlay's marks be a user's attributes (since Linux 5.11)");
    return 0;
}

/* What else the overlay is told; nothing of it for layers alone. */
static int add_writable(int fs_fd, const char *upper, const char *work, struct error *err)
{
    const struct {
        const char *key, *value;
    } options[] = {
        { "upperdir", upper },
        { "workdir", work },
        { "index", "off" },
        { "metacopy", "off" },
        { "redirect_dir", "nofollow" }, /* as in snapshot.c */
    };

    for (size_t i = 0; upper != NULL && i < ARRAY_SIZE(options); i++) {
        if (configure(fs_fd, FSCONFIG_SET_STRING, options[i].key, options[i].value) < 0)
            return error_errno(err, "set %s=%s of an overlay", options[i].key, options[i].value);
    }
    return 0;
}

static int mount_layers(const struct strings *layers, const char *upper, const char *work,
                        unsigned attributes, int *ret_fd, struct error *err)
{
    auto_close int fs_fd = -1;
    int fd, r;

    r = open_overlay(&fs_fd, err);
    if (r == 0)
        r = add_writable(fs_fd, upper, work, err);
    if (r < 0)
        return r;
    r = add_layers(fs_fd, layers, err);
    if (r == -EOPNOTSUPP) {
        (void)close(take_fd(&fs_fd)); /* it may hold what the kernel does not know */
        r = open_overlay(&fs_fd, err);
        if (r == 0)
            r = add_writable(fs_fd, upper, work, err);
        if (r == 0)
            r = create_by_number(fs_fd, layers, err);
    } else if (r == 0 && configure(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL) < 0) {
        r = error_errno(err, "make an overlay of the image's layers");
    }
    if (r < 0)
        return r;
    fd = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, attributes);
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
        return mount_layers(layers, NULL, NULL,
                            MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                MOUNT_ATTR_NOEXEC,
                            ret_fd, err);
    *ret_fd = open(layers->items[0], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "open layer '%s'", layers->items[0]);
    return 0;
}

int copied_root_open(const char *path, int *ret_fd, struct error *err)
{
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
    };
    auto_close int fd = -1;

    assert(ret_fd != NULL);

    fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open the container's root");
    if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
        return error_errno(err, "protect the container's root");
    *ret_fd = take_fd(&fd);
    return 0;
}

int writable_root_open(const struct strings *layers, const char *upper, const char *work,
                       int *ret_fd, struct error *err)
{
    assert(upper != NULL);
    assert(work != NULL);
    assert(ret_fd != NULL);

    return mount_layers(layers, upper, work,
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, ret_fd, err);
}
