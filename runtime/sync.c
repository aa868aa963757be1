#include "runtime/container.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/wire.h"

const char *sync_name(uint32_t type)
{
    static const char *const names[] = {
        [SYNC_HOST_READY] = "HOST_READY", [SYNC_HOOKS] = "HOOKS", [SYNC_HOOKS_DONE] = "HOOKS_DONE",
        [SYNC_CREATED] = "CREATED",       [SYNC_START] = "START", [SYNC_STARTED] = "STARTED",
        [SYNC_LISTENER] = "LISTENER",     [SYNC_ERROR] = "ERROR",
    };

    return type < ARRAY_SIZE(names) && names[type] != NULL ? names[type] : "unknown";
}

int sync_send(int fd, enum sync_type type, const int *fds, size_t fd_count, struct error *err)
{
    int r = wire_send(fd, type, NULL, 0, fds, fd_count, err);

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

int sync_expect(int fd, enum sync_type expected, int *ret_fds, struct error *err)
{
    struct wire_message message;
    int r;

    r = wire_receive(fd, &message, err);
    if (r == -ECONNRESET)
        return 0;
    if (r < 0)
        return error_prefix(err, r, "wait for %s", sync_name(expected));
    if (r == 0)
        return 0;

    if (message.type == SYNC_ERROR)
        r = receive_error(&message, err);
    else if (message.type != expected)
        r = error_set(err, EPROTO, "init sent %s instead of %s", sync_name(message.type),
                      sync_name(expected));
    if (r > 0 && ret_fds != NULL) {
        ret_fds[0] = take_fd(&message.fds[0]);
        ret_fds[1] = take_fd(&message.fds[1]);
    }
    wire_message_close(&message);
    return r;
}
