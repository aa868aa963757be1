#include "engine/monitor_link.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/process.h"
#include "base/wire.h"
#include "engine/engine_private.h"
#include "engine/monitor_wire.h"

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int monitor_link_open(struct engine *engine, const char *id, int *ret_fd, struct error *err)
{
    int r = claim_connect(engine, id, ret_fd, err);

    if (r == -ENOENT || r == -ECONNREFUSED)
        return error_set(err, ESRCH, "container %.12s is not running", id);
    return r;
}

int monitor_link_or_claim(struct engine *engine, const char *id, uint32_t timeout_ms,
                          int *ret_claim_fd, int *ret_fd, struct error *err)
{
    uint64_t deadline = timeout_ms == UINT32_MAX ? UINT64_MAX : now_ms() + timeout_ms;
    uint32_t step_ms = 0;
    int r;

    do {
        r = claim_take(engine, id, step_ms, ret_claim_fd, err);
        if (r != -EAGAIN && r != -ETIMEDOUT)
            return r;
        r = monitor_link_open(engine, id, ret_fd, err);
        if (r != -ESRCH)
            return r < 0 ? r : 1;
        step_ms = CLAIM_STEP_MS;
    } while (now_ms() < deadline);
    return error_set(err, EBUSY,
                     "another command is at work on container %.12s, and was not done after %u "
                     "seconds; try again",
                     id, timeout_ms / 1000);
}

static int take_status(const struct wire_message *message, int *ret_status)
{
    int32_t status = 0;

    if (message->length == sizeof(status))
        memcpy(&status, message->payload, sizeof(status));
    if (ret_status != NULL)
        *ret_status = status;
    return 1;
}

static int wait_readable(int fd, uint64_t deadline_ms, struct error *err)
{
    struct pollfd item = { .fd = fd, .events = POLLIN };

    for (;;) {
        uint64_t now = deadline_ms == UINT64_MAX ? 0 : now_ms();
        int timeout = deadline_ms == UINT64_MAX ? -1
                      : now >= deadline_ms      ? 0
                                                : (int)(deadline_ms - now);
        int r = poll(&item, 1, timeout);

        if (r >= 0)
            return r;
        if (errno != EINTR)
            return error_errno(err, "wait for the container's monitor");
    }
}

/* Who listened on the socket: the monitor. */
static pid_t monitor_pid(int fd)
{
    struct ucred peer = { 0 };
    socklen_t length = sizeof(peer);

    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length); /* else 0 is shown */
    return peer.pid;
}

/* A monitor may have many files to remove before it answers; a stopped one never answers. */
static int check_goes_on(int fd, struct error *err)
{
    pid_t pid = monitor_pid(fd);

    if (!process_is_stopped(pid))
        return 0;
    return error_set(err, ETIMEDOUT,
                     "the container's monitor, process %d, is stopped by a signal or a debugger, "
                     "and did not go on within %d seconds: `kill -CONT %d` lets it, or `kill -9 "
                     "%d`, and the next command cleans up",
                     (int)pid, MONITOR_KILLED_S, (int)pid, (int)pid);
}

static int wait_answer(int fd, struct error *err)
{
    int r = 0;

    while (r == 0) {
        r = wait_readable(fd, now_ms() + MONITOR_KILLED_S * 1000, err);
        if (r == 0)
            r = check_goes_on(fd, err);
    }
    return r;
}

/* What the monitor says next, without descriptors. -EPIPE: it ended. */
static int receive(int fd, struct wire_message *ret_message, struct error *err)
{
    int r = wire_receive(fd, ret_message, err);

    if (r < 0 && r != -ECONNRESET)
        return r;
    if (r <= 0)
        return error_set(err, EPIPE, "the container's monitor ended");
    wire_message_close(ret_message);
    return 0;
}

int monitor_link_take_error(const struct wire_message *message, struct error *err)
{
    struct error told;

    if (message->length != sizeof(told))
        return error_set(err, EPROTO, "malformed error from the container's monitor");
    memcpy(&told, message->payload, sizeof(told));
    told.message[sizeof(told.message) - 1] = '\0';
    return error_set(err, told.code > 0 ? told.code : EPROTO, "%s", told.message);
}

int monitor_link_ask(int fd, uint32_t type, const void *payload, size_t length, int *ret_status,
                     struct error *err)
{
    struct wire_message message;
    int r;

    r = wire_send(fd, type, payload, length, NULL, 0, err);
    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        return r;
    for (;;) {
        r = wait_answer(fd, err);
        if (r > 0)
            r = receive(fd, &message, err);
        if (r < 0)
            return r;
        if (message.type == MONITOR_OK)
            return 0;
        if (message.type == MONITOR_ERROR)
            return monitor_link_take_error(&message, err);
        if (message.type == MONITOR_EXIT)
            return take_status(&message, ret_status);
    }
}

int monitor_link_wait_exit(int fd, uint32_t timeout_ms, int *ret_status, struct error *err)
{
    uint64_t deadline = timeout_ms == UINT32_MAX ? UINT64_MAX : now_ms() + timeout_ms;
    struct wire_message message;
    int r;

    for (;;) {
        r = wait_readable(fd, deadline, err);
        if (r <= 0)
            return r;
        r = receive(fd, &message, err);
        if (r < 0)
            return r;
        if (message.type == MONITOR_EXIT)
            return take_status(&message, ret_status);
    }
}

/* What keeps a monitor from saying that its container has ended. 0: its work after the end. */
static int check_killed(struct engine *engine, const char *id, int fd, struct error *err)
{
    AUTO(container) struct container *container = NULL;
    enum container_status status;
    int r;

    r = engine_open_with_status(engine, id, &container, &status, err);
    if (r < 0)
        return r == -ESRCH ? 0 : r;
    if (status == CONTAINER_STOPPED)
        return error_set(err, ETIMEDOUT,
                         "container %.12s has ended, but its monitor, process %d, did not notice "
                         "within %d seconds: `kill -9 %d`, and the next command cleans up",
                         id, (int)monitor_pid(fd), MONITOR_KILLED_S, (int)monitor_pid(fd));
    return error_set(err, ETIMEDOUT,
                     "container %.12s was killed, but its process %d is still there after %d "
                     "seconds: the kernel holds it, for a disk that does not answer, for example",
                     id, (int)container_pid(container), MONITOR_KILLED_S);
}

int monitor_link_wait_killed(struct engine *engine, const char *id, int fd, struct error *err)
{
    int r = 0;

    while (r == 0) {
        r = monitor_link_wait_exit(fd, MONITOR_KILLED_S * 1000, NULL, err);
        if (r == 0)
            r = check_goes_on(fd, err);
        if (r == 0)
            r = check_killed(engine, id, fd, err);
    }
    return r;
}
