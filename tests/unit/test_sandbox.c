#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/auto.h"
#include "tests/unit/base_test.h"

/* What a sandbox takes away does not come back: each test gives it up in a child. */
static int status_of_child(int (*run)(void))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int begin(void)
{
    if (sandbox_begin(NULL) < 0)
        return 1;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 2;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 3;
}

static void begin_sets_no_new_privs(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(begin), 0);
}

static int limit(void)
{
    struct rlimit now;

    if (sandbox_limit(RLIMIT_NOFILE, "nofile", 20, NULL) < 0)
        return 1;
    /* More than the hard limit is not asked for. */
    if (sandbox_limit(RLIMIT_NOFILE, "nofile", 30, NULL) < 0)
        return 2;
    if (getrlimit(RLIMIT_NOFILE, &now) < 0)
        return 3;
    return now.rlim_cur == 20 && now.rlim_max == 20 ? 0 : 4;
}

static void a_limit_is_never_raised(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(limit), 0);
}

static int use_paths(void)
{
    auto_close int allowed = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct sandbox_paths paths;

    if (sandbox_begin(NULL) < 0 || sandbox_paths_begin(&paths, 1, NULL) < 0)
        return 1;
    if (paths.ruleset_fd < 0)
        return 0; /* no Landlock: nothing is promised */
    if (sandbox_paths_allow(&paths, allowed,
                            LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR, "/etc",
                            NULL) < 0)
        return 2;
    if (sandbox_paths_enforce(&paths, NULL) < 0 || paths.ruleset_fd != -1)
        return 3;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0)
        return 4;
    if (open("/etc/passwd", O_RDWR | O_CLOEXEC) >= 0 || errno != EACCES)
        return 5;
    return open("/usr/bin", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == EACCES ? 0 : 6;
}

static void only_allowed_paths_open(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(use_paths), 0);
}

static int refuse_getppid(void *filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EXDEV), SCMP_SYS(getppid), 0);
}

static int filter(void)
{
    static const int calls[] = { SCMP_SYS(exit_group), SCMP_SYS(write), __NR_SCMP_UNDEF };

    if (sandbox_begin(NULL) < 0 ||
        sandbox_filter(calls, ARRAY_SIZE(calls), refuse_getppid, NULL) < 0)
        return 1;
    if (SANDBOX_HAS_SANITIZERS)
        return 0;
    if (syscall(SYS_getppid) != -1 || errno != EXDEV)
        return 2;
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EPERM ? 0 : 3;
}

static void calls_that_are_not_listed_fail(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(filter), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begin_sets_no_new_privs),
        cmocka_unit_test(a_limit_is_never_raised),
        cmocka_unit_test(only_allowed_paths_open),
        cmocka_unit_test(calls_that_are_not_listed_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
