#include "base/event.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "tests/unit/base_test.h"

struct counter {
    struct event_loop *loop;
    struct event_source *other;
    int calls;
    int result;
};

static int count_and_stop(struct event_source *source, uint32_t events, void *context,
                          struct error *err)
{
    struct counter *counter = context;

    (void)source;
    (void)events;
    (void)err;
    counter->calls++;
    event_loop_stop(counter->loop, counter->result);
    return 0;
}

static int remove_both(struct event_source *source, uint32_t events, void *context,
                       struct error *err)
{
    struct counter *counter = context;

    (void)events;
    (void)err;
    counter->calls++;
    event_source_remove(counter->other);
    event_source_remove(counter->other);
    event_source_remove(source);
    event_source_remove(NULL);
    return 0;
}

static int fail_with_a_sentence(struct event_source *source, uint32_t events, void *context,
                                struct error *err)
{
    (void)events;
    (void)context;
    return error_set(err, EPROTO, "descriptor %d is odd", event_source_fd(source) > 0);
}

static void a_ready_descriptor_calls_its_handler(void **state)
{
    AUTO(event_loop) struct event_loop *loop = NULL;
    struct counter counter = { .result = 5 };
    int fds[2];

    (void)state;
    assert_int_equal(event_loop_open(&loop, NULL), 0);
    counter.loop = loop;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(event_loop_add(loop, fds[0], EPOLLIN, count_and_stop, &counter, NULL, NULL),
                     0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(event_loop_run(loop, NULL), 5);
    assert_int_equal(event_loop_run(loop, NULL), 5);
    assert_int_equal(counter.calls, 2);
    close(fds[0]);
    close(fds[1]);
}

static void a_source_removed_by_another_is_not_called(void **state)
{
    AUTO(event_loop) struct event_loop *loop = NULL;
    struct counter a = { 0 };
    struct counter b = { 0 };
    struct counter timer = { .result = 0 };
    struct event_source *source_a;
    struct event_source *source_b;
    int fds[2];
    int copy;
    int timer_fd;

    (void)state;
    assert_int_equal(event_loop_open(&loop, NULL), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    copy = dup(fds[0]);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(event_loop_add(loop, fds[0], EPOLLIN, remove_both, &a, &source_a, NULL), 0);
    assert_int_equal(event_loop_add(loop, copy, EPOLLIN, remove_both, &b, &source_b, NULL), 0);
    a.other = source_b;
    b.other = source_a;
    timer.loop = loop;
    assert_int_equal(event_open_timer(&timer_fd, NULL), 0);
    assert_int_equal(event_set_timer(timer_fd, 1, 0, NULL), 0);
    assert_int_equal(event_loop_add(loop, timer_fd, EPOLLIN, count_and_stop, &timer, NULL, NULL),
                     0);
    assert_int_equal(event_loop_run(loop, NULL), 0);
    assert_int_equal(a.calls + b.calls, 1);
    close(timer_fd);
    close(copy);
    close(fds[0]);
    close(fds[1]);
}

static void the_error_of_a_handler_ends_the_loop(void **state)
{
    AUTO(event_loop) struct event_loop *loop = NULL;
    struct error err = { 0 };
    struct event_source *source;
    int fds[2];

    (void)state;
    assert_int_equal(event_loop_open(&loop, NULL), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(event_loop_add(loop, fds[1], 0, fail_with_a_sentence, NULL, &source, NULL), 0);
    assert_int_equal(event_source_set(source, EPOLLOUT, NULL), 0);
    assert_int_equal(event_loop_run(loop, &err), -EPROTO);
    assert_string_equal(err.message, "descriptor 1 is odd");
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(event_loop_add(loop, -1, EPOLLIN, fail_with_a_sentence, NULL, NULL, &err),
                     -EBADF);
    assert_string_equal(err.message, "watch descriptor -1: Bad file descriptor");
}

static void a_signal_is_read_from_its_descriptor(void **state)
{
    static const int signals[] = { SIGUSR1, SIGUSR2, 0 };
    struct signalfd_siginfo info;
    int fd;

    (void)state;
    assert_int_equal(event_open_signals(signals, &fd, NULL), 0);
    assert_int_equal(read(fd, &info, sizeof(info)), -1);
    kill(getpid(), SIGUSR2);
    assert_int_equal(read(fd, &info, sizeof(info)), sizeof(info));
    assert_int_equal(info.ssi_signo, SIGUSR2);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ready_descriptor_calls_its_handler),
        cmocka_unit_test(a_source_removed_by_another_is_not_called),
        cmocka_unit_test(the_error_of_a_handler_ends_the_loop),
        cmocka_unit_test(a_signal_is_read_from_its_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
