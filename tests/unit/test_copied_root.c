#include "unionfs/unionfs.h"

#include <errno.h>
#include <fcntl.h>

#include "base_test.h"
#include "unionfs/layer_mark.h"

/* As on a file system that takes no whiteouts of overlayfs: an overlay's. */
int __wrap_mknodat(int dir_fd, const char *path, mode_t mode, dev_t device);

int __wrap_mknodat(int dir_fd, const char *path, mode_t mode, dev_t device)
{
    (void)dir_fd;
    (void)path;
    (void)mode;
    (void)device;
    errno = EPERM;
    return -1;
}

struct roots {
    int top, bottom, copy, upper;
    struct timespec made;
};

static int make_folder(int dir_fd, const char *name)
{
    int fd = -1;

    assert_int_equal(path_make_directories(dir_fd, name, 0755, NULL, NULL), 0);
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* The top layer removes /gone, and hides /hidden/below. */
static void make_layers(int dir_fd, struct roots *roots)
{
    int hidden;

    roots->bottom = make_folder(dir_fd, "bottom");
    roots->top = make_folder(dir_fd, "top");
    roots->copy = make_folder(dir_fd, "copy");
    roots->upper = make_folder(dir_fd, "upper");
    close(make_folder(roots->bottom, "hidden"));
    close(make_folder(roots->bottom, "etc"));
    put_file(roots->bottom, "gone", "x");
    put_file(roots->bottom, "hidden/below", "x");
    put_file(roots->bottom, "etc/passwd", "root");
    assert_int_equal(linkat(roots->bottom, "etc/passwd", roots->bottom, "etc/other", 0), 0);
    assert_int_equal(symlinkat("etc", roots->bottom, "link"), 0);
    hidden = make_folder(roots->top, "hidden");
    put_file(hidden, "above", "y");
    assert_int_equal(layer_mark_opaque(hidden, NULL), 0);
    close(hidden);
    assert_int_equal(layer_mark_whiteout(roots->top, "gone", NULL), 0);
}

static void make_copy(int dir_fd, struct roots *roots)
{
    struct error err = { 0 };
    struct stat status;

    make_layers(dir_fd, roots);
    if (copied_root_create((const int[]){ roots->top, roots->bottom }, 2, roots->copy, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(fstat(roots->upper, &status), 0);
    /* Later than all that was made: an older time would only make the comparison longer. */
    roots->made = (struct timespec){ .tv_sec = status.st_mtim.tv_sec - 1 };
}

static void close_roots(struct roots *roots)
{
    close(roots->top);
    close(roots->bottom);
    close(roots->copy);
    close(roots->upper);
}

static bool has(int dir_fd, const char *name)
{
    struct stat status;

    return fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static void find_changes(struct roots *roots)
{
    struct error err = { 0 };

    if (copied_root_changes((const int[]){ roots->top, roots->bottom }, 2, roots->copy,
                            &roots->made, roots->upper, &err) < 0)
        fail_msg("%s", err.message);
}

static void a_mark_of_our_own_is_a_whiteout_and_an_empty_file_is_not(void **state)
{
    int dir_fd = directory_of(state);
    struct error err = { 0 };
    struct stat status;
    int fd;

    assert_int_equal(layer_mark_whiteout(dir_fd, "x", &err), 0);
    assert_int_equal(fstatat(dir_fd, "x", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(layer_mark_is_whiteout(dir_fd, "x", &status));
    assert_int_equal(layer_mark_whiteout(dir_fd, "x", &err), -EEXIST);
    fd = openat(dir_fd, "y", O_WRONLY | O_CREAT | O_CLOEXEC, 0);
    close(fd);
    assert_int_equal(fstatat(dir_fd, "y", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_false(layer_mark_is_whiteout(dir_fd, "y", &status));
    /* What fuse-overlayfs reads beside it is nothing to everybody else, and goes with it. */
    assert_int_equal(fstatat(dir_fd, ".wh.x", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(layer_mark_is_whiteout(dir_fd, ".wh.x", &status));
    layer_mark_drop_whiteout(dir_fd, "x");
    assert_int_equal(fstatat(dir_fd, ".wh.x", &status, AT_SYMLINK_NOFOLLOW), -1);
    /* So no tar can bring one. */
    assert_false(unpack_keeps_attribute("user.berth.whiteout"));
    assert_true(unpack_keeps_attribute("user.other"));
}

static void a_copy_is_what_the_layers_show(void **state)
{
    struct roots roots;
    struct stat passwd, other;

    make_copy(directory_of(state), &roots);
    assert_false(has(roots.copy, "gone"));
    assert_false(has(roots.copy, ".wh.gone"));
    assert_false(has(roots.copy, "hidden/.wh..wh..opq"));
    assert_false(has(roots.copy, "hidden/below"));
    assert_true(has(roots.copy, "hidden/above"));
    assert_true(has(roots.copy, "link"));
    assert_int_equal(fstatat(roots.copy, "etc/passwd", &passwd, 0), 0);
    assert_int_equal(fstatat(roots.copy, "etc/other", &other, 0), 0);
    assert_int_equal(passwd.st_ino, other.st_ino);
    assert_int_equal(passwd.st_size, 4);
    assert_int_equal(passwd.st_nlink, 2);
    close_roots(&roots);
}

static void a_copy_that_nobody_changed_has_no_changes(void **state)
{
    struct roots roots;

    make_copy(directory_of(state), &roots);
    find_changes(&roots);
    assert_false(has(roots.upper, "etc"));
    assert_false(has(roots.upper, "hidden"));
    assert_false(has(roots.upper, "link"));
    close_roots(&roots);
}

static void changes_are_what_an_upper_directory_would_have(void **state)
{
    struct roots roots;
    struct stat status;

    make_copy(directory_of(state), &roots);
    put_file(roots.copy, "new", "n");
    assert_int_equal(unlinkat(roots.copy, "link", 0), 0);
    assert_int_equal(fchmodat(roots.copy, "hidden", 0700, 0), 0);
    assert_int_equal(unlinkat(roots.copy, "etc/other", 0), 0);
    find_changes(&roots);
    assert_true(has(roots.upper, "new"));
    assert_int_equal(fstatat(roots.upper, "link", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(layer_mark_is_whiteout(roots.upper, "link", &status));
    assert_int_equal(fstatat(roots.upper, "hidden", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_false(has(roots.upper, "hidden/above"));
    assert_true(has(roots.upper, "etc/other"));
    assert_false(has(roots.upper, "etc/passwd"));
    close_roots(&roots);
}

static void a_change_of_bytes_alone_is_found(void **state)
{
    struct roots roots;
    struct timespec times[2];
    struct stat status;

    make_copy(directory_of(state), &roots);
    assert_int_equal(fstatat(roots.copy, "hidden/above", &status, 0), 0);
    times[0] = status.st_atim;
    times[1] = status.st_mtim;
    put_file(roots.copy, "hidden/above", "z");
    assert_int_equal(utimensat(roots.copy, "hidden/above", times, 0), 0);
    find_changes(&roots);
    assert_true(has(roots.upper, "hidden/above"));
    close_roots(&roots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_mark_of_our_own_is_a_whiteout_and_an_empty_file_is_not),
        IN_DIRECTORY(a_copy_is_what_the_layers_show),
        IN_DIRECTORY(a_copy_that_nobody_changed_has_no_changes),
        IN_DIRECTORY(changes_are_what_an_upper_directory_would_have),
        IN_DIRECTORY(a_change_of_bytes_alone_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
