#include "base/wire.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"

/* Connections that may wait until they are accepted. */
#define LISTEN_BACKLOG 16

/* Room for the descriptors, aligned as cmsg(3) wants it. */
union fd_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

int wire_pair(int ret_fds[2], struct error *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
        return error_errno(err, "create a pair of sockets");
    return 0;
}

/* A socket's address has 108 bytes; by way of the directory's descriptor the rest is a name. */
static int name_socket(int dir_fd, const char *name, struct sockaddr_un *address, struct error *err)
{
    char directory[FD_PATH_MAX];
    int length;

    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (dir_fd == AT_FDCWD || name[0] == '/')
        length = snprintf(address->sun_path, sizeof(address->sun_path), "%s", name);
    else
        length = snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s",
                          fd_path(dir_fd, directory), name);
    if (length < 0 || (size_t)length >= sizeof(address->sun_path))
        return error_set(err, ENAMETOOLONG, "the socket's name '%s' is too long", name);
    return 0;
}

static bool is_socket(int dir_fd, const char *name)
{
    struct stat status;

    return fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(status.st_mode);
}

int wire_listen(int dir_fd, const char *name, mode_t mode, int *ret_fd, struct error *err)
{
    struct sockaddr_un address;
    auto_close int fd = -1;
    int r;

    assert(name != NULL);
    assert(ret_fd != NULL);

    r = name_socket(dir_fd, name, &address, err);
    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, "create a socket");
    /* bind(2) gives the file the mode of the socket, so there is no moment with a wider one. */
    if (fchmod(fd, mode) < 0)
        return error_errno(err, "set the mode of the socket '%s'", name);
    r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    if (r < 0 && errno == EADDRINUSE && is_socket(dir_fd, name)) {
        /* Left behind by a listener that died. */
        if (unlinkat(dir_fd, name, 0) < 0)
            return error_errno(err, "remove the old socket '%s'", name);
        r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    }
    if (r < 0)
        return error_errno(err, "bind the socket '%s'", name);
    if (listen(fd, LISTEN_BACKLOG) < 0)
        return error_errno(err, "listen on the socket '%s'", name);
    *ret_fd = take_fd(&fd);
    return 0;
}

int wire_connect(int dir_fd, const char *name, int *ret_fd, struct error *err)
{
    struct sockaddr_un address;
    auto_close int fd = -1;
    int r;

    assert(name != NULL);
    assert(ret_fd != NULL);

    r = name_socket(dir_fd, name, &address, err);
    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, "create a socket");
    do {
        r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    } while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_errno(err, "connect to the socket '%s'", name);
    *ret_fd = take_fd(&fd);
    return 0;
}

int wire_accept(int listen_fd, int *ret_fd, struct error *err)
{
    int fd;

    do {
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return error_errno(err, "accept a connection");
    *ret_fd = fd;
    return 0;
}

int wire_send(int fd, uint32_t type, const void *payload, size_t length, const int *fds,
              size_t fd_count, struct error *err)
{
    union fd_control control;
    struct iovec parts[2] = {
        { .iov_base = &type, .iov_len = sizeof(type) },
        { .iov_base = (void *)payload, .iov_len = length },
    };
    struct msghdr header = { .msg_iov = parts, .msg_iovlen = length > 0 ? 2 : 1 };
    ssize_t n;

    assert(fd_count <= WIRE_FDS_MAX);

    if (length > WIRE_PAYLOAD_MAX)
        return error_set(err, EMSGSIZE, "send a message of %zu bytes: %d are the most", length,
                         WIRE_PAYLOAD_MAX);
    if (fd_count > 0) {
        memset(&control, 0, sizeof(control));
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
    }
    do {
        n = sendmsg(fd, &header, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_errno(err, "send message %u", type);
    return 0;
}

/* Moves the descriptors that came along into the message. A control message that is none of ours
 * is not asked for, so it is not there. */
static void take_descriptors(struct msghdr *header, struct wire_message *message)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL;
         control = CMSG_NXTHDR(header, control)) {
        size_t count;

        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count && message->fd_count < WIRE_FDS_MAX; i++)
            memcpy(&message->fds[message->fd_count++], CMSG_DATA(control) + i * sizeof(int),
                   sizeof(int));
    }
}

int wire_receive(int fd, struct wire_message *message, struct error *err)
{
    union fd_control control;
    struct iovec parts[2] = {
        { .iov_base = &message->type, .iov_len = sizeof(message->type) },
        { .iov_base = message->payload, .iov_len = WIRE_PAYLOAD_MAX },
    };
    struct msghdr header = { .msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control) };
    unsigned resets = 0;
    ssize_t n;

    message->type = 0;
    message->length = 0;
    message->fd_count = 0;
    message->payload[0] = '\0';
    for (size_t i = 0; i < WIRE_FDS_MAX; i++)
        message->fds[i] = -1;
    /* A peer that dies with our messages unread resets the connection. The kernel tells that once,
     * and before the messages that the peer had sent: they are still there, and then the end. */
    do {
        n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    } while (n < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ == 0)));
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return 0;
    if (n < 0)
        return error_errno(err, "receive a message");
    take_descriptors(&header, message);
    if ((size_t)n < sizeof(message->type) || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        wire_message_close(message);
        return error_set(err, EBADMSG, "receive a message: it is too %s",
                         (size_t)n < sizeof(message->type) ? "short" : "long");
    }
    message->length = (uint32_t)((size_t)n - sizeof(message->type));
    message->payload[message->length] = '\0';
    return 1;
}

void wire_message_close(struct wire_message *message)
{
    for (size_t i = 0; i < WIRE_FDS_MAX; i++) {
        auto_close_cleanup(&message->fds[i]);
        message->fds[i] = -1;
    }
    message->fd_count = 0;
}
