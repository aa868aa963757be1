#include "engine/image_root.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "engine/engine.h"
#include "runtime/runtime.h"

int snapshot_root_open(const struct snapshot *snapshot, int *ret_fd, struct error *err)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };

    assert(snapshot != NULL);
    assert(snapshot->lower.count > 0);
    assert(ret_fd != NULL);

    strings_add(&words, "nosuid");
    strings_add(&words, "nodev");
    strings_add(&words, "noexec");
    if (snapshot->upper == NULL)
        strings_add(&words, "ro");
    snapshot_mount_options(snapshot, &words);
    return overlay_open(&words, snapshot->lower.items[0], ret_fd, err);
}

int image_root_open(const struct strings *layers, int *ret_fd, struct error *err)
{
    const struct snapshot snapshot = {
        .lower = *layers,
        .has_user_attributes = rootless_session_is_on(),
    };

    assert(ret_fd != NULL);

    if (layers->count == 0)
        return error_set(err, EINVAL, "the image has no layers");
    if (layers->count > 1)
        return snapshot_root_open(&snapshot, ret_fd, err);
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
