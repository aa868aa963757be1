#include "runtime/container.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/wire.h"

const char *sync_name(uint32_t type)
{
    static const char *const names[] = {
        [SYNC_HOST_READY] = "HOST_READY", [SYNC_HOOKS] = "HOOKS",
        [SYNC_HOOKS_DONE] = "HOOKS_DONE", [SYNC_CREATED] = "CREATED",
        [SYNC_START] = "START",           [SYNC_STARTED] = "STARTED",
        [SYNC_LISTENER] = "LISTENER",     [SYNC_SOURCE] = "SOURCE",
        [SYNC_ERROR] = "ERROR",
    };

    return type < ARRAY_SIZE(names) && names[type] != NULL ? names[type] : "unknown";
}

int sync_send(int fd, enum sync_type type, const int *fds, size_t fd_count, struct error *err)
{
    int r = wire_send(fd, type, NULL, 0, fds, fd_count, err);

    if (r == -EPIPE || r == -ECONNRESET)
        return error_set(err, EPIPE, "the other process ended before %s", sync_name(type));
    return r < 0 ? error_prefix(err, r, "send %s", sync_name(type)) : 0;
}

void sync_send_error(int fd, const struct error *error)
{
    /* The peer may be gone; then nobody is left who could be told. */
    (void)wire_send(fd, SYNC_ERROR, error, sizeof(*error), NULL, 0, NULL);
}

/* An error as it came from another process: checked before it is believed. */
static int receive_error(const struct wire_message *message, struct error *err)
{
    struct error received;

    if (message->length != sizeof(received))
        return error_set(err, EPROTO, "malformed error from the container's init");
    memcpy(&received, message->payload, sizeof(received));
    received.message[sizeof(received.message) - 1] = '\0';
    if (received.code <= 0)
        received.code = EPROTO;
    return error_set(err, received.code, "%s", received.message);
}

/* Returns 1 with a message of type @expected, which the caller closes; 0 at end of file. */
static int receive(int fd, enum sync_type expected, struct wire_message *ret_message,
                   struct error *err)
{
    int r = wire_receive(fd, ret_message, err);

    if (r == 0 || r == -ECONNRESET)
        return 0;
    if (r < 0)
        return error_prefix(err, r, "wait for %s", sync_name(expected));
    if (ret_message->type == SYNC_ERROR)
        r = receive_error(ret_message, err);
    else if (ret_message->type != expected)
        r = error_set(err, EPROTO, "init sent %s instead of %s", sync_name(ret_message->type),
                      sync_name(expected));
    if (r < 0)
        wire_message_close(ret_message);
    return r;
}

int sync_expect(int fd, enum sync_type expected, int *ret_fds, struct error *err)
{
    struct wire_message message;
    int r = receive(fd, expected, &message, err);

    if (r <= 0)
        return r;
    if (ret_fds != NULL) {
        ret_fds[0] = take_fd(&message.fds[0]);
        ret_fds[1] = take_fd(&message.fds[1]);
    }
    wire_message_close(&message);
    return 1;
}

int sync_send_source(int fd, int source_fd, const char *text, struct error *err)
{
    int r = text != NULL ? wire_send(fd, SYNC_SOURCE, text, strlen(text), NULL, 0, err)
                         : wire_send(fd, SYNC_SOURCE, NULL, 0, &source_fd, 1, err);

    return r < 0 ? error_prefix(err, r, "send %s", sync_name(SYNC_SOURCE)) : 0;
}

int sync_receive_source(int fd, int *ret_source_fd, char **ret_text, struct error *err)
{
    struct wire_message message;
    int r = receive(fd, SYNC_SOURCE, &message, err);

    if (r == 0)
        return error_set(err, EPIPE, "the creator ended before %s", sync_name(SYNC_SOURCE));
    if (r < 0)
        return r;
    r = 0;
    if (message.fds[0] >= 0)
        *ret_source_fd = take_fd(&message.fds[0]);
    else if (ret_text != NULL)
        *ret_text = xstrdup(message.payload);
    else
        r = error_set(err, EPROTO, "%s came without its descriptor", sync_name(SYNC_SOURCE));
    wire_message_close(&message);
    return r;
}
