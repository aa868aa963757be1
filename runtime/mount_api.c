#include "runtime/mount_api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/text.h"

#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif

/* fsconfig(2) takes keys up to this length, with the zero. */
#define CONTEXT_KEY_MAX 256

int mount_context_error(int context_fd, struct error *err, const char *format, ...)
{
    char log[256], sentence[256];
    int code = errno;
    ssize_t length;
    va_list arguments;
    char *text = log;

    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);

    length = read(context_fd, log, sizeof(log) - 1);
    if (length <= 0) {
        errno = code;
        return error_errno(err, "%s", sentence);
    }
    log[length] = '\0';
    log[strcspn(log, "\n")] = '\0';
    /* "e overlay: text": a class letter, and mostly the name of the file system. */
    if (length > 2 && log[1] == ' ')
        text += 2;
    return error_set(err, code, "%s: %s (%s)", sentence, text, strerror(code));
}

int mount_context_set(int context_fd, const char *word, struct error *err)
{
    const char *equal = strchr(word, '=');
    char key[CONTEXT_KEY_MAX];
    int r;

    if (equal == NULL) {
        r = fsconfig(context_fd, FSCONFIG_SET_FLAG, word, NULL, 0);
    } else if ((size_t)(equal - word) < sizeof(key)) {
        memcpy(key, word, (size_t)(equal - word));
        key[equal - word] = '\0';
        r = fsconfig(context_fd, FSCONFIG_SET_STRING, key, equal + 1, 0);
    } else {
        errno = ENAMETOOLONG;
        r = -1;
    }
    if (r < 0)
        return mount_context_error(context_fd, err, "mount option '%s'", word);
    return 0;
}

static int open_context(const char *type, int *ret_fd, struct error *err)
{
    int fd = fsopen(type, FSOPEN_CLOEXEC);

    if (fd < 0 && errno == ENODEV)
        return error_set(err, ENODEV, "the kernel has no file system '%s'", type);
    if (fd < 0)
        return error_errno(err, "open file system '%s'", type);
    *ret_fd = fd;
    return 0;
}

int mount_create(const char *type, const char *source, const char *const *data, size_t data_count,
                 uint64_t attributes, int *ret_mount_fd, struct error *err)
{
    auto_close int context_fd = -1, mount_fd = -1;
    int r;

    r = open_context(type, &context_fd, err);
    if (r < 0)
        return r;
    if (source != NULL && fsconfig(context_fd, FSCONFIG_SET_STRING, "source", source, 0) < 0)
        return mount_context_error(context_fd, err, "mount source '%s'", source);
    for (size_t i = 0; i < data_count; i++) {
        r = mount_context_set(context_fd, data[i], err);
        if (r < 0)
            return r;
    }
    if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return mount_context_error(context_fd, err, "make %s", type);
    mount_fd = fsmount(context_fd, FSMOUNT_CLOEXEC, (unsigned)attributes);
    if (mount_fd < 0)
        return mount_context_error(context_fd, err, "mount %s", type);
    *ret_mount_fd = take_fd(&mount_fd);
    return 0;
}

int mount_simply(int dir_fd, const char *name, const char *type, const char *source,
                 const char *const *data, size_t data_count, uint64_t attributes)
{
    static const struct {
        uint64_t attribute;
        unsigned long flag;
    } words[] = {
        { MOUNT_ATTR_RDONLY, MS_RDONLY },
        { MOUNT_ATTR_NOSUID, MS_NOSUID },
        { MOUNT_ATTR_NODEV, MS_NODEV },
        { MOUNT_ATTR_NOEXEC, MS_NOEXEC },
    };
    AUTO_CLEAR(text) struct text options = { 0 };
    unsigned long flags = 0;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if ((attributes & words[i].attribute) != 0)
            flags |= words[i].flag;
        attributes &= ~words[i].attribute;
    }
    if (attributes != 0)
        return -EOPNOTSUPP;
    for (size_t i = 0; i < data_count; i++) {
        if (strchr(data[i], ',') != NULL) /* it separates the words (mount(2)) */
            return -EOPNOTSUPP;
        text_addf(&options, "%s%s", i == 0 ? "" : ",", data[i]);
    }
    if ((dir_fd >= 0 && fchdir(dir_fd) < 0) || mount(source, name, type, flags, options.data) < 0)
        return -errno;
    return 0;
}

static int clone_mount(int dir_fd, const char *path, bool is_recursive, unsigned more_flags,
                       int *ret_mount_fd, struct error *err)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | more_flags;
    int fd;

    if (path[0] == '\0')
        flags |= AT_EMPTY_PATH;
    if (is_recursive)
        flags |= AT_RECURSIVE;
    fd = open_tree(dir_fd, path, flags);
    if (fd < 0)
        return error_errno(err, "copy the mount of '%s'", path);
    *ret_mount_fd = fd;
    return 0;
}

int mount_clone_with(int dir_fd, const char *path, uint64_t attributes, int *ret_mount_fd,
                     struct error *err)
{
    struct mount_attr change = { .attr_set = attributes };
    auto_close int fd = -1;
    int r;

    fd = (int)syscall(SYS_open_tree_attr, dir_fd, path,
                      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (path[0] == '\0' ? AT_EMPTY_PATH : 0),
                      &change, sizeof(change));
    /* EPERM: a sandbox that does not know the call yet. */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        r = mount_clone(dir_fd, path, false, &fd, err);
        if (r == 0)
            r = mount_change(fd, attributes, 0, false, err);
        if (r < 0)
            return r;
    }
    if (fd < 0)
        return error_errno(err, "copy the mount of '%s'", path);
    *ret_mount_fd = take_fd(&fd);
    return 0;
}

int mount_clone(int dir_fd, const char *path, bool is_recursive, int *ret_mount_fd,
                struct error *err)
{
    return clone_mount(dir_fd, path, is_recursive, 0, ret_mount_fd, err);
}

int mount_clone_link(const char *path, bool is_recursive, int *ret_mount_fd, struct error *err)
{
    return clone_mount(AT_FDCWD, path, is_recursive, AT_SYMLINK_NOFOLLOW, ret_mount_fd, err);
}

int mount_change(int mount_fd, uint64_t set, uint64_t clear, bool is_recursive, struct error *err)
{
    struct mount_attr attributes = { .attr_set = set, .attr_clr = clear };
    unsigned flags = AT_EMPTY_PATH | (is_recursive ? AT_RECURSIVE : 0);

    if (set == 0 && clear == 0)
        return 0;
    if (mount_setattr(mount_fd, "", flags, &attributes, sizeof(attributes)) < 0)
        return error_errno(err, "set mount attributes");
    return 0;
}

int mount_propagate(int mount_fd, const struct mount_propagation *propagation, struct error *err)
{
    struct mount_attr attributes = { .propagation = propagation->flag };
    unsigned flags = AT_EMPTY_PATH | (propagation->is_recursive ? AT_RECURSIVE : 0);

    if (mount_setattr(mount_fd, "", flags, &attributes, sizeof(attributes)) < 0)
        return error_errno(err, "set mount propagation");
    return 0;
}

int mount_attach(int mount_fd, int destination_fd, const char *name, struct error *err)
{
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH;

    if (name == NULL || name[0] == '\0') {
        flags |= MOVE_MOUNT_T_EMPTY_PATH;
        name = "";
    }
    if (move_mount(mount_fd, "", destination_fd, name, flags) < 0)
        return error_errno(err, "attach the mount");
    return 0;
}
