#include "base/fd.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

#include "tests/unit/base_test.h"

static void everything_written_is_read(void **state)
{
    auto_free char *text = NULL;
    size_t length;
    int fds[2];
    char bytes[20000];

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fd_write_all(fds[1], bytes, sizeof(bytes), "the pipe", NULL), 0);
    close(fds[1]);
    assert_int_equal(fd_read_all(fds[0], sizeof(bytes), "the pipe", &text, &length, NULL), 0);
    assert_int_equal(length, sizeof(bytes));
    assert_memory_equal(text, bytes, length);
    assert_int_equal(text[length], '\0');
    close(fds[0]);
}

/* More than a pipe holds, to one that does not block; a child reads it late. */
static void a_full_pipe_that_does_not_block_is_waited_for(void **state)
{
    static char bytes[200000];
    auto_free char *text = NULL;
    size_t length = 0;
    int fds[2], status;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fd_set_nonblocking(fds[1], true, NULL), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(fds[1]);
        (void)poll(NULL, 0, 50);
        (void)fd_read_all(fds[0], sizeof(bytes), "the pipe", &text, &length, NULL);
        _exit(length == sizeof(bytes) ? 0 : 1);
    }
    close(fds[0]);
    assert_int_equal(fd_write_all(fds[1], bytes, sizeof(bytes), "the pipe", NULL), 0);
    close(fds[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void more_than_allowed_is_an_error(void **state)
{
    char *text = NULL;
    struct error err = { 0 };
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fd_write_all(fds[1], "12345", 5, "the pipe", NULL), 0);
    close(fds[1]);
    assert_int_equal(fd_read_all(fds[0], 4, "the pipe", &text, NULL, &err), -EFBIG);
    assert_string_equal(err.message, "read the pipe: it has more than 4 bytes");
    assert_null(text);
    close(fds[0]);
}

static void a_pipe_holds_as_much_as_it_was_given(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_true(fcntl(fds[0], F_SETPIPE_SZ, 16384) > 0);
    assert_int_equal(fd_capacity(fds[0]), 16384);
    close(fds[0]);
    close(fds[1]);
    assert_true(fd_capacity(-1) > 0);
}

static void a_closed_descriptor_is_named(void **state)
{
    struct error err = { 0 };

    (void)state;
    assert_int_equal(fd_write_all(-1, "x", 1, "'the log'", &err), -EBADF);
    assert_string_equal(err.message, "write 'the log': Bad file descriptor");
}

static void flags_are_set_and_cleared(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, 0), 0);
    assert_int_equal(fd_set_close_on_exec(fds[0], true, NULL), 0);
    assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(fd_set_close_on_exec(fds[0], false, NULL), 0);
    assert_int_equal(fcntl(fds[0], F_GETFD), 0);
    assert_int_equal(fd_set_nonblocking(fds[0], true, NULL), 0);
    assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    assert_int_equal(fd_set_nonblocking(fds[0], false, NULL), 0);
    assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    assert_int_equal(fd_close_on_exec_from((unsigned)fds[0], NULL), 0);
    assert_int_equal(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(fd_set_nonblocking(-1, true, NULL), -EBADF);
}

static void all_descriptors_but_the_kept_ones_are_closed(void **state)
{
    static const bool is_open[] = { true, false, true, true, false, false };
    const int first = 500;
    const int kept[] = { first + 3, -1, first, first + 2, 1 };

    (void)state;
    for (int i = 0; i < (int)ARRAY_SIZE(is_open); i++)
        assert_int_equal(dup2(0, first + i), first + i);
    assert_int_equal(fd_close_all_but(kept, ARRAY_SIZE(kept), (unsigned)first, NULL), 0);
    for (int i = 0; i < (int)ARRAY_SIZE(is_open); i++)
        assert_int_equal(fcntl(first + i, F_GETFD) >= 0, is_open[i]);
    assert_true(fcntl(1, F_GETFD) >= 0);
    assert_int_equal(fd_close_all_but(NULL, 0, (unsigned)first, NULL), 0);
    assert_int_equal(fcntl(first, F_GETFD), -1);
}

static void a_closed_standard_input_becomes_dev_null(void **state)
{
    int saved = dup(0);
    char byte;

    (void)state;
    close(0);
    assert_int_equal(fd_open_standard(NULL), 0);
    assert_int_equal(read(0, &byte, 1), 0);
    assert_int_equal(fcntl(0, F_GETFD), 0);
    dup2(saved, 0);
    close(saved);
}

static void a_descriptor_has_a_path(void **state)
{
    char path[FD_PATH_MAX];

    (void)state;
    assert_string_equal(fd_path(2147483647, path), "/proc/self/fd/2147483647");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_written_is_read),
        cmocka_unit_test(a_full_pipe_that_does_not_block_is_waited_for),
        cmocka_unit_test(more_than_allowed_is_an_error),
        cmocka_unit_test(a_pipe_holds_as_much_as_it_was_given),
        cmocka_unit_test(a_closed_descriptor_is_named),
        cmocka_unit_test(flags_are_set_and_cleared),
        cmocka_unit_test(all_descriptors_but_the_kept_ones_are_closed),
        cmocka_unit_test(a_closed_standard_input_becomes_dev_null),
        cmocka_unit_test(a_descriptor_has_a_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
