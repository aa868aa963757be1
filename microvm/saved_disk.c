#include "microvm/saved_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

/* Not copy_file_range(2), which refuses two kinds of file systems. */
static int copy_run(int from_fd, int to_fd, off_t start, off_t end, struct error *err)
{
    if (lseek(to_fd, start, SEEK_SET) < 0)
        return error_errno(err, "copy the disk");
    while (start < end) {
        ssize_t length = sendfile(to_fd, from_fd, &start, (size_t)(end - start));

        if (length < 0 && errno != EINTR)
            return error_errno(err, "copy the disk");
        if (length == 0)
            return error_set(err, EBADMSG, "the disk ends early");
    }
    return 0;
}

int saved_disk_copy(int from_fd, int to_fd, struct error *err)
{
    off_t size = lseek(from_fd, 0, SEEK_END), start, end = 0;
    int r = 0;

    if (size < 0)
        return error_errno(err, "measure the disk");
    if (ftruncate(to_fd, 0) < 0)
        return error_errno(err, "empty the copy of the disk");
    if (ioctl(to_fd, FICLONE, from_fd) == 0)
        return 0;
    if (ftruncate(to_fd, size) < 0)
        return error_errno(err, "make the copy of the disk");
    while (r == 0 && (start = lseek(from_fd, end, SEEK_DATA)) >= 0) {
        end = lseek(from_fd, start, SEEK_HOLE);
        if (end < 0)
            return error_errno(err, "read the disk");
        r = copy_run(from_fd, to_fd, start, end < size ? end : size, err);
    }
    return r == 0 && errno != ENXIO ? error_errno(err, "read the disk") : r;
}

/* O_NONBLOCK: a FIFO in its place must not hold us. */
static int open_saved(const char *path, int *ret_fd, struct error *err)
{
    auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return error_errno(err, "open the saved disk '%s'", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, EINVAL, "the saved disk '%s' is not a regular file", path);
    *ret_fd = take_fd(&fd);
    return 0;
}

int saved_disk_restore(const char *from_path, const char *to_path, struct error *err)
{
    auto_close int from_fd = -1;
    auto_close int to_fd = -1;
    int r;

    r = open_saved(from_path, &from_fd, err);
    if (r < 0)
        return r;
    to_fd = open(to_path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (to_fd < 0)
        return error_errno(err, "open the container's disk '%s'", to_path);
    /* A lease is given only while nobody else has the file open (fcntl(2), F_SETLEASE); it goes
     * with the descriptor. */
    if (fcntl(to_fd, F_SETLEASE, F_WRLCK) < 0 && (errno == EAGAIN || errno == EBUSY))
        return error_set(err, EBUSY,
                         "the disk '%s' is in use: a restored container needs a bundle with a disk "
                         "of its own",
                         to_path);
    return saved_disk_copy(from_fd, to_fd, err);
}
