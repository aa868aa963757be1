#include "base/path.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/path_walk.h"
#include "base/text.h"

/* openat2(2) gives EAGAIN when a rename happened while it walked ".."; a hostile container can
 * keep that up, so the tries have an end. */
#define RACE_TRIES_MAX 128

/* As many links as the kernel follows in one path (path_resolution(7)). */
#define LINKS_MAX 40

int path_open_resolved(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC), .resolve = resolve };
    long fd = -1;

    /* openat2(2) refuses a mode that would not be used, where open(2) ignores it. */
    if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE)
        how.mode = mode & 07777;
    for (int i = 0; i < RACE_TRIES_MAX; i++) {
        fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return path_walk(dir_fd, path, (int)how.flags, mode, resolve);
    return (int)fd;
}

int path_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                      struct error *err)
{
    int fd;

    assert(path != NULL);
    assert(ret_fd != NULL);

    fd = path_open_resolved(dir_fd, path, flags, mode,
                            RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    if (fd < 0 && errno == EXDEV)
        return error_set(err, EXDEV, "open '%s': it leads out of its directory or file system",
                         path);
    if (fd < 0 && errno == ELOOP)
        return error_set(err, ELOOP, "open '%s': a symbolic link is in the way", path);
    if (fd < 0)
        return error_errno(err, "open '%s'", path);
    *ret_fd = fd;
    return 0;
}

int path_open_in_root(int root_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                      struct error *err)
{
    int fd;

    assert(path != NULL);
    assert(ret_fd != NULL);

    fd = path_open_resolved(root_fd, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (fd < 0)
        return error_errno(err, "open '%s'", path);
    *ret_fd = fd;
    return 0;
}

/* Opens a directory in the root, or tells by -errno why not; nothing there is no error yet. */
static int try_directory(int root_fd, const char *path)
{
    int fd = path_open_resolved(root_fd, path, O_PATH | O_DIRECTORY, 0,
                                RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

    return fd < 0 ? -errno : fd;
}

static int fail_with(int r, const char *path, struct error *err)
{
    errno = -r;
    return error_errno(err, "make the directory '%s'", path);
}

static int make_directories(int root_fd, const char *path, mode_t mode, unsigned links, int *ret_fd,
                            struct error *err);

/* Where a link below @parent (a path in the root) leads, as a path in the root. */
static int follow_link(int parent_fd, const char *parent, const char *name, char **ret_path,
                       struct error *err)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(parent_fd, name, target, sizeof(target) - 1);

    if (length < 0)
        return error_errno(err, "read the link '%s/%s'", parent, name);
    target[length] = '\0';
    *ret_path = target[0] == '/' ? xstrdup(target) : path_join(parent, target);
    return 0;
}

/* Makes @name in the directory @parent_fd, whose path in the root is @parent, and opens it. */
static int make_component(int root_fd, int parent_fd, const char *parent, const char *name,
                          mode_t mode, unsigned links, int *ret_fd, struct error *err)
{
    auto_free char *path = path_join(parent, name);
    auto_free char *target = NULL;
    int r;

    if (mkdirat(parent_fd, name, mode) < 0 && errno != EEXIST)
        return fail_with(-errno, path, err);
    r = try_directory(root_fd, path);
    if (r >= 0)
        *ret_fd = r;
    if (r >= 0 || r != -ENOENT)
        return r >= 0 ? 0 : fail_with(r, path, err);
    /* Something is there and leads nowhere: a link to what is made first, inside the root. */
    if (links >= LINKS_MAX)
        return error_set(err, ELOOP, "make the directory '%s': too many symbolic links", path);
    r = follow_link(parent_fd, parent, name, &target, err);
    if (r < 0)
        return r;
    return make_directories(root_fd, target, mode, links + 1, ret_fd, err);
}

/* Every step resolves its whole path anew by openat2(2), so that what the root's owner swaps
 * meanwhile can change which directory inside the root is meant, and nothing else. */
static int make_directories(int root_fd, const char *path, mode_t mode, unsigned links, int *ret_fd,
                            struct error *err)
{
    auto_free char *walked = xstrdup(".");
    auto_close int fd = -1;
    const char *rest = path;
    int r = try_directory(root_fd, path[0] == '\0' ? "." : path);

    /* Mostly everything is there: one call. */
    if (r >= 0) {
        *ret_fd = r;
        return 0;
    }
    fd = r == -ENOENT ? try_directory(root_fd, ".") : r;
    if (fd < 0)
        return fail_with(fd, path, err);
    for (rest += strspn(rest, "/"); *rest != '\0'; rest += strspn(rest, "/")) {
        size_t length = strcspn(rest, "/");
        auto_free char *name = xstrndup(rest, length);
        char *longer = path_join(walked, name);
        int next = try_directory(root_fd, longer);

        r = next == -ENOENT ? make_component(root_fd, fd, walked, name, mode, links, &next, err)
            : next < 0      ? fail_with(next, longer, err)
                            : 0;
        free(walked);
        walked = longer;
        if (r < 0)
            return r;
        (void)close(fd); /* O_PATH: nothing can be lost */
        fd = next;
        rest += length;
    }
    *ret_fd = take_fd(&fd);
    return 0;
}

int path_make_directories(int root_fd, const char *path, mode_t mode, int *ret_fd,
                          struct error *err)
{
    auto_close int fd = -1;
    int r;

    assert(path != NULL);

    r = make_directories(root_fd, path, mode, 0, &fd, err);
    if (r < 0)
        return r;
    if (ret_fd != NULL)
        *ret_fd = take_fd(&fd);
    return 0;
}

static int make_file(int root_fd, const char *path, mode_t mode, unsigned links, int *ret_fd,
                     struct error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    auto_free char *parent = slash != NULL ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
    auto_free char *target = NULL;
    auto_close int parent_fd = -1;
    auto_close int fd = -1;
    struct error probe = { 0 };
    int r;

    r = path_open_in_root(root_fd, path, O_PATH, 0, ret_fd, &probe);
    if (r == 0)
        return 0;
    if (r != -ENOENT)
        return error_set(err, -r, "make the file '%s': %s", path, probe.message);
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_set(err, EINVAL, "make the file '%s': the name of a file is missing", path);
    r = path_make_directories(root_fd, parent, mode | ((mode & 0444) >> 2), &parent_fd, err);
    if (r < 0)
        return r;
    fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0 && errno != EEXIST)
        return error_errno(err, "make the file '%s'", path);
    r = path_open_in_root(root_fd, path, O_PATH, 0, ret_fd, &probe);
    if (r == 0)
        return 0;
    if (r != -ENOENT)
        return error_set(err, -r, "make the file '%s': %s", path, probe.message);
    if (links >= LINKS_MAX)
        return error_set(err, ELOOP, "make the file '%s': too many symbolic links", path);
    r = follow_link(parent_fd, parent, name, &target, err);
    if (r < 0)
        return r;
    return make_file(root_fd, target, mode, links + 1, ret_fd, err);
}

int path_make_file(int root_fd, const char *path, mode_t mode, int *ret_fd, struct error *err)
{
    auto_close int fd = -1;
    int r;

    assert(path != NULL);

    r = make_file(root_fd, path, mode, 0, &fd, err);
    if (r < 0)
        return r;
    if (ret_fd != NULL)
        *ret_fd = take_fd(&fd);
    return 0;
}

bool path_is_normal(const char *path)
{
    const char *rest = path;

    if (rest[0] != '/')
        return false;
    while (*rest != '\0') {
        const char *name = rest + 1;
        size_t length = strcspn(name, "/");
        bool is_root = length == 0 && rest == path && name[0] == '\0';

        if (length == 0 && !is_root)
            return false;
        if ((length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.'))
            return false;
        rest = name + length;
    }
    return true;
}

/* Cuts the last name off @clean, unless that is nothing or one more ".." of a relative path. */
static bool cut_last_name(struct text *clean, size_t root_length)
{
    size_t length = clean->length;

    if (length == root_length)
        return false;
    while (length > root_length && clean->data[length - 1] != '/')
        length--;
    if (strcmp(clean->data + length, "..") == 0)
        return false;
    if (length > root_length)
        length--; /* the slash before the name */
    clean->length = length;
    clean->data[length] = '\0';
    return true;
}

char *path_clean(const char *path)
{
    AUTO_CLEAR(text) struct text clean = { 0 };
    bool is_absolute = path[0] == '/';
    size_t root_length = is_absolute ? 1 : 0;

    text_add(&clean, is_absolute ? "/" : "");
    while (*path != '\0') {
        size_t length = strcspn(path, "/");
        bool is_up = length == 2 && path[0] == '.' && path[1] == '.';
        bool is_here = length == 0 || (length == 1 && path[0] == '.');

        if (!is_here && !(is_up && (cut_last_name(&clean, root_length) || is_absolute))) {
            if (clean.length > root_length)
                text_add(&clean, "/");
            text_add_bytes(&clean, path, length);
        }
        path += length;
        path += strspn(path, "/");
    }
    if (clean.length == 0)
        text_add(&clean, ".");
    return text_take(&clean);
}

char *path_join(const char *directory, const char *name)
{
    size_t length = strlen(directory);

    while (length > 0 && directory[length - 1] == '/')
        length--;
    name += strspn(name, "/");
    if (length == 0 && directory[0] != '/')
        return xstrdup(name);
    return xasprintf("%.*s/%s", (int)length, directory, name);
}

static int create_parents(const char *path, struct error *err)
{
    auto_free char *prefix = xstrdup(path);

    for (char *slash = prefix + strspn(prefix, "/"); (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        if (mkdir(prefix, 0755) < 0 && errno != EEXIST)
            return error_errno(err, "make the directory '%s'", prefix);
        *slash = '/';
    }
    return 0;
}

int path_create_directory(const char *path, mode_t mode, int *ret_fd, struct error *err)
{
    int fd = -1;
    int r = mkdir(path, mode) < 0 ? -errno : 0;

    if (r == -ENOENT) {
        r = create_parents(path, err);
        if (r < 0)
            return r;
        r = mkdir(path, mode) < 0 ? -errno : 0;
    }
    if (r < 0 && r != -EEXIST) {
        errno = -r;
        return error_errno(err, "make the directory '%s'", path);
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open the directory '%s'", path);
    if (ret_fd != NULL)
        *ret_fd = fd;
    else
        (void)close(fd); /* opened only to see that it is a directory */
    return 0;
}

int path_check_private(const char *path, const char *what, const char *advice, struct error *err)
{
    struct stat status;

    assert(path != NULL);

    if (lstat(path, &status) < 0)
        return error_errno(err, "%s '%s'", what, path);
    if (!S_ISDIR(status.st_mode))
        return error_set(err, ENOTDIR, "%s '%s' is not a folder", what, path);
    if (status.st_uid != geteuid())
        return error_set(err, EPERM, "%s '%s' is not yours, but of user %u: %s", what, path,
                         status.st_uid, advice);
    if ((status.st_mode & 022) != 0)
        return error_set(err, EPERM, "%s '%s' can be written by others: %s", what, path, advice);
    return 0;
}
