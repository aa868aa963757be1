#include "base/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/base_test.h"

/* What a sandbox takes away does not come back: each test enters it in a child, which ends with 0
 * when all is as it should be, else with a number that says what is not. */
static int status_in_sandbox(int (*run)(void))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(sandbox_enter_pipe(NULL) < 0 ? 100 : run());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* --- what is denied --------------------------------------------------------------------------- */

static int open_files(void)
{
    static const char *const paths[] = { "/", "/etc/passwd", "/dev/null", "/proc/self/mem", "." };

    for (int i = 0; i < (int)ARRAY_SIZE(paths); i++) {
        if (open(paths[i], O_RDONLY | O_CLOEXEC) >= 0)
            return 1 + i;
    }
    if (open("/tmp/berth-test-sandbox", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
        return 20;
    return 0;
}

static void no_file_can_be_opened(void **state)
{
    (void)state;
    assert_int_equal(status_in_sandbox(open_files), 0);
}

static int call_others(void)
{
    static const struct {
        long number, arguments[3];
    } calls[] = {
        { SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
        { SYS_execve, { 0, 0, 0 } },
        { SYS_clone, { SIGCHLD, 0, 0 } },
        { SYS_newfstatat, { AT_FDCWD, (long)"/", 0 } },
        { SYS_memfd_create, { (long)"x", 0, 0 } },
        { SYS_dup, { 0, 0, 0 } },
        { SYS_ioctl, { 0, 0, 0 } },
        { SYS_kill, { 1, 0, 0 } },
        { SYS_unshare, { 0, 0, 0 } },
        { SYS_ptrace, { 0, 0, 0 } },
        { SYS_mprotect, { 0, 0, 0 } },
        { SYS_prctl, { 0, 0, 0 } },
    };

    for (int i = 0; i < (int)ARRAY_SIZE(calls); i++) {
        if (syscall(calls[i].number, calls[i].arguments[0], calls[i].arguments[1],
                    calls[i].arguments[2], 0, 0) != -1 ||
            errno != EPERM)
            return 1 + i;
    }
    return 0;
}

static void calls_that_it_does_not_need_fail(void **state)
{
    (void)state;
    if (SANDBOX_HAS_SANITIZERS)
        return; /* no filter there */
    assert_int_equal(status_in_sandbox(call_others), 0);
}

static int take_much_memory(void)
{
    return mmap(NULL, 1ull << 31, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? 0
                                                                                               : 1;
}

static void memory_has_a_limit(void **state)
{
    (void)state;
    if (SANDBOX_HAS_SANITIZERS)
        return; /* they map terabytes */
    assert_int_equal(status_in_sandbox(take_much_memory), 0);
}

/* --- what is left ----------------------------------------------------------------------------- */

static int work(void)
{
    char *bytes = malloc(64u << 20);

    if (bytes == NULL)
        return 1;
    memset(bytes, 1, 64u << 20);
    bytes = realloc(bytes, 128u << 20);
    if (bytes == NULL)
        return 2;
    free(bytes);
    if (read(STDIN_FILENO, NULL, 0) < 0)
        return 3;
    return write(STDOUT_FILENO, "", 0) < 0 ? 4 : 0;
}

static void it_can_read_write_and_have_memory(void **state)
{
    (void)state;
    assert_int_equal(status_in_sandbox(work), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file_can_be_opened),
        cmocka_unit_test(calls_that_it_does_not_need_fail),
        cmocka_unit_test(memory_has_a_limit),
        cmocka_unit_test(it_can_read_write_and_have_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
