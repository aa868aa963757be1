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
#include "base/inode_table.h"
#include "base/text.h"
#include "unionfs/unionfs.h"

/* Hard links stay links of one file, as far as they are within the tree. */

#define DEPTH_MAX       256
#define XATTR_NAMES_MAX 65536
#define XATTR_VALUE_MAX 65536

struct copying {
    int top_fd;                  /* of the copy */
    struct inode_table linked;   /* files with several names: where in paths they are */
    struct strings linked_paths; /* the first of each, from the top of the copy */
};

/* One directory of both trees. */
struct folder {
    struct copying *copying;
    const char *path; /* from the top: "" or "a/b/" */
    int from_fd, to_fd;
    unsigned depth;
};

/* Whether the file became another name of one that was copied already. */
static bool link_copied(const struct folder *folder, const char *name, const struct stat *status)
{
    const struct copying *copying = folder->copying;
    size_t place;

    if (status->st_nlink < 2 || !inode_table_find(&copying->linked, status, &place))
        return false;
    /* Where it cannot be a link (too many, too long a path) it becomes a file of its own. */
    return linkat(copying->top_fd, copying->linked_paths.items[place], folder->to_fd, name, 0) == 0;
}

static void remember_linked(const struct folder *folder, const char *name,
                            const struct stat *status)
{
    struct copying *copying = folder->copying;

    if (status->st_nlink > 1 &&
        inode_table_add(&copying->linked, status, copying->linked_paths.count))
        strings_addf(&copying->linked_paths, "%s%s", folder->path, name);
}

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

/* Marks of layers are invisible in a mounted overlay; a single layer shows them. */
static void copy_attributes(int from_fd, int to_fd)
{
    auto_free char *names = xcalloc(1, XATTR_NAMES_MAX);
    auto_free char *value = NULL;
    ssize_t length = flistxattr(from_fd, names, XATTR_NAMES_MAX);

    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t size;

        if (!unpack_keeps_attribute(names + at))
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

static int copy_folder(const struct folder *folder, struct error *err);

static int copy_file(const struct folder *folder, const char *name, const struct stat *status,
                     struct error *err)
{
    auto_close int from = -1;
    auto_close int to = -1;
    int r;

    if (link_copied(folder, name, status))
        return 0;
    from = openat(folder->from_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0)
        return error_errno(err, "open '%s'", name);
    to = openat(folder->to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return error_errno(err, "create '%s'", name);
    r = copy_bytes(from, to, name, err);
    if (r < 0)
        return r;
    r = set_metadata(to, status, name, err);
    copy_attributes(from, to); /* after chown, which drops security.capability */
    remember_linked(folder, name, status);
    return r;
}

static int copy_directory(const struct folder *parent, const char *name, struct error *err)
{
    auto_free char *path = xasprintf("%s%s/", parent->path, name);
    struct folder folder = { .copying = parent->copying, .path = path, .depth = parent->depth + 1 };
    auto_close int from = -1;
    auto_close int to = -1;

    if (mkdirat(parent->to_fd, name, 0700) < 0)
        return error_errno(err, "make directory '%s'", name);
    from = openat(parent->from_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return error_errno(err, "open directory '%s'", name);
    to = openat(parent->to_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (to < 0)
        return error_errno(err, "open directory '%s'", name);
    folder.from_fd = from;
    folder.to_fd = to;
    return copy_folder(&folder, err);
}

static int copy_special(const struct folder *folder, const char *name, const struct stat *status,
                        struct error *err)
{
    const struct timespec times[2] = { status->st_atim, status->st_mtim };
    char target[PATH_MAX];
    ssize_t length;

    if (S_ISLNK(status->st_mode)) {
        length = readlinkat(folder->from_fd, name, target, sizeof(target) - 1);
        if (length < 0)
            return error_errno(err, "read link '%s'", name);
        target[length] = '\0';
        if (symlinkat(target, folder->to_fd, name) < 0)
            return error_errno(err, "make link '%s'", name);
    } else if (mknodat(folder->to_fd, name, status->st_mode, status->st_rdev) < 0) {
        return error_errno(err, "make special file '%s'", name);
    }
    if (fchownat(folder->to_fd, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "set owner of '%s'", name);
    /* What the umask took. */
    if (!S_ISLNK(status->st_mode) && fchmodat(folder->to_fd, name, status->st_mode & 07777, 0) < 0)
        return error_errno(err, "set mode of '%s'", name);
    (void)utimensat(folder->to_fd, name, times, AT_SYMLINK_NOFOLLOW); /* times are a courtesy */
    return 0;
}

static int copy_entry(const struct folder *folder, const char *name, struct error *err)
{
    struct stat status;

    if (fstatat(folder->from_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "look at '%s'", name);
    if (S_ISDIR(status.st_mode))
        return copy_directory(folder, name, err);
    if (S_ISREG(status.st_mode))
        return copy_file(folder, name, &status, err);
    /* 0:0 is a whiteout of a single layer, and a socket is nothing without its process. */
    if (S_ISSOCK(status.st_mode) || (S_ISCHR(status.st_mode) && status.st_rdev == 0))
        return 0;
    return copy_special(folder, name, &status, err);
}

static int copy_folder(const struct folder *folder, struct error *err)
{
    int list_fd = openat(folder->from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    struct stat status;
    int r = 0;

    if (dir == NULL || fstat(folder->from_fd, &status) < 0) {
        r = error_errno(err, "read a directory");
        if (dir != NULL)
            closedir(dir);
        return r;
    }
    if (folder->depth > DEPTH_MAX)
        r = error_set(err, ELOOP, "more than %d directories inside each other", DEPTH_MAX);
    for (const struct dirent *entry = readdir(dir); r == 0 && entry != NULL; entry = readdir(dir))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = copy_entry(folder, entry->d_name, err);
    closedir(dir);
    if (r < 0)
        return r;
    copy_attributes(folder->from_fd, folder->to_fd);
    return set_metadata(folder->to_fd, &status, "directory", err);
}

int tree_copy(int from_fd, int to_fd, struct error *err)
{
    struct copying copying = { .top_fd = to_fd };
    struct folder top = { .copying = &copying, .path = "", .from_fd = from_fd, .to_fd = to_fd };
    int r;

    r = copy_folder(&top, err);
    inode_table_clear(&copying.linked);
    strings_clear(&copying.linked_paths);
    return r;
}
