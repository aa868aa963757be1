#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "microvm/agent_message.h"
#include "microvm/saved_session.h"

static struct saved_session example(void)
{
    struct saved_session saved = {
        .agent_version = AGENT_VERSION,
        .next_number = 7,
        .next_request = 9,
        .has_input_ended = true,
        .sent = xmemdup("abc", 3),
        .sent_length = 3,
        .waiting = { xmemdup("hello", 5), NULL },
        .waiting_length = { 5, 0 },
    };

    for (int i = 0; i < 3; i++)
        saved.streams[i] = (struct channel_stream){ .id = agent_stream(AGENT_FIRST, i),
                                                    .room = 10,
                                                    .expected = 20,
                                                    .consumed = 30,
                                                    .has_ended = i == 2 };
    return saved;
}

/* @ret: of saved_session_read() */
static int pass_on(const struct saved_session *saved, struct saved_session *ret, struct error *err)
{
    auto_close int fd = memfd_create("session", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(saved_session_write(saved, fd, NULL), 0);
    return saved_session_read(fd, ret, err);
}

static void what_was_saved_is_read_again(void **state)
{
    AUTO_CLEAR(saved_session) struct saved_session saved = example(), read = { 0 };

    (void)state;
    assert_int_equal(pass_on(&saved, &read, NULL), 0);
    assert_int_equal(read.next_number, 7);
    assert_int_equal(read.next_request, 9);
    assert_true(read.has_input_ended);
    assert_false(read.has_terminal);
    assert_memory_equal(read.streams, saved.streams, sizeof(saved.streams));
    assert_int_equal(read.sent_length, 3);
    assert_memory_equal(read.sent, "abc", 3);
    assert_int_equal(read.waiting_length[0], 5);
    assert_memory_equal(read.waiting[0], "hello", 5);
    assert_int_equal(read.waiting_length[1], 0);
}

static void what_no_session_can_be_is_refused(void **state)
{
    static const struct {
        const char *what;
        int result;
    } rows[] = {
        { "another agent", -EXDEV },
        { "no first process", -EBADMSG },
        { "too many processes", -EBADMSG },
        { "a request without a number", -EBADMSG },
        { "more room than there is", -EBADMSG },
        { "more expected than there is room", -EBADMSG },
        { "more taken than was sent", -EBADMSG },
        { "more waiting than was sent", -EBADMSG },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(saved_session) struct saved_session saved = example(), read = { 0 };
        uint32_t *const members[] = {
            &saved.agent_version,       &saved.next_number,         &saved.next_number,
            &saved.next_request,        &saved.streams[0].room,     &saved.streams[1].expected,
            &saved.streams[1].consumed, &saved.streams[1].expected,
        };
        static const uint32_t values[] = {
            AGENT_VERSION + 1,  AGENT_FIRST,        AGENT_PROCESS_MAX + 2, 0,
            CHANNEL_WINDOW + 1, CHANNEL_WINDOW + 1, CHANNEL_WINDOW,        CHANNEL_WINDOW - 34,
        };
        struct error err = { 0 };

        *members[i] = values[i];
        print_message("%s\n", rows[i].what);
        assert_int_equal(pass_on(&saved, &read, &err), rows[i].result);
        assert_true(err.message[0] != '\0');
        assert_null(read.sent);
    }
}

static void a_damaged_file_is_refused_wherever_it_ends(void **state)
{
    AUTO_CLEAR(saved_session) struct saved_session saved = example(), read = { 0 };
    auto_close int fd = memfd_create("session", MFD_CLOEXEC);
    off_t length;

    (void)state;
    assert_int_equal(saved_session_write(&saved, fd, NULL), 0);
    length = lseek(fd, 0, SEEK_END);
    for (off_t end = length - 1; end >= 0; end--) {
        assert_int_equal(ftruncate(fd, end), 0);
        assert_int_equal(saved_session_read(fd, &read, NULL), -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_is_read_again),
        cmocka_unit_test(what_no_session_can_be_is_refused),
        cmocka_unit_test(a_damaged_file_is_refused_wherever_it_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
