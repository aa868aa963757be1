#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/base_test.h"

#include "base/wire.h"
#include "microvm/control.h"

/* Clients of control.sock, with a child in place of berth-vmm. */

#define LATE_US 50000 /* so that the client is there first; if not, the test passes anyway */

static void answer_one(int dir_fd)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    auto_close int listen_fd = -1;
    auto_close int fd = -1;

    (void)usleep(LATE_US);
    if (wire_listen(dir_fd, CONTROL_SOCKET_NEW, 0600, &listen_fd, NULL) < 0 ||
        renameat(dir_fd, CONTROL_SOCKET_NEW, dir_fd, CONTROL_SOCKET) < 0 ||
        wire_accept(listen_fd, &fd, NULL) < 0 || wire_receive(fd, message, NULL) <= 0)
        _exit(1);
    (void)wire_send(fd, CONTROL_ANSWER, "here", 4, NULL, 0, NULL);
    _exit(0);
}

static void end_late(int dir_fd)
{
    (void)dir_fd;
    (void)usleep(LATE_US);
    _exit(0);
}

static pid_t start_child(int dir_fd, void (*run)(int dir_fd), int *ret_pidfd)
{
    pid_t pid = fork();

    if (pid == 0)
        run(dir_fd);
    assert_true(pid > 0);
    *ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(*ret_pidfd >= 0);
    return pid;
}

static int ask_child(int dir_fd, void (*run)(int dir_fd), char **ret_answer, struct error *err)
{
    auto_close int pidfd = -1;
    pid_t pid = start_child(dir_fd, run, &pidfd);
    int status, r;

    r = control_ask(dir_fd, pidfd, CONTROL_PROCESSES, NULL, ret_answer, err);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return r;
}

static void who_comes_before_berth_vmm_listens_waits_for_it(void **state)
{
    auto_free char *answer = NULL;
    struct error err = { 0 };

    assert_int_equal(ask_child(directory_of(state), answer_one, &answer, &err), 0);
    assert_string_equal(answer, "here");
}

static void the_wait_ends_with_berth_vmm(void **state)
{
    auto_free char *answer = NULL;
    struct error err = { 0 };

    assert_int_equal(ask_child(directory_of(state), end_late, &answer, &err), -ESRCH);
    assert_string_equal(err.message, "container not running");
}

static void a_socket_that_berth_vmm_left_behind_is_not_waited_for(void **state)
{
    int dir_fd = directory_of(state);
    auto_free char *answer = NULL;
    struct error err = { 0 };
    int fd;

    assert_int_equal(wire_listen(dir_fd, CONTROL_SOCKET, 0600, &fd, NULL), 0);
    (void)close(fd);
    assert_int_equal(control_ask(dir_fd, CONTROL_SAME_END, CONTROL_PROCESSES, NULL, &answer, &err),
                     -ESRCH);
    assert_string_equal(err.message, "container not running");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(who_comes_before_berth_vmm_listens_waits_for_it),
        IN_DIRECTORY(the_wait_ends_with_berth_vmm),
        IN_DIRECTORY(a_socket_that_berth_vmm_left_behind_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
