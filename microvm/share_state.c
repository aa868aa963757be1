#include "microvm/share_state.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/auto.h"
#include "microvm/fuse_message.h"

/* Each file that the guest knows is looked for in the time between a request and its answer. */
#define SILENT_MS 120000

static int wait_for(int fd, short events, struct error *err)
{
    struct pollfd poll_fd = { .fd = fd, .events = events };
    int r;

    do
        r = poll(&poll_fd, 1, SILENT_MS);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_errno(err, "wait for the share's server");
    return r > 0 ? 0 : error_set(err, ETIMEDOUT, "the share's server does not answer");
}

static int send_all(int fd, struct iovec *pieces, size_t count, struct error *err)
{
    while (count > 0) {
        const struct msghdr message = { .msg_iov = pieces, .msg_iovlen = count };
        ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == EAGAIN) {
            int r = wait_for(fd, POLLOUT, err);

            if (r < 0)
                return r;
        } else if (sent < 0 && errno != EINTR) {
            return error_errno(err, "ask the share's server");
        }
        for (; count > 0 && sent >= (ssize_t)pieces->iov_len; pieces++, count--)
            sent -= (ssize_t)pieces->iov_len;
        if (sent > 0) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + sent;
            pieces->iov_len -= (size_t)sent;
        }
    }
    return 0;
}

static int receive_all(int fd, void *bytes, size_t length, struct error *err)
{
    for (size_t done = 0; done < length;) {
        const ssize_t received = recv(fd, (uint8_t *)bytes + done, length - done, MSG_DONTWAIT);

        if (received == 0)
            return error_set(err, EPIPE, "the share's server is gone");
        if (received > 0) {
            done += (size_t)received;
        } else if (errno == EAGAIN) {
            int r = wait_for(fd, POLLIN, err);

            if (r < 0)
                return r;
        } else if (errno != EINTR) {
            return error_errno(err, "read from the share's server");
        }
    }
    return 0;
}

static int wrong_answer(struct error *err)
{
    return error_set(err, EBADMSG, "the share's server sent a wrong answer");
}

/* @room  for the answer's body, whose length is returned */
static int ask(int fd, enum fuse_state_opcode opcode, const uint8_t *bytes, size_t length,
               uint8_t *ret_body, size_t room, struct error *err)
{
    struct fuse_in_header request = { .len = (uint32_t)(sizeof(request) + length),
                                      .opcode = opcode };
    struct iovec pieces[] = { { &request, sizeof(request) }, { (void *)bytes, length } };
    char sentence[ERROR_MESSAGE_MAX];
    struct fuse_out_header answer;
    size_t body;
    int r = send_all(fd, pieces, length > 0 ? 2 : 1, err);

    if (r == 0)
        r = receive_all(fd, &answer, sizeof(answer), err);
    if (r < 0)
        return r;
    if (answer.len < sizeof(answer) || answer.unique != 0 || answer.error > 0 ||
        answer.error < -4095)
        return wrong_answer(err);
    body = answer.len - sizeof(answer);
    if (answer.error == 0) {
        if (body > room)
            return wrong_answer(err);
        r = receive_all(fd, ret_body, body, err);
        return r < 0 ? r : (int)body;
    }
    if (body >= sizeof(sentence))
        return wrong_answer(err);
    if (body == 0)
        return error_set(err, -answer.error, "the share's server moves no state: %s",
                         strerror(-answer.error));
    r = receive_all(fd, sentence, body, err);
    return r < 0 ? r : error_set(err, -answer.error, "%.*s", (int)body, sentence);
}

int share_state_save(int fd, struct state_writer *writer, struct error *err)
{
    auto_free uint8_t *piece = xcalloc(1, FUSE_MAX_WRITE);
    size_t left = FUSE_STATE_MAX;
    int r = ask(fd, FUSE_STATE_SAVE, NULL, 0, NULL, 0, err);

    if (r < 0)
        return r;
    while ((r = ask(fd, FUSE_STATE_READ, NULL, 0, piece, FUSE_MAX_WRITE, err)) > 0) {
        if ((size_t)r > left)
            return wrong_answer(err);
        left -= (size_t)r;
        state_put(writer, piece, (size_t)r);
    }
    return r;
}

int share_state_restore(int fd, const uint8_t *bytes, uint32_t length, struct error *err)
{
    int r = 0;

    assert(length <= FUSE_STATE_MAX);

    for (uint32_t done = 0, piece; r == 0 && done < length; done += piece) {
        piece = length - done < FUSE_MAX_WRITE ? length - done : FUSE_MAX_WRITE;
        r = ask(fd, FUSE_STATE_WRITE, bytes + done, piece, NULL, 0, err);
    }
    return r < 0 ? r : ask(fd, FUSE_STATE_RESTORE, NULL, 0, NULL, 0, err);
}
