#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/auto.h"
#include "base/file.h"
#include "tests/unit/base_test.h"

static void signals_have_names_and_numbers(void **state)
{
    static const struct {
        const char *text;
        int number;
    } rows[] = {
        { "TERM", SIGTERM },   { "SIGTERM", SIGTERM }, { "sigterm", SIGTERM },
        { "15", 15 },          { "KILL", SIGKILL },    { "1", 1 },
        { "64", 64 },          { "RTMIN", 34 },        { "RTMIN+3", 37 },
        { "SIGRTMIN+20", 54 }, { "RTMAX-1", 63 },      { "rtmax", 64 },
        { "RTMAX-30", 34 },    { "CLD", SIGCHLD },     { "IOT", SIGABRT },
    };
    static const char *const bad[] = { "",  "0",  "65",       "-1",       "SIG",
                                       "X", " 9", "RTMIN+31", "RTMAX-31", "SIGSIGTERM" };
    struct error err = { 0 };
    int number;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (process_parse_signal(rows[i].text, &number, &err) < 0 || number != rows[i].number)
            fail_msg("%s: %s", rows[i].text, err.message);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (process_parse_signal(bad[i], &number, &err) != -EINVAL)
            fail_msg("%s is taken", bad[i]);
    }
    process_parse_signal("FOO", &number, &err);
    assert_string_equal(err.message,
                        "'FOO' is not a signal: a name such as TERM or a number from 1 to 64");
}

static void each_name_leads_back_to_its_number(void **state)
{
    (void)state;
    for (int i = 1; i <= 64; i++) {
        const char *name = process_signal_name(i);
        int number = 0;

        if (name == NULL)
            continue; /* 32 and 33 belong to the C library */
        assert_int_equal(process_parse_signal(name, &number, NULL), 0);
        assert_int_equal(number, i);
    }
    assert_null(process_signal_name(0));
    assert_null(process_signal_name(-1));
    assert_null(process_signal_name(65));
    assert_string_equal(process_signal_name(SIGTERM), "SIGTERM");
}

static void a_process_is_known_by_pid_and_start_time(void **state)
{
    struct error err = { 0 };
    uint64_t start;
    int pidfd;

    (void)state;
    assert_int_equal(process_start_time(getpid(), &start, &err), 0);
    assert_true(start > 0);
    assert_int_equal(process_open(getpid(), start, &pidfd, &err), 0);
    assert_int_equal(process_send_signal(pidfd, 0, &err), 0);
    assert_int_equal(process_wait_end(pidfd, 0, &err), 0);
    close(pidfd);
    assert_int_equal(process_open(getpid(), start + 1, &pidfd, &err), -ESRCH);
    assert_int_equal(process_open(0, 1, &pidfd, &err), -ESRCH);
    assert_int_equal(process_open(-1, 1, &pidfd, &err), -ESRCH);
    assert_string_equal(err.message, "process -1 does not exist");
}

static void threads_of_the_kernel_are_told_from_processes(void **state)
{
    auto_free char *name = NULL;

    (void)state;
    /* Not there in a pid namespace. */
    if (file_read_kernel(AT_FDCWD, "/proc/2/comm", &name, NULL) == 0)
        assert_int_equal(process_is_kernel_thread(2), strcmp(name, "kthreadd") == 0);
    assert_false(process_is_kernel_thread(getpid()));
    assert_false(process_is_kernel_thread(0));
}

static void a_zombie_has_ended(void **state)
{
    struct error err = { 0 };
    uint64_t start;
    int pidfd = -1;
    int fds[2];
    pid_t child;

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        char byte;

        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 0 ? 3 : 1);
    }
    close(fds[0]);
    assert_int_equal(process_start_time(child, &start, &err), 0);
    assert_int_equal(process_open(child, start, &pidfd, &err), 0);
    assert_int_equal(process_wait_end(pidfd, 1, &err), 0);
    close(fds[1]);
    assert_int_equal(process_wait_end(pidfd, UINT32_MAX, &err), 1);
    close(pidfd);
    assert_int_equal(process_open(child, start, &pidfd, &err), -ESRCH);
    waitpid(child, NULL, 0);
    assert_int_equal(process_open(child, start, &pidfd, &err), -ESRCH);
    assert_int_equal(process_start_time(child, &start, &err), -ESRCH);
}

static void a_stopped_process_is_told_from_others(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        (void)raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(process_is_stopped(child));
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(process_is_stopped(child));
    assert_false(process_is_stopped(getpid()));
}

static int run(const char *script, const int fds[3])
{
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    struct error err = { 0 };
    int status = -1;

    strings_add(&arguments, "sh");
    strings_add(&arguments, "-c");
    strings_add(&arguments, script);
    if (process_run(&arguments, fds, &status, &err) < 0)
        fail_msg("%s", err.message);
    return status;
}

static void the_status_of_a_program_is_that_of_a_shell(void **state)
{
    (void)state;
    assert_int_equal(run("exit 0", NULL), 0);
    assert_int_equal(run("exit 42", NULL), 42);
    assert_int_equal(run("kill -TERM $$", NULL), 143);
}

static void a_program_that_cannot_run_is_an_error(void **state)
{
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    struct error err = { 0 };
    int status = -7;

    (void)state;
    strings_add(&arguments, "/nonexistent/program");
    assert_int_equal(process_run(&arguments, NULL, &status, &err), -ENOENT);
    assert_string_equal(err.message, "run '/nonexistent/program': No such file or directory");
    assert_int_equal(status, -7);
}

static void descriptors_become_those_of_the_program(void **state)
{
    int fds[2];
    char text[16] = "";

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(run("read x; echo \"<$x>\"", (const int[]){ -1, fds[1], 2 }), 0);
    assert_int_equal(read(fds[0], text, sizeof(text) - 1), 3);
    assert_string_equal(text, "<>\n");
    close(fds[0]);
    close(fds[1]);
}

static void a_fourth_descriptor_is_number_three_of_the_program(void **state)
{
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    struct error err = { 0 };
    char text[16] = "";
    int first[2];
    int second[2];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe2(first, O_CLOEXEC), 0);
    assert_int_equal(pipe2(second, O_CLOEXEC), 0);
    strings_add(&arguments, "sh");
    strings_add(&arguments, "-c");
    strings_add(&arguments, "echo out; echo three >&3");
    assert_int_equal(process_spawn_with_four(
                         &arguments, (const int[]){ -1, first[1], 2, second[1] }, &pid, &err),
                     0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(read(first[0], text, sizeof(text) - 1), 4);
    assert_string_equal(text, "out\n");
    assert_int_equal(read(second[0], text, sizeof(text) - 1), 6);
    assert_string_equal(text, "three\n");
    for (int i = 0; i < 2; i++) {
        close(first[i]);
        close(second[i]);
    }
}

static void descriptors_that_cross_each_other_arrive(void **state)
{
    int saved[3];
    int in[2];
    int out[2];
    char text[16] = "";
    ssize_t length;
    int status;

    (void)state;
    for (int i = 0; i < 3; i++)
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(write(in[1], "abc\n", 4), 4);
    dup2(in[0], 1);
    dup2(out[1], 0);
    status = run("read x; echo $x", (const int[]){ 1, 0, saved[2] });
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    assert_int_equal(status, 0);
    length = read(out[0], text, sizeof(text) - 1);
    assert_int_equal(length, 4);
    assert_string_equal(text, "abc\n");
    for (int i = 0; i < 2; i++) {
        close(in[i]);
        close(out[i]);
    }
}

static void blocked_signals_are_not_inherited(void **state)
{
    sigset_t set;
    int status;

    (void)state;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    status = run("kill -TERM $$; exit 3", NULL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    assert_int_equal(status, 143);
}

static void a_helper_is_found_where_the_variable_says(void **state)
{
    struct test_directory *directory = *state;
    auto_free char *path = NULL;
    auto_free char *wanted = xasprintf("%s/berth-helper", directory->path);
    struct error err = { 0 };

    setenv("BERTH_LIBEXEC", directory->path, 1);
    put_file(directory->fd, "berth-helper", "");
    assert_int_equal(process_find_helper("berth-helper", &path, &err), -ENOENT);
    assert_non_null(strstr(err.message, "the program berth-helper is neither in '"));
    assert_int_equal(fchmodat(directory->fd, "berth-helper", 0755, 0), 0);
    assert_int_equal(process_find_helper("berth-helper", &path, &err), 0);
    assert_string_equal(path, wanted);
    unsetenv("BERTH_LIBEXEC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_have_names_and_numbers),
        cmocka_unit_test(each_name_leads_back_to_its_number),
        cmocka_unit_test(a_process_is_known_by_pid_and_start_time),
        cmocka_unit_test(threads_of_the_kernel_are_told_from_processes),
        cmocka_unit_test(a_zombie_has_ended),
        cmocka_unit_test(a_stopped_process_is_told_from_others),
        cmocka_unit_test(the_status_of_a_program_is_that_of_a_shell),
        cmocka_unit_test(a_program_that_cannot_run_is_an_error),
        cmocka_unit_test(descriptors_become_those_of_the_program),
        cmocka_unit_test(a_fourth_descriptor_is_number_three_of_the_program),
        cmocka_unit_test(descriptors_that_cross_each_other_arrive),
        cmocka_unit_test(blocked_signals_are_not_inherited),
        IN_DIRECTORY(a_helper_is_found_where_the_variable_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
