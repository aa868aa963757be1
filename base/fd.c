#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

#define READ_STEP 4096

/* More than the kernel keeps of what was written to a terminal: 8 KiB on the way (pty.c), and 4 KiB
 * that can be read (N_TTY_BUF_SIZE). */
#define TERMINAL_BYTES_MAX 65536

/* A standard stream may have been made non-blocking by whoever has it too, at any time. Leaves
 * errno when it cannot wait. */
static bool wait_for_room(int fd)
{
    struct pollfd polled = { .fd = fd, .events = POLLOUT };

    return poll(&polled, 1, -1) > 0 || errno == EINTR;
}

int fd_write_all(int fd, const void *bytes, size_t length, const char *what, struct error *err)
{
    const char *rest = bytes;

    while (length > 0) {
        ssize_t n = write(fd, rest, length);

        if (n < 0 && (errno == EINTR || (errno == EAGAIN && wait_for_room(fd))))
            continue;
        if (n < 0)
            return error_errno(err, "write %s", what);
        rest += n;
        length -= (size_t)n;
    }
    return 0;
}

int fd_read_all(int fd, size_t max, const char *what, char **ret_text, size_t *ret_length,
                struct error *err)
{
    auto_free char *text = NULL;
    size_t capacity = 0;
    size_t length = 0;

    assert(ret_text != NULL);

    for (;;) {
        ssize_t n;

        if (length + 1 >= capacity) {
            capacity = capacity == 0 ? READ_STEP : 2 * capacity;
            text = xrealloc(text, capacity, 1);
        }
        n = read(fd, text + length, capacity - length - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "read %s", what);
        if (n == 0)
            break;
        length += (size_t)n;
        if (length > max)
            return error_set(err, EFBIG, "read %s: it has more than %zu bytes", what, max);
    }
    text[length] = '\0';
    *ret_text = take_ptr(&text);
    if (ret_length != NULL)
        *ret_length = length;
    return 0;
}

int fd_open_standard(struct error *err)
{
    struct pollfd standard[] = { { .fd = 0 }, { .fd = 1 }, { .fd = 2 } };

    /* One call tells that all are open, which each program asks for each time (poll(2)). */
    if (poll(standard, ARRAY_SIZE(standard), 0) == 0)
        return 0;
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* The lowest free number is this one, as those below are open. It has to outlive exec. */
        if (open("/dev/null", O_RDWR | O_NOCTTY) != fd)
            return error_errno(err, "open /dev/null for the closed descriptor %d", fd);
    }
    return 0;
}

int fd_close_on_exec_from(unsigned first, struct error *err)
{
    if (close_range(first, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
        return error_errno(err, "mark the descriptors from %u on close-on-exec", first);
    return 0;
}

int fd_close_all_but(const int *kept, size_t count, unsigned first, struct error *err)
{
    assert(count <= FD_KEPT_MAX);

    for (;;) {
        unsigned next = UINT_MAX;

        for (size_t i = 0; i < count; i++) {
            if (kept[i] >= 0 && (unsigned)kept[i] >= first && (unsigned)kept[i] < next)
                next = (unsigned)kept[i];
        }
        if (next > first && close_range(first, next == UINT_MAX ? next : next - 1, 0) < 0)
            return error_errno(err, "close the descriptors from %u on", first);
        if (next == UINT_MAX)
            return 0;
        first = next + 1;
    }
}

int fd_set_close_on_exec(int fd, bool is_set, struct error *err)
{
    if (fcntl(fd, F_SETFD, is_set ? FD_CLOEXEC : 0) < 0)
        return error_errno(err, "%s close-on-exec of descriptor %d", is_set ? "set" : "clear", fd);
    return 0;
}

int fd_set_nonblocking(int fd, bool is_set, struct error *err)
{
    int flags = fcntl(fd, F_GETFL);
    int wanted = is_set ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;

    if (flags < 0 || (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0))
        return error_errno(err, "make descriptor %d %sblocking", fd, is_set ? "non-" : "");
    return 0;
}

size_t fd_capacity(int fd)
{
    int size = fcntl(fd, F_GETPIPE_SZ); /* fails for what is no pipe */

    return size > 0 ? (size_t)size : TERMINAL_BYTES_MAX;
}

char *fd_path(int fd, char *buffer)
{
    (void)snprintf(buffer, FD_PATH_MAX, "/proc/self/fd/%d", fd); /* fits any int */
    return buffer;
}
