#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/unit/base_test.h"

static void a_file_is_read_whole(void **state)
{
    auto_free char *text = NULL;
    auto_free char *empty = NULL;
    size_t length;

    put_file(directory_of(state), "file", "some text");
    put_file(directory_of(state), "empty", "");
    assert_int_equal(file_read(directory_of(state), "file", 9, &text, &length, NULL), 0);
    assert_string_equal(text, "some text");
    assert_int_equal(length, 9);
    assert_int_equal(file_read(directory_of(state), "empty", 9, &empty, NULL, NULL), 0);
    assert_string_equal(empty, "");
}

static void what_is_no_small_regular_file_is_not_read(void **state)
{
    int dir_fd = directory_of(state);
    char *text = NULL;
    struct error err = { 0 };

    put_file(dir_fd, "file", "some text");
    mkfifoat(dir_fd, "fifo", 0600);
    mkdirat(dir_fd, "dir", 0700);
    assert_int_equal(file_read(dir_fd, "file", 8, &text, NULL, &err), -EFBIG);
    assert_string_equal(err.message, "read 'file': it has more than 8 bytes");
    assert_int_equal(file_read(dir_fd, "fifo", 8, &text, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "read 'fifo': it is not a regular file");
    assert_int_equal(file_read(dir_fd, "dir", 8, &text, NULL, &err), -EISDIR);
    assert_int_equal(file_read(dir_fd, "none", 8, &text, NULL, &err), -ENOENT);
    assert_string_equal(err.message, "open 'none': No such file or directory");
    assert_null(text);
}

static void kernel_values_lose_one_newline_and_are_written_in_place(void **state)
{
    int dir_fd = directory_of(state);
    auto_free char *text = NULL;
    struct error err = { 0 };

    put_file(dir_fd, "value", "max\n\n");
    assert_int_equal(file_read_kernel(dir_fd, "value", &text, NULL), 0);
    assert_string_equal(text, "max\n");
    assert_int_equal(file_write_kernel(dir_fd, "value", "17", &err), 0);
    assert_int_equal(file_write_kernel(dir_fd, "none", "17", &err), -ENOENT);
    assert_string_equal(err.message, "open 'none' to write '17': No such file or directory");
}

static void a_piece_is_read_whole_however_long_it_is(void **state)
{
    static const size_t lengths[] = { 0, 1, 4094, 4095, 4096, 4097, 100000 };

    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        auto_free char *written = xcalloc(lengths[i] + 2, 1);
        auto_free char *text = NULL;

        memset(written, 'x', lengths[i]);
        written[lengths[i]] = '\n';
        put_file(directory_of(state), "piece", written);
        assert_int_equal(file_read_piece(directory_of(state), "piece", &text, NULL), 0);
        written[lengths[i]] = '\0';
        assert_string_equal(text, written);
    }
}

static void a_file_is_replaced_at_once_and_nothing_stays_beside_it(void **state)
{
    int dir_fd = directory_of(state);
    auto_free char *text = NULL;
    struct dirent **names;
    struct stat status;

    put_file(dir_fd, "file", "old and longer");
    assert_int_equal(file_replace(dir_fd, "file", "new", 3, 0666, FILE_SYNC_NONE, NULL), 0);
    assert_int_equal(file_read(dir_fd, "file", 100, &text, NULL, NULL), 0);
    assert_string_equal(text, "new");
    assert_int_equal(fstatat(dir_fd, "file", &status, 0), 0);
    assert_int_equal(status.st_mode & 07777, 0666);
    mkdirat(dir_fd, "sub", 0700);
    assert_int_equal(file_replace(dir_fd, "sub/file", "x", 1, 0600, FILE_SYNC_DATA, NULL), 0);
    assert_int_equal(fstatat(dir_fd, "sub/file", &status, 0), 0);
    assert_int_equal(scandirat(dir_fd, ".", &names, NULL, alphasort), 4);
    for (int i = 0; i < 4; i++)
        free(names[i]);
    free(names);
}

static void a_failed_replacement_leaves_nothing(void **state)
{
    int dir_fd = directory_of(state);
    struct error err = { 0 };
    struct dirent **names;

    mkdirat(dir_fd, "taken", 0700);
    assert_int_equal(file_replace(dir_fd, "taken", "x", 1, 0600, FILE_SYNC_NONE, &err), -EISDIR);
    assert_string_equal(err.message, "write 'taken': rename to 'taken': Is a directory");
    assert_int_equal(file_replace(dir_fd, "none/x", "x", 1, 0600, FILE_SYNC_NONE, &err), -ENOENT);
    assert_int_equal(scandirat(dir_fd, ".", &names, NULL, alphasort), 3);
    for (int i = 0; i < 3; i++)
        free(names[i]);
    free(names);
}

static void a_lock_keeps_others_out_until_it_is_closed(void **state)
{
    int dir_fd = directory_of(state);
    struct error err = { 0 };
    int first;
    int second = -1;

    assert_int_equal(file_is_locked(dir_fd, "lock", &err), 0);
    assert_int_equal(file_lock(dir_fd, "lock", true, 0, &first, &err), 0);
    assert_int_equal(file_is_locked(dir_fd, "lock", &err), 1);
    assert_int_equal(file_lock(dir_fd, "lock", true, 0, &second, &err), -EAGAIN);
    assert_string_equal(err.message, "'lock' is locked by another process");
    assert_int_equal(file_lock(dir_fd, "lock", false, 5, &second, &err), -ETIMEDOUT);
    assert_string_equal(err.message, "'lock' is still locked by another process after 5 ms");
    assert_int_equal(second, -1);
    close(first);
    assert_int_equal(file_is_locked(dir_fd, "lock", &err), 0);
    assert_int_equal(file_lock(dir_fd, "lock", true, 5, &second, &err), 0);
    close(second);
}

static void readers_share_a_lock(void **state)
{
    int dir_fd = directory_of(state);
    int first;
    int second;
    int third;

    assert_int_equal(file_lock(dir_fd, "lock", false, 0, &first, NULL), 0);
    assert_int_equal(file_lock(dir_fd, "lock", false, 0, &second, NULL), 0);
    assert_int_equal(file_lock(dir_fd, "lock", true, 0, &third, NULL), -EAGAIN);
    close(first);
    close(second);
}

static void a_lock_that_was_removed_by_its_holder_is_taken_anew(void **state)
{
    int dir_fd = directory_of(state);
    struct stat status;
    pid_t child;
    int fds[2];
    int holder;
    int fd;
    char byte;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(file_lock(dir_fd, "lock", true, 0, &holder, NULL), 0);
    child = fork();
    if (child == 0) {
        close(holder);
        close(fds[0]);
        _exit(write(fds[1], "x", 1) == 1 &&
                      file_lock(dir_fd, "lock", true, UINT32_MAX, &fd, NULL) == 0 &&
                      fstatat(dir_fd, "lock", &status, 0) == 0
                  ? 0
                  : 1);
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    unlinkat(dir_fd, "lock", 0);
    close(holder);
    assert_int_equal(waitpid(child, &fd, 0), child);
    assert_int_equal(fd, 0);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_file_is_read_whole),
        IN_DIRECTORY(what_is_no_small_regular_file_is_not_read),
        IN_DIRECTORY(kernel_values_lose_one_newline_and_are_written_in_place),
        IN_DIRECTORY(a_piece_is_read_whole_however_long_it_is),
        IN_DIRECTORY(a_file_is_replaced_at_once_and_nothing_stays_beside_it),
        IN_DIRECTORY(a_failed_replacement_leaves_nothing),
        IN_DIRECTORY(a_lock_keeps_others_out_until_it_is_closed),
        IN_DIRECTORY(readers_share_a_lock),
        IN_DIRECTORY(a_lock_that_was_removed_by_its_holder_is_taken_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
