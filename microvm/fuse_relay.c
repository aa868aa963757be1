#include "microvm/fuse_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "microvm/fuse_message.h"

/* Each direction has room for one message. A request is taken from the kernel only when the one
 * before is written, so that the others wait there, where they can be interrupted; and answers are
 * read whether or not a request can be written, so that neither side waits for the other. */
struct relay {
    int fuse_fd;
    int port_fd;
    uint8_t *request; /* from the kernel */
    size_t request_length;
    size_t request_sent;
    uint8_t *answers; /* from the stream: the last one may not be whole */
    size_t answers_length;
};

/* Returns 1, 0 when the file system is gone, or a negative errno value. */
static int request_read(struct relay *relay, struct error *err)
{
    ssize_t length = read(relay->fuse_fd, relay->request, FUSE_MESSAGE_MAX);

    if (length >= 0) {
        relay->request_length = (size_t)length;
        relay->request_sent = 0;
        return 1;
    }
    if (errno == ENODEV)
        return 0;
    /* ENOENT: the request was given up while it was read. */
    if (errno == EAGAIN || errno == EINTR || errno == ENOENT)
        return 1;
    return error_errno(err, "read a request of the kernel");
}

static int request_write(struct relay *relay, struct error *err)
{
    ssize_t length = write(relay->port_fd, relay->request + relay->request_sent,
                           relay->request_length - relay->request_sent);

    if (length < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : error_errno(err, "send a request");
    relay->request_sent += (size_t)length;
    return 0;
}

static int answers_deliver(struct relay *relay, struct error *err)
{
    size_t done = 0;
    struct fuse_out_header header;

    while (relay->answers_length - done >= sizeof(header)) {
        memcpy(&header, relay->answers + done, sizeof(header));
        if (header.len < sizeof(header) || header.len > FUSE_MESSAGE_MAX)
            return error_set(err, EBADMSG, "the answer is no FUSE message");
        if (header.len > relay->answers_length - done)
            break;
        /* Whom it was for may be gone: ENOENT; or the kernel finds it wrong, which ends that
         * request. Neither is the end of the others. */
        if (write(relay->fuse_fd, relay->answers + done, header.len) < 0 && errno == ENODEV)
            return 0;
        done += header.len;
    }
    memmove(relay->answers, relay->answers + done, relay->answers_length - done);
    relay->answers_length -= done;
    return 1;
}

static int answers_read(struct relay *relay, struct error *err)
{
    ssize_t length = read(relay->port_fd, relay->answers + relay->answers_length,
                          FUSE_MESSAGE_MAX - relay->answers_length);

    if (length < 0)
        return errno == EAGAIN || errno == EINTR ? 1 : error_errno(err, "read an answer");
    if (length == 0)
        return error_set(err, EPIPE, "the stream has ended");
    relay->answers_length += (size_t)length;
    return answers_deliver(relay, err);
}

/* Returns 1, 0 at the end, or a negative errno value. */
static int relay_step(struct relay *relay, struct error *err)
{
    bool is_sending = relay->request_sent < relay->request_length;
    struct pollfd fds[2] = {
        { .fd = relay->port_fd, .events = (short)(POLLIN | (is_sending ? POLLOUT : 0)) },
        { .fd = is_sending ? -1 : relay->fuse_fd, .events = POLLIN },
    };
    int r = 1;

    if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
        return errno == EINTR ? 1 : error_errno(err, "wait for requests and answers");
    if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
        r = answers_read(relay, err);
    if (r > 0 && is_sending && (fds[0].revents & POLLOUT) != 0 && request_write(relay, err) < 0)
        r = -EPIPE;
    if (r > 0 && fds[1].revents != 0)
        r = request_read(relay, err);
    return r;
}

int fuse_relay_run(int fuse_fd, int port_fd, struct error *err)
{
    auto_free uint8_t *request = xcalloc(1, FUSE_MESSAGE_MAX);
    auto_free uint8_t *answers = xcalloc(1, FUSE_MESSAGE_MAX);
    struct relay relay = { fuse_fd, port_fd, request, 0, 0, answers, 0 };
    int r = fd_set_nonblocking(fuse_fd, true, err);

    if (r == 0)
        r = fd_set_nonblocking(port_fd, true, err);
    if (r < 0)
        return r;
    do
        r = relay_step(&relay, err);
    while (r > 0);
    return r;
}

static void __attribute__((noreturn)) relay_child(int fuse_fd, int port_fd)
{
    const int kept[] = { fuse_fd, port_fd };
    struct error err = { 0 };

    (void)prctl(PR_SET_NAME, "berth-relay", 0, 0, 0); /* for people */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)fd_close_all_but(kept, ARRAY_SIZE(kept), STDERR_FILENO + 1, NULL);
    if (fuse_relay_run(fuse_fd, port_fd, &err) < 0) {
        /* Where the agent's own errors go. */
        (void)dprintf(STDERR_FILENO, "berth-relay: %s\n", err.message);
        _exit(1);
    }
    _exit(0);
}

int fuse_relay_start(int port_fd, const char *target, bool is_read_only, pid_t *ret_pid,
                     struct error *err)
{
    auto_close int fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    auto_free char *options = NULL;
    unsigned long flags = MS_NODEV | (is_read_only ? MS_RDONLY : 0);
    pid_t pid;

    if (fuse_fd < 0)
        return error_errno(err, "open /dev/fuse");
    options = xasprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other",
                        fuse_fd);
    if (mount("berth-fs", target, "fuse", flags, options) < 0)
        return error_errno(err, "mount fuse on '%s'", target);
    pid = fork();
    if (pid == 0)
        relay_child(fuse_fd, port_fd);
    if (pid < 0) {
        int r = error_errno(err, "start the relay of '%s'", target);

        (void)umount2(target, MNT_DETACH); /* nobody serves it */
        return r;
    }
    *ret_pid = pid;
    return 0;
}
