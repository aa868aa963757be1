#include "runtime/tmpfs_copy_up.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

/* Deeper trees than this do not come from honest images; each level costs two descriptors. */
#define COPY_DEPTH_MAX   128
#define COPY_PIECE_BYTES (1u << 20)

static int copy_directory(int from_fd, int to_fd, unsigned depth, struct error *err);

static void close_directory(DIR **directory)
{
    if (*directory != NULL)
        (void)closedir(*directory);
}

/* Owner first: chown(2) clears the bits that the mode sets. */
static int copy_attributes(int to_fd, const char *name, const struct stat *status,
                           struct error *err)
{
    struct timespec times[2] = { status->st_atim, status->st_mtim };

    if (fchownat(to_fd, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "copy the owner of '%s'", name);
    /* Nobody else sees the tmpfs yet, so the name is still what was just made. */
    if (!S_ISLNK(status->st_mode) && fchmodat(to_fd, name, status->st_mode & 07777, 0) < 0)
        return error_errno(err, "copy the mode of '%s'", name);
    if (utimensat(to_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "copy the times of '%s'", name);
    return 0;
}

static int copy_file(int from_fd, int to_fd, const char *name, struct error *err)
{
    auto_close int in_fd = openat(from_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    auto_close int out_fd = -1;
    ssize_t copied;

    if (in_fd < 0)
        return error_errno(err, "open '%s'", name);
    out_fd = openat(to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out_fd < 0)
        return error_errno(err, "create '%s'", name);
    do {
        copied = sendfile(out_fd, in_fd, NULL, COPY_PIECE_BYTES);
    } while (copied > 0 || (copied < 0 && errno == EINTR));
    if (copied < 0)
        return error_errno(err, "copy '%s'", name);
    return 0;
}

static int copy_link(int from_fd, int to_fd, const char *name, struct error *err)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(from_fd, name, target, sizeof(target) - 1);

    if (length < 0)
        return error_errno(err, "read link '%s'", name);
    target[length] = '\0';
    if (symlinkat(target, to_fd, name) < 0)
        return error_errno(err, "create link '%s'", name);
    return 0;
}

static int copy_subdirectory(int from_fd, int to_fd, const char *name, unsigned depth,
                             struct error *err)
{
    auto_close int in_fd = openat(from_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_close int out_fd = -1;

    if (in_fd < 0)
        return error_errno(err, "open directory '%s'", name);
    if (mkdirat(to_fd, name, 0700) < 0)
        return error_errno(err, "create directory '%s'", name);
    out_fd = openat(to_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out_fd < 0)
        return error_errno(err, "open directory '%s'", name);
    return copy_directory(in_fd, out_fd, depth + 1, err);
}

static int copy_entry(int from_fd, int to_fd, const char *name, unsigned depth, struct error *err)
{
    struct stat status, there;
    int r = 0;

    if (fstatat(from_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "look at '%s'", name);
    if (fstatat(to_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (S_ISDIR(status.st_mode))
        r = copy_subdirectory(from_fd, to_fd, name, depth, err);
    else if (S_ISREG(status.st_mode))
        r = copy_file(from_fd, to_fd, name, err);
    else if (S_ISLNK(status.st_mode))
        r = copy_link(from_fd, to_fd, name, err);
    else
        return 0; /* device nodes, sockets and pipes of an image are of no use in a tmpfs */
    if (r < 0)
        return r;
    return copy_attributes(to_fd, name, &status, err);
}

static int copy_directory(int from_fd, int to_fd, unsigned depth, struct error *err)
{
    DIR *directory __attribute__((cleanup(close_directory))) = NULL;
    struct dirent *entry;
    int fd, r;

    if (depth > COPY_DEPTH_MAX)
        return error_set(err, ELOOP, "directories are nested more than %d deep", COPY_DEPTH_MAX);
    fd = openat(from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open the directory");
    directory = fdopendir(fd);
    if (directory == NULL) {
        (void)close(fd);
        return error_errno(err, "read the directory");
    }
    for (errno = 0; (entry = readdir(directory)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        r = copy_entry(from_fd, to_fd, entry->d_name, depth, err);
        if (r < 0)
            return r;
    }
    if (errno != 0)
        return error_errno(err, "read the directory");
    return 0;
}

int tmpfs_copy_up(int source_fd, int tmpfs_fd, struct error *err)
{
    int r = copy_directory(source_fd, tmpfs_fd, 0, err);

    return r < 0 ? error_prefix(err, r, "copy the image's files") : 0;
}
