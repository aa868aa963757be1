#include "base/path.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/path_walk.h"
#include "tests/unit/base_test.h"

static void nothing_outside_is_opened_beneath(void **state)
{
    static const char *const bad[] = { "..", "../x", "/etc", "a/../../x", "link", "link/passwd" };
    int dir_fd = directory_of(state);
    struct error err = { 0 };
    int fd;

    mkdirat(dir_fd, "a", 0755);
    put_file(dir_fd, "a/file", "x");
    assert_int_equal(symlinkat("/etc", dir_fd, "link"), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (path_open_beneath(dir_fd, bad[i], O_RDONLY, 0, &fd, &err) >= 0)
            fail_msg("%s is opened", bad[i]);
    }
    assert_int_equal(path_open_beneath(dir_fd, "../x", O_RDONLY, 0, &fd, &err), -EXDEV);
    assert_string_equal(err.message, "open '../x': it leads out of its directory or file system");
    assert_int_equal(path_open_beneath(dir_fd, "link", O_RDONLY, 0, &fd, &err), -ELOOP);
    assert_string_equal(err.message, "open 'link': a symbolic link is in the way");
    assert_int_equal(path_open_beneath(dir_fd, "none", O_RDONLY, 0, &fd, &err), -ENOENT);
    assert_string_equal(err.message, "open 'none': No such file or directory");
    assert_int_equal(path_open_beneath(dir_fd, "a/file", O_RDONLY, 0644, &fd, &err), 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    assert_int_equal(path_open_beneath(dir_fd, "new", O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, &err),
                     0);
    close(fd);
    assert_int_equal(path_open_beneath(dir_fd, "new", O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, &err),
                     -EEXIST);
}

static void links_are_resolved_inside_the_root(void **state)
{
    int dir_fd = directory_of(state);
    struct stat found;
    struct stat wanted;
    int fd;

    mkdirat(dir_fd, "etc", 0755);
    put_file(dir_fd, "etc/passwd", "ours");
    assert_int_equal(symlinkat("/etc", dir_fd, "absolute"), 0);
    assert_int_equal(symlinkat("../../../../etc/passwd", dir_fd, "climber"), 0);
    assert_int_equal(symlinkat("loop", dir_fd, "loop"), 0);
    fstatat(dir_fd, "etc/passwd", &wanted, 0);
    for (size_t i = 0; i < 3; i++) {
        static const char *const names[] = { "/absolute/passwd", "climber", "../../etc/passwd" };

        assert_int_equal(path_open_in_root(dir_fd, names[i], O_RDONLY, 0, &fd, NULL), 0);
        fstat(fd, &found);
        assert_int_equal(found.st_ino, wanted.st_ino);
        close(fd);
    }
    assert_int_equal(path_open_in_root(dir_fd, "loop", O_RDONLY, 0, &fd, NULL), -ELOOP);
    assert_int_equal(path_open_in_root(dir_fd, "etc/passwd/x", O_RDONLY, 0, &fd, NULL), -ENOTDIR);
    assert_int_equal(path_open_in_root(dir_fd, "etc/none", O_RDONLY, 0, &fd, NULL), -ENOENT);
}

static void missing_directories_are_made(void **state)
{
    int dir_fd = directory_of(state);
    struct error err = { 0 };
    struct stat status;
    int fd;

    assert_int_equal(path_make_directories(dir_fd, "/a/b//c/", 0755, &fd, &err), 0);
    assert_true(fcntl(fd, F_GETFL) & O_PATH);
    close(fd);
    assert_int_equal(fstatat(dir_fd, "a/b/c", &status, 0), 0);
    assert_int_equal(path_make_directories(dir_fd, "a/b/c/../d", 0755, NULL, &err), 0);
    assert_int_equal(fstatat(dir_fd, "a/b/d", &status, 0), 0);
    assert_int_equal(path_make_directories(dir_fd, "", 0755, NULL, &err), 0);
    put_file(dir_fd, "file", "x");
    assert_int_equal(path_make_directories(dir_fd, "file/x", 0755, NULL, &err), -ENOTDIR);
    assert_string_equal(err.message, "make the directory 'file/x': Not a directory");
    assert_int_equal(err.code, ENOTDIR);
}

static void directories_behind_links_are_made_inside_the_root(void **state)
{
    int dir_fd = directory_of(state);
    struct error err = { 0 };
    struct stat status;

    assert_int_equal(symlinkat("/run/deep", dir_fd, "link"), 0);
    assert_int_equal(symlinkat("../../../../../outside", dir_fd, "climber"), 0);
    assert_int_equal(symlinkat("circle", dir_fd, "circle"), 0);
    mkdirat(dir_fd, "usr", 0755);
    assert_int_equal(symlinkat("../opt", dir_fd, "usr/opt"), 0);
    assert_int_equal(path_make_directories(dir_fd, "link/x", 0755, NULL, &err), 0);
    assert_int_equal(fstatat(dir_fd, "run/deep/x", &status, 0), 0);
    assert_int_equal(path_make_directories(dir_fd, "/climber/x", 0755, NULL, &err), 0);
    assert_int_equal(fstatat(dir_fd, "outside/x", &status, 0), 0);
    assert_int_equal(path_make_directories(dir_fd, "usr/opt/x", 0755, NULL, &err), 0);
    assert_int_equal(fstatat(dir_fd, "opt/x", &status, 0), 0);
    assert_int_equal(path_make_directories(dir_fd, "circle/x", 0755, NULL, &err), -ELOOP);
    assert_int_equal(err.code, ELOOP);
}

static void a_success_leaves_no_error(void **state)
{
    struct error err = { 0 };

    assert_int_equal(path_make_directories(directory_of(state), "x/y", 0755, NULL, &err), 0);
    assert_int_equal(path_make_file(directory_of(state), "x/z/f", 0644, NULL, &err), 0);
    assert_int_equal(err.code, 0);
}

static void a_file_is_made_unless_something_is_there(void **state)
{
    int dir_fd = directory_of(state);
    struct error err = { 0 };
    struct stat status;
    int fd;

    assert_int_equal(path_make_file(dir_fd, "/etc/x/hosts", 0644, &fd, &err), 0);
    assert_int_equal(fstat(fd, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    close(fd);
    mkdirat(dir_fd, "dir", 0755);
    assert_int_equal(path_make_file(dir_fd, "dir", 0644, NULL, &err), 0);
    assert_int_equal(symlinkat("/run/resolv.conf", dir_fd, "resolv.conf"), 0);
    assert_int_equal(path_make_file(dir_fd, "resolv.conf", 0644, NULL, &err), 0);
    assert_int_equal(fstatat(dir_fd, "run/resolv.conf", &status, 0), 0);
    assert_int_equal(path_make_file(dir_fd, "new/", 0644, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "make the file 'new/': the name of a file is missing");
}

static void a_tree_is_removed_but_not_what_its_links_name(void **state)
{
    int dir_fd = directory_of(state);
    struct stat status;

    path_make_directories(dir_fd, "tree/a/b", 0755, NULL, NULL);
    mkdirat(dir_fd, "outside", 0755);
    put_file(dir_fd, "outside/file", "x");
    put_file(dir_fd, "tree/a/file", "x");
    assert_int_equal(symlinkat("../../outside", dir_fd, "tree/a/link"), 0);
    assert_int_equal(symlinkat("outside", dir_fd, "link"), 0);
    assert_int_equal(path_remove_tree(dir_fd, "tree", NULL), 0);
    assert_int_equal(fstatat(dir_fd, "tree", &status, 0), -1);
    assert_int_equal(path_remove_tree(dir_fd, "link", NULL), 0);
    assert_int_equal(fstatat(dir_fd, "outside/file", &status, 0), 0);
    assert_int_equal(path_remove_tree(dir_fd, "outside/file", NULL), 0);
    assert_int_equal(path_remove_tree(dir_fd, "none", NULL), 0);
    assert_int_equal(path_remove_tree(dir_fd, "none/x", NULL), 0);
}

static void a_tree_of_any_depth_and_width_is_removed(void **state)
{
    int dir_fd = directory_of(state);
    struct error err = { 0 };
    struct stat status;
    int fd = dup(dir_fd);

    for (int i = 0; i < 3000; i++) {
        int next;

        assert_int_equal(mkdirat(fd, "d", 0755), 0);
        if (i % 100 == 0)
            put_file(fd, "file", "x");
        next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    close(fd);
    for (int i = 0; i < 500; i++) {
        auto_free char *name = xasprintf("d/a-file-with-a-rather-long-name-%d", i);

        put_file(dir_fd, name, "");
    }
    if (path_remove_tree(dir_fd, "d", &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(fstatat(dir_fd, "d", &status, 0), -1);
}

static void two_may_remove_a_tree_at_once(void **state)
{
    int dir_fd = directory_of(state);
    int status = -1;
    pid_t pid;

    for (int i = 0; i < 2000; i++) {
        auto_free char *name = xasprintf("tree/%d/%d", i / 50, i);

        path_make_directories(dir_fd, name, 0755, NULL, NULL);
    }
    pid = fork();
    if (pid == 0)
        _exit(path_remove_tree(dir_fd, "tree", NULL) < 0);
    assert_true(pid > 0);
    assert_int_equal(path_remove_tree(dir_fd, "tree", NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void paths_are_joined(void **state)
{
    static const char *const rows[][3] = {
        { "a", "b", "a/b" }, { "a/", "/b", "a/b" }, { "/", "b", "/b" },
        { "//", "b", "/b" }, { "", "b", "b" },      { "/a", "", "/a/" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *joined = path_join(rows[i][0], rows[i][1]);

        assert_string_equal(joined, rows[i][2]);
    }
}

static void paths_are_cleaned(void **state)
{
    static const char *const rows[][2] = {
        { "/a/./b//../c", "/a/c" },
        { "/", "/" },
        { "/..", "/" },
        { "/../../a", "/a" },
        { "", "." },
        { ".", "." },
        { "a/..", "." },
        { "../a", "../a" },
        { "../../a/..", "../.." },
        { "a/../../b", "../b" },
        { "a/b/", "a/b" },
        { "//a//b", "/a/b" },
        { "/a/b/../..", "/" },
        { "/a..b/.c", "/a..b/.c" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *clean = path_clean(rows[i][0]);

        assert_string_equal(clean, rows[i][1]);
    }
}

static void only_normal_paths_are_normal(void **state)
{
    static const char *const good[] = { "/", "/a", "/a/b", "/a/..b", "/..." };
    static const char *const bad[] = { "", "a", "/a/", "//", "/a//b", "/a/./b", "/a/..", "/." };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(path_is_normal(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (path_is_normal(bad[i]))
            fail_msg("%s is normal", bad[i]);
    }
}

static void a_host_directory_is_created_with_its_parents(void **state)
{
    struct test_directory *directory = *state;
    auto_free char *path = xasprintf("%s/p/q/r", directory->path);
    auto_free char *file = xasprintf("%s/file", directory->path);
    struct stat status;
    int fd = -1;

    assert_int_equal(path_create_directory(path, 0700, &fd, NULL), 0);
    fstat(fd, &status);
    assert_int_equal(status.st_mode & 0777, 0700);
    close(fd);
    assert_int_equal(path_create_directory(path, 0700, NULL, NULL), 0);
    put_file(directory->fd, "file", "x");
    assert_int_equal(path_create_directory(file, 0700, NULL, NULL), -ENOTDIR);
}

/* From now on openat2(2) fails as in a sandbox that does not know it. */
static void deny_openat2(void **state)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };
    struct open_how how = { .flags = O_PATH };

    (void)state;
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    assert_int_equal(syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how)), -1);
    assert_int_equal(errno, ENOSYS);
}

/* What openat2(2) and the walk say of the same paths is the same. */
static void the_walk_finds_what_the_kernel_finds(void **state)
{
    static const char *const paths[] = {
        "",
        ".",
        "/",
        "..",
        "a",
        "a/",
        "/a",
        "a/b",
        "a/b/",
        "a/b/..",
        "a/../a/b",
        "a/b/../../..",
        "a/file",
        "a/file/",
        "a/file/x",
        "a/none",
        "none/x",
        "up",
        "up/a",
        "deep",
        "deep/file",
        "dangling",
        "loop",
        "loop/x",
        "self/fd",
        "a//b",
        "./a/./b",
        "slash/",
        "climb/a/file",
        "new",
        "dangling/new",
        "chain",
        "leaf",
        "leaf/",
        "leaf/x",
    };
    static const int flags[] = { O_PATH, O_PATH | O_NOFOLLOW, O_RDONLY, O_RDONLY | O_DIRECTORY,
                                 O_RDWR };
    static const uint64_t resolves[] = {
        RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    int dir_fd = directory_of(state);

    mkdirat(dir_fd, "a", 0755);
    mkdirat(dir_fd, "a/b", 0755);
    put_file(dir_fd, "a/file", "x");
    assert_int_equal(symlinkat("..", dir_fd, "up"), 0);
    assert_int_equal(symlinkat("/a/b/..", dir_fd, "deep"), 0);
    assert_int_equal(symlinkat("/nowhere", dir_fd, "dangling"), 0);
    assert_int_equal(symlinkat("loop", dir_fd, "loop"), 0);
    assert_int_equal(symlinkat("/proc/self", dir_fd, "self"), 0);
    assert_int_equal(symlinkat("a/b/", dir_fd, "slash"), 0);
    assert_int_equal(symlinkat("../../../..", dir_fd, "climb"), 0);
    assert_int_equal(symlinkat("deep/../slash", dir_fd, "chain"), 0);
    assert_int_equal(symlinkat("a/file", dir_fd, "leaf"), 0);
    for (size_t i = 0; i < ARRAY_SIZE(paths) * ARRAY_SIZE(flags) * ARRAY_SIZE(resolves); i++) {
        const char *path = paths[i % ARRAY_SIZE(paths)];
        int flag = flags[i / ARRAY_SIZE(paths) % ARRAY_SIZE(flags)] | O_CLOEXEC;
        uint64_t resolve = resolves[i / ARRAY_SIZE(paths) / ARRAY_SIZE(flags)];
        struct open_how how = { .flags = (uint64_t)flag, .resolve = resolve };
        int fd, code;
        int walked = path_walk(dir_fd, path, flag, 0, resolve);
        int walked_code = walked < 0 ? errno : 0;
        struct stat one = { 0 }, other = { 0 };

        do /* a mount or rename anywhere on the machine while it walks ".." (openat2(2)) */
            fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        while (fd < 0 && errno == EAGAIN);
        code = fd < 0 ? errno : 0;
        if (fd >= 0)
            (void)fstat(fd, &one);
        if (walked >= 0)
            (void)fstat(walked, &other);
        if (code != walked_code || one.st_ino != other.st_ino || one.st_dev != other.st_dev)
            fail_msg("'%s' with flags %o, resolve %lx: %s, but walked: %s", path, (unsigned)flag,
                     (unsigned long)resolve, strerror(code), strerror(walked_code));
        close(fd);
        close(walked);
    }
    assert_int_equal(
        path_walk(dir_fd, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600, resolves[0]) >= 0, true);
    assert_int_equal(faccessat(dir_fd, "new", F_OK, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(nothing_outside_is_opened_beneath),
        IN_DIRECTORY(links_are_resolved_inside_the_root),
        IN_DIRECTORY(missing_directories_are_made),
        IN_DIRECTORY(directories_behind_links_are_made_inside_the_root),
        IN_DIRECTORY(a_success_leaves_no_error),
        IN_DIRECTORY(a_file_is_made_unless_something_is_there),
        IN_DIRECTORY(a_tree_is_removed_but_not_what_its_links_name),
        IN_DIRECTORY(a_tree_of_any_depth_and_width_is_removed),
        IN_DIRECTORY(two_may_remove_a_tree_at_once),
        cmocka_unit_test(paths_are_joined),
        cmocka_unit_test(paths_are_cleaned),
        cmocka_unit_test(only_normal_paths_are_normal),
        IN_DIRECTORY(a_host_directory_is_created_with_its_parents),
    };
    const struct CMUnitTest comparison[] = { IN_DIRECTORY(the_walk_finds_what_the_kernel_finds) };

    const struct CMUnitTest denial[] = { cmocka_unit_test(deny_openat2) };
    int failed;

    /* All of it once more without openat2(2), which cannot be had back. */
    failed = cmocka_run_group_tests_name("path", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("path, compared", comparison, NULL, NULL);
    failed += cmocka_run_group_tests_name("without openat2", denial, NULL, NULL);
    return failed + cmocka_run_group_tests_name("path, walked", tests, NULL, NULL);
}
