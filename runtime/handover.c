#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"
#include "runtime/container.h"

/* Descriptors that are given to someone outside: a terminal's master, a process's pidfd, a seccomp
 * listener. Each goes as one message over a stream socket on whose path the receiver listens. */

int handover_connect(const char *path, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    auto_close int directory_fd = -1, fd = -1;
    const char *slash = strrchr(path, '/');
    auto_free char *directory = NULL;
    int n;

    /* A path longer than sun_path is reached by way of its directory. */
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

/* The descriptor goes with the first bytes; a long text may take several calls. */
int handover_send(int socket_fd, const char *text, int sent_fd, struct error *err)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec data = { (char *)text, strlen(text) };
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    ssize_t n;

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &sent_fd, sizeof(int));
    while (data.iov_len > 0) {
        n = sendmsg(socket_fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "send a descriptor");
        data.iov_base = (char *)data.iov_base + n;
        data.iov_len -= (size_t)n;
        message.msg_control = NULL;
        message.msg_controllen = 0;
    }
    return 0;
}

int handover_give(const char *path, const char *text, int sent_fd, const char *what,
                  struct error *err)
{
    auto_close int fd = -1;
    int r;

    r = handover_connect(path, &fd, err);
    if (r == 0)
        r = handover_send(fd, text, sent_fd, err);
    return r < 0 ? error_prefix(err, r, "%s", what) : 0;
}
