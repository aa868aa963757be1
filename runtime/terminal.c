#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/path.h"

/* Connects to a unix socket whose path may be longer than sun_path: by way of its directory. */
static int connect_path(const char *path, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    auto_close int directory_fd = -1, fd = -1;
    const char *slash = strrchr(path, '/');
    auto_free char *directory = NULL;
    int n;

    if (strlen(path) < sizeof(address.sun_path)) {
        strcpy(address.sun_path, path);
    } else {
        directory = slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path + 1));
        directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory_fd < 0)
            return error_errno(err, "open '%s'", directory);
        n = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
                     directory_fd, slash == NULL ? path : slash + 1);
        if (n < 0 || (size_t)n >= sizeof(address.sun_path))
            return error_set(err, ENAMETOOLONG, "socket name '%s' is too long", path);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, "make a socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(err, "connect to '%s'", path);
    *ret_fd = take_fd(&fd);
    return 0;
}

int terminal_send(const char *socket_path, int master_fd, struct error *err)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    char name[FD_PATH_MAX] = "/dev/ptmx";
    struct iovec data = { name, strlen(name) };
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    auto_close int fd = -1;
    int r;

    r = connect_path(socket_path, &fd, err);
    if (r < 0)
        return error_prefix(err, r, "console socket");
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &master_fd, sizeof(int));
    if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
        return error_errno(err, "send the terminal to '%s'", socket_path);
    return 0;
}

int pid_file_write(const char *path, pid_t pid, struct error *err)
{
    const char *slash = strrchr(path, '/');
    auto_free char *directory =
        slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path + 1));
    auto_close int directory_fd = -1;
    char digits[16];
    int length, r;

    directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return error_errno(err, "open the directory of pid file '%s'", path);
    length = snprintf(digits, sizeof(digits), "%d", pid);
    r = file_replace(directory_fd, slash == NULL ? path : slash + 1, digits, (size_t)length, 0644,
                     FILE_SYNC_NONE, err);
    return r < 0 ? error_prefix(err, r, "pid file") : 0;
}
