#include "engine/tree_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"

#define DEPTH_MAX       256
#define XATTR_NAMES_MAX 65536
#define XATTR_VALUE_MAX 65536

static int copy_bytes(int from_fd, int to_fd, const char *name, struct error *err)
{
    char buffer[65536];

    for (;;) {
        ssize_t count = copy_file_range(from_fd, NULL, to_fd, NULL, 1u << 30, 0);
        int r;

        if (count == 0)
            return 0;
        if (count > 0)
            continue;
        if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)
            return error_errno(err, "copy '%s'", name);
        for (;;) {
            count = read(from_fd, buffer, sizeof(buffer));
            if (count == 0)
                return 0;
            if (count < 0)
                return error_errno(err, "read '%s'", name);
            r = fd_write_all(to_fd, buffer, (size_t)count, name, err);
            if (r < 0)
                return r;
        }
    }
}

/* trusted.overlay.* describe layers and are invisible in a mounted overlay; a single layer shows
 * them. */
static bool is_copied_attribute(const char *name)
{
    return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0 ||
           strncmp(name, "system.posix_acl_", 17) == 0;
}

static void copy_attributes(int from_fd, int to_fd)
{
    auto_free char *names = xcalloc(1, XATTR_NAMES_MAX);
    auto_free char *value = NULL;
    ssize_t length = flistxattr(from_fd, names, XATTR_NAMES_MAX);

    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t size;

        if (!is_copied_attribute(names + at))
            continue;
        if (value == NULL)
            value = xcalloc(1, XATTR_VALUE_MAX);
        size = fgetxattr(from_fd, names + at, value, XATTR_VALUE_MAX);
        /* As cp -a: a file system without extended attributes still gets the files. */
        if (size >= 0)
            (void)fsetxattr(to_fd, names + at, value, (size_t)size, 0);
    }
}

static int set_metadata(int fd, const struct stat *status, const char *name, struct error *err)
{
    const struct timespec times[2] = { status->st_atim, status->st_mtim };

    /* The owner first: chown(2) clears setuid bits. */
    if (fchown(fd, status->st_uid, status->st_gid) < 0 || fchmod(fd, status->st_mode & 07777) < 0)
        return error_errno(err, "set owner and mode of '%s'", name);
    (void)futimens(fd, times); /* times are a courtesy */
    return 0;
}

static int copy_folder(int from_fd, int to_fd, unsigned depth, struct error *err);

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *status,
                     struct error *err)
{
    auto_close int from = -1;
    auto_close int to = -1;
    int r;

    from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0)
        return error_errno(err, "open '%s'", name);
    to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return error_errno(err, "create '%s'", name);
    r = copy_bytes(from, to, name, err);
    if (r < 0)
        return r;
    r = set_metadata(to, status, name, err);
    copy_attributes(from, to); /* after chown, which drops security.capability */
    return r;
}

static int copy_directory(int from_dir, int to_dir, const char *name, unsigned depth,
                          struct error *err)
{
    auto_close int from = -1;
    auto_close int to = -1;

    if (mkdirat(to_dir, name, 0700) < 0)
        return error_errno(err, "make directory '%s'", name);
    from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return error_errno(err, "open directory '%s'", name);
    to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (to < 0)
        return error_errno(err, "open directory '%s'", name);
    return copy_folder(from, to, depth + 1, err);
}

static int copy_special(int from_dir, int to_dir, const char *name, const struct stat *status,
                        struct error *err)
{
    char target[PATH_MAX];
    ssize_t length;

    if (S_ISLNK(status->st_mode)) {
        length = readlinkat(from_dir, name, target, sizeof(target) - 1);
        if (length < 0)
            return error_errno(err, "read link '%s'", name);
        target[length] = '\0';
        if (symlinkat(target, to_dir, name) < 0)
            return error_errno(err, "make link '%s'", name);
    } else if (mknodat(to_dir, name, status->st_mode, status->st_rdev) < 0) {
        return error_errno(err, "make special file '%s'", name);
    }
    if (fchownat(to_dir, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "set owner of '%s'", name);
    return 0;
}

static int copy_entry(int from_dir, int to_dir, const char *name, unsigned depth, struct error *err)
{
    struct stat status;

    if (fstatat(from_dir, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "look at '%s'", name);
    if (S_ISDIR(status.st_mode))
        return copy_directory(from_dir, to_dir, name, depth, err);
    if (S_ISREG(status.st_mode))
        return copy_file(from_dir, to_dir, name, &status, err);
    /* 0:0 is a whiteout of a single layer, and a socket is nothing without its process. */
    if (S_ISSOCK(status.st_mode) || (S_ISCHR(status.st_mode) && status.st_rdev == 0))
        return 0;
    return copy_special(from_dir, to_dir, name, &status, err);
}

static int copy_folder(int from_fd, int to_fd, unsigned depth, struct error *err)
{
    int list_fd = openat(from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    struct stat status;
    int r = 0;

    if (dir == NULL || fstat(from_fd, &status) < 0) {
        r = error_errno(err, "read a directory");
        if (dir != NULL)
            closedir(dir);
        return r;
    }
    if (depth > DEPTH_MAX)
        r = error_set(err, ELOOP, "more than %d directories inside each other", DEPTH_MAX);
    for (const struct dirent *entry = readdir(dir); r == 0 && entry != NULL; entry = readdir(dir))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = copy_entry(from_fd, to_fd, entry->d_name, depth, err);
    closedir(dir);
    if (r < 0)
        return r;
    copy_attributes(from_fd, to_fd);
    return set_metadata(to_fd, &status, "directory", err);
}

int tree_copy(int from_fd, int to_fd, struct error *err)
{
    return copy_folder(from_fd, to_fd, 0, err);
}
