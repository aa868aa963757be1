#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "microvm/emulator_qmp.h"

/* What QEMU says is in the socket before it is asked: nothing here waits. */

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"
#define FINE     "{\"return\": {}}\r\n"
#define EVENT(status)                                                                              \
    "{\"timestamp\": {\"seconds\": 1}, \"event\": \"MIGRATION\", \"data\": {\"status\": \"" status \
    "\"}}\r\n"

static struct qmp *open_qmp(const char *said, int *ret_fd)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(write(fds[1], said, strlen(said)), (ssize_t)strlen(said));
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    *ret_fd = fds[1];
    return qmp_new(fds[0]);
}

static const char *const commands[] = { "{\"execute\":\"getfd\"}\n", "{\"execute\":\"stop\"}\n",
                                        NULL };

static void commands_are_sent_one_after_the_other_once_qemu_has_greeted(void **state)
{
    auto_close int peer = -1;
    AUTO(qmp) struct qmp *qmp = open_qmp(GREETING FINE EVENT("setup") FINE FINE, &peer);
    char heard[256] = "";

    (void)state;
    assert_int_equal(qmp_run(qmp, commands, -1, NULL), 0);
    assert_true(read(peer, heard, sizeof(heard) - 1) > 0);
    assert_string_equal(heard, "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"getfd\"}\n"
                               "{\"execute\":\"stop\"}\n");
}

static void a_descriptor_goes_with_the_first_command(void **state)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    char text[256];
    struct iovec part = { text, sizeof(text) };
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
    auto_close int peer = -1;
    AUTO(qmp) struct qmp *qmp = open_qmp(GREETING FINE FINE FINE, &peer);
    int fd = -1;

    (void)state;
    assert_int_equal(qmp_run(qmp, commands, STDIN_FILENO, NULL), 0);
    assert_true(recvmsg(peer, &message, 0) > 0);
    if (CMSG_FIRSTHDR(&message) == NULL) /* it came with the greeting's answer alone */
        assert_true(recvmsg(peer, &message, 0) > 0);
    assert_non_null(CMSG_FIRSTHDR(&message));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    assert_true(fd >= 0);
    (void)close(fd);
}

static void a_refusal_is_told_in_qemus_words(void **state)
{
    static const struct {
        const char *said, *sentence;
        int code;
    } rows[] = {
        { GREETING FINE "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such fd\"}}\r\n",
          "QEMU refuses: no such fd", -EIO },
        { GREETING FINE, "QEMU has ended", -EPIPE },
        { FINE, "QEMU does not greet", -EPROTO },
        { "no JSON\r\n", "what QEMU says: ", -EINVAL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        auto_close int peer = -1;
        AUTO(qmp) struct qmp *qmp = open_qmp(rows[i].said, &peer);
        struct error err = { 0 };

        assert_int_equal(qmp_run(qmp, commands, -1, &err), rows[i].code);
        if (strstr(err.message, rows[i].sentence) == NULL)
            fail_msg("row %zu: %s", i, err.message);
    }
}

static void the_end_of_a_migration_may_come_before_the_answer(void **state)
{
    static const struct {
        const char *said;
        int code;
    } rows[] = {
        { GREETING FINE FINE EVENT("active") EVENT("completed") FINE, 0 },
        { GREETING FINE FINE FINE EVENT("active") EVENT("completed"), 0 },
        { GREETING FINE FINE FINE EVENT("failed"), -EIO },
        { GREETING FINE FINE FINE EVENT("active"), -EPIPE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        auto_close int peer = -1;
        AUTO(qmp) struct qmp *qmp = open_qmp(rows[i].said, &peer);

        assert_int_equal(qmp_run(qmp, commands, -1, NULL), 0);
        if (qmp_wait_migrated(qmp, NULL) != rows[i].code)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_sent_one_after_the_other_once_qemu_has_greeted),
        cmocka_unit_test(a_descriptor_goes_with_the_first_command),
        cmocka_unit_test(a_refusal_is_told_in_qemus_words),
        cmocka_unit_test(the_end_of_a_migration_may_come_before_the_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
