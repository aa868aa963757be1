#include "microvm/emulator_qmp.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

/* An emulator that says nothing for so long never will; a busy machine may need some seconds. */
#define QMP_PATIENCE_MS 60000

struct qmp {
    int fd;
    bool is_ready; /* the greeting was answered */
    bool has_migrated, has_failed;
    size_t length;
    char bytes[QMP_LINE_MAX];
};

struct qmp *qmp_new(int fd)
{
    struct qmp *qmp = xcalloc(1, sizeof(*qmp));

    assert(fd >= 0);
    qmp->fd = fd;
    return qmp;
}

void qmp_free(struct qmp *qmp)
{
    if (qmp == NULL)
        return;
    auto_close_cleanup(&qmp->fd);
    free(qmp);
}

/* --- lines -------------------------------------------------------------------------------------*/

static int receive(struct qmp *qmp, struct error *err)
{
    struct pollfd event = { .fd = qmp->fd, .events = POLLIN };
    ssize_t length;
    int r;

    if (qmp->length == sizeof(qmp->bytes))
        return error_set(err, EPROTO, "QEMU says more than %d bytes at once", QMP_LINE_MAX);
    r = poll(&event, 1, QMP_PATIENCE_MS);
    if (r == 0)
        return error_set(err, ETIMEDOUT, "QEMU does not answer");
    length =
        r < 0 ? r : recv(qmp->fd, qmp->bytes + qmp->length, sizeof(qmp->bytes) - qmp->length, 0);
    if (length < 0)
        return errno == EINTR ? 0 : error_errno(err, "hear QEMU");
    if (length == 0)
        return error_set(err, EPIPE, "QEMU has ended");
    qmp->length += (size_t)length;
    return 0;
}

/* The end of a migration may be told before the command that asked for it is answered. */
static void note_event(struct qmp *qmp, const struct qmp_message *message)
{
    if (!text_equal(message->event, "MIGRATION") || message->data == NULL)
        return;
    qmp->has_migrated = text_equal(message->data->status, "completed");
    qmp->has_failed = text_equal(message->data->status, "failed");
}

static int next_message(struct qmp *qmp, struct qmp_message **ret_message, struct error *err)
{
    const char *end;
    size_t length;
    int r;

    while ((end = memchr(qmp->bytes, '\n', qmp->length)) == NULL) {
        r = receive(qmp, err);
        if (r < 0)
            return r;
    }
    length = (size_t)(end - qmp->bytes);
    r = qmp_message_decode(qmp->bytes, length, ret_message, err);
    if (r == 0)
        note_event(qmp, *ret_message);
    qmp->length -= length + 1;
    memmove(qmp->bytes, end + 1, qmp->length);
    return r;
}

static int say(struct qmp *qmp, const char *command, int fd, struct error *err)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec text = { .iov_base = (char *)command, .iov_len = strlen(command) };
    struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1 };

    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        control.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
    }
    /* A socket that nobody has written to takes a short line at once. */
    if (sendmsg(qmp->fd, &message, MSG_NOSIGNAL) != (ssize_t)text.iov_len)
        return error_errno(err, "ask QEMU");
    return 0;
}

/* Events that come before the answer are of no interest. */
static int hear_answer(struct qmp *qmp, char **ret_answer, struct error *err)
{
    for (;;) {
        AUTO(qmp_message) struct qmp_message *message = NULL;
        int r = next_message(qmp, &message, err);

        if (r < 0)
            return r;
        if (message->error != NULL)
            return error_set(err, EIO, "QEMU refuses: %s",
                             message->error->desc != NULL ? message->error->desc : "no reason");
        if (message->answer == NULL)
            continue;
        if (ret_answer != NULL)
            *ret_answer = take_ptr(&message->answer);
        return 0;
    }
}

static int ask(struct qmp *qmp, const char *command, int fd, struct error *err)
{
    int r = say(qmp, command, fd, err);

    return r < 0 ? r : hear_answer(qmp, NULL, err);
}

static int greet(struct qmp *qmp, struct error *err)
{
    AUTO(qmp_message) struct qmp_message *message = NULL;
    int r;

    if (qmp->is_ready)
        return 0;
    r = next_message(qmp, &message, err);
    if (r == 0 && message->greeting == NULL)
        r = error_set(err, EPROTO, "QEMU does not greet");
    if (r == 0)
        r = ask(qmp, "{\"execute\":\"qmp_capabilities\"}\n", -1, err);
    qmp->is_ready = r == 0;
    return r;
}

int qmp_run(struct qmp *qmp, const char *const *commands, int fd, struct error *err)
{
    int r;

    assert(qmp != NULL);
    assert(commands != NULL);

    r = greet(qmp, err);
    for (size_t i = 0; commands[i] != NULL && r == 0; i++)
        r = ask(qmp, commands[i], i == 0 ? fd : -1, err);
    return r;
}

int qmp_find_memory(struct qmp *qmp, uint64_t *ret_bytes, struct error *err)
{
    auto_free char *answer = NULL;
    int r;

    assert(qmp != NULL);
    assert(ret_bytes != NULL);

    r = greet(qmp, err);
    if (r == 0)
        r = say(qmp, "{\"execute\":\"query-balloon\"}\n", -1, err);
    if (r == 0)
        r = hear_answer(qmp, &answer, err);
    return r < 0 ? r : qmp_balloon_decode(answer, ret_bytes, err);
}

int qmp_wait_migrated(struct qmp *qmp, struct error *err)
{
    assert(qmp != NULL);
    while (!qmp->has_migrated && !qmp->has_failed) {
        AUTO(qmp_message) struct qmp_message *message = NULL;
        int r = next_message(qmp, &message, err);

        if (r < 0)
            return r;
    }
    if (qmp->has_failed)
        return error_set(err, EIO, "QEMU could not transfer the machine");
    qmp->has_migrated = false;
    return 0;
}
