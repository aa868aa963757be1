#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/text.h"

#define KERNEL_FILE_MAX (1024 * 1024)
#define NEVER_TIMES_OUT UINT32_MAX

/* Between two tries for a lock that has a deadline. */
#define LOCK_STEP_MIN_US 200
#define LOCK_STEP_MAX_US 20000

/* Reads @size bytes and what a file has grown by meanwhile, with one read(2) as a rule. */
static int read_regular(int fd, size_t size, size_t max, const char *path, char **ret_text,
                        size_t *ret_length, struct error *err)
{
    size_t capacity = size + 2;
    auto_free char *text = xrealloc(NULL, capacity, 1);
    size_t length = 0;

    for (;;) {
        size_t room = capacity - length - 1;
        ssize_t n = read(fd, text + length, room);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "read '%s'", path);
        length += (size_t)n;
        if (length > max)
            return error_set(err, EFBIG, "read '%s': it has more than %zu bytes", path, max);
        if ((size_t)n < room)
            break; /* a regular file ends where a read is short */
        capacity *= 2;
        text = xrealloc(text, capacity, 1);
    }
    text[length] = '\0';
    *ret_text = take_ptr(&text);
    if (ret_length != NULL)
        *ret_length = length;
    return 0;
}

int file_read(int dir_fd, const char *path, size_t max, char **ret_text, size_t *ret_length,
              struct error *err)
{
    auto_close int fd = -1;
    struct stat status;

    assert(path != NULL);
    assert(ret_text != NULL);

    /* O_NONBLOCK: a FIFO in the file's place must not hold us; it changes nothing for files. */
    fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_errno(err, "open '%s'", path);
    if (fstat(fd, &status) < 0)
        return error_errno(err, "look at '%s'", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, S_ISDIR(status.st_mode) ? EISDIR : EINVAL,
                         "read '%s': it is not a regular file", path);
    if ((uint64_t)status.st_size > max)
        return error_set(err, EFBIG, "read '%s': it has more than %zu bytes", path, max);
    return read_regular(fd, (size_t)status.st_size, max, path, ret_text, ret_length, err);
}

/* Whether that was all. */
static bool read_piece(int fd, char **ret_text, size_t *ret_length)
{
    char piece[4096];
    ssize_t n = read(fd, piece, sizeof(piece));

    if (n < 0 || n == (ssize_t)sizeof(piece))
        return false;
    *ret_length = (size_t)n;
    *ret_text = xmemdup(piece, (size_t)n + 1);
    (*ret_text)[n] = '\0';
    return true;
}

static int read_kernel(int dir_fd, const char *path, bool is_piece, char **ret_text,
                       struct error *err)
{
    auto_free char *text = NULL;
    auto_close int fd = -1;
    size_t length;
    int r;

    assert(path != NULL);
    assert(ret_text != NULL);

    fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_errno(err, "open '%s'", path);
    if (!is_piece || !read_piece(fd, &text, &length)) {
        if (is_piece && lseek(fd, 0, SEEK_SET) < 0)
            return error_errno(err, "read '%s'", path);
        r = fd_read_all(fd, KERNEL_FILE_MAX, path, &text, &length, err);
        if (r < 0)
            return r;
    }
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = '\0';
    *ret_text = take_ptr(&text);
    return 0;
}

int file_read_kernel(int dir_fd, const char *path, char **ret_text, struct error *err)
{
    return read_kernel(dir_fd, path, false, ret_text, err);
}

int file_read_piece(int dir_fd, const char *path, char **ret_text, struct error *err)
{
    return read_kernel(dir_fd, path, true, ret_text, err);
}

int file_write_kernel(int dir_fd, const char *path, const char *value, struct error *err)
{
    auto_close int fd = -1;
    size_t length;
    ssize_t n;

    assert(path != NULL);
    assert(value != NULL);

    fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_errno(err, "open '%s' to write '%.100s'", path, value);
    length = strlen(value);
    do {
        n = write(fd, value, length);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_errno(err, "write '%.100s' to '%s'", value, path);
    if ((size_t)n != length)
        return error_set(err, EIO, "write '%.100s' to '%s': only %zd of %zu bytes were taken",
                         value, path, n, length);
    return 0;
}

static int write_temporary(int dir_fd, const char *name, const void *bytes, size_t length,
                           mode_t mode, enum file_sync sync, struct error *err)
{
    auto_close int fd = -1;
    int r;

    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return error_errno(err, "create '%s'", name);
    /* The mode is what was asked for, whatever the umask; it never touches the owner's bits. */
    if ((mode & 077) != 0 && fchmod(fd, mode) < 0)
        return error_errno(err, "set the mode of '%s'", name);
    r = fd_write_all(fd, bytes, length, name, err);
    if (r < 0)
        return r;
    if (sync == FILE_SYNC_DATA && fdatasync(fd) < 0)
        return error_errno(err, "write '%s' to the disk", name);
    return 0;
}

/* Makes a rename survive a crash: fsync(2) of the directory that has the name. */
static int sync_parent(int dir_fd, const char *name, struct error *err)
{
    const char *slash = strrchr(name, '/');
    auto_free char *parent =
        slash != NULL ? xstrndup(name, (size_t)(slash - name) + 1) : xstrdup(".");
    auto_close int fd = openat(dir_fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return error_errno(err, "write the directory of '%s' to the disk", name);
    return 0;
}

int file_replace(int dir_fd, const char *name, const void *bytes, size_t length, mode_t mode,
                 enum file_sync sync, struct error *err)
{
    const char *slash = strrchr(name, '/');
    size_t directory_length = slash != NULL ? (size_t)(slash - name) + 1 : 0;
    auto_free char *random = text_random_hex(16);
    auto_free char *temporary = xasprintf("%.*s.new-%s", (int)directory_length, name, random);
    int r;

    r = write_temporary(dir_fd, temporary, bytes, length, mode, sync, err);
    if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
        r = error_errno(err, "rename to '%s'", name);
    if (r < 0) {
        (void)unlinkat(dir_fd, temporary, 0); /* it may not exist; the failure is told below */
        return error_prefix(err, r, "write '%s'", name);
    }
    if (sync == FILE_SYNC_DATA)
        return sync_parent(dir_fd, name, err);
    return 0;
}

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Takes the lock, or gives -EAGAIN without a sentence when another holds it until the deadline. */
static int take_lock(int fd, const struct flock *wanted, uint32_t timeout_ms)
{
    uint64_t deadline = now_us() + (uint64_t)timeout_ms * 1000;
    uint64_t step = LOCK_STEP_MIN_US;

    for (;;) {
        struct flock lock = *wanted;
        uint64_t now;
        struct timespec pause = { 0 };

        if (fcntl(fd, timeout_ms == NEVER_TIMES_OUT ? F_OFD_SETLKW : F_OFD_SETLK, &lock) == 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EACCES)
            return -errno;
        now = now_us();
        if (timeout_ms == 0 || now >= deadline)
            return -EAGAIN;
        /* The kernel has no lock call with a deadline and no descriptor to poll for one; a signal
         * to end F_OFD_SETLKW would need a handler in every program. So this one waits by looking
         * again, in growing steps. */
        step = step < deadline - now ? step : deadline - now;
        pause.tv_nsec = (long)step * 1000;
        (void)nanosleep(&pause, NULL); /* woken early it only looks early */
        step = step * 2 < LOCK_STEP_MAX_US ? step * 2 : LOCK_STEP_MAX_US;
    }
}

int file_lock(int dir_fd, const char *name, bool is_exclusive, uint32_t timeout_ms, int *ret_fd,
              struct error *err)
{
    const struct flock wanted = { .l_type = is_exclusive ? F_WRLCK : F_RDLCK,
                                  .l_whence = SEEK_SET };

    assert(name != NULL);
    assert(ret_fd != NULL);

    for (;;) {
        auto_close int fd = -1;
        struct stat status;
        int r;

        fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        if (fd < 0)
            return error_errno(err, "open the lock '%s'", name);
        r = take_lock(fd, &wanted, timeout_ms);
        if (r == -EAGAIN && timeout_ms == 0)
            return error_set(err, EAGAIN, "'%s' is locked by another process", name);
        if (r == -EAGAIN)
            return error_set(err, ETIMEDOUT, "'%s' is still locked by another process after %u ms",
                             name, timeout_ms);
        if (r < 0) {
            errno = -r;
            return error_errno(err, "lock '%s'", name);
        }
        if (fstat(fd, &status) < 0)
            return error_errno(err, "look at the lock '%s'", name);
        /* The holder we waited for removed the file: a lock on it keeps nobody out any more. */
        if (status.st_nlink == 0)
            continue;
        *ret_fd = take_fd(&fd);
        return 0;
    }
}

int file_is_locked(int dir_fd, const char *name, struct error *err)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    auto_close int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return error_errno(err, "open the lock '%s'", name);
    if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        return error_errno(err, "look at the lock '%s'", name);
    return lock.l_type != F_UNLCK;
}
