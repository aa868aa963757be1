#include "base/disk_usage.h"

#include "base_test.h"

static uint64_t blocks_of(int dir_fd, const char *name)
{
    struct stat status;

    assert_int_equal(fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW), 0);
    return (uint64_t)status.st_blocks * 512;
}

static void a_tree_is_counted_with_its_directories(void **state)
{
    struct disk_usage usage = { 0 };
    int dir_fd = directory_of(state);

    path_make_directories(dir_fd, "tree/below", 0700, NULL, NULL);
    put_file(dir_fd, "tree/one", "one");
    put_file(dir_fd, "tree/below/three", "three");
    assert_int_equal(symlinkat("one", dir_fd, "tree/link"), 0);
    assert_int_equal(disk_usage_add(dir_fd, "tree", &usage, NULL), 0);
    assert_int_equal(usage.entries, 5);
    assert_int_equal(usage.file_bytes, 8);
    assert_int_equal(usage.bytes, blocks_of(dir_fd, "tree") + blocks_of(dir_fd, "tree/below") +
                                      blocks_of(dir_fd, "tree/one") +
                                      blocks_of(dir_fd, "tree/link") +
                                      blocks_of(dir_fd, "tree/below/three"));
}

static void several_trees_add_up(void **state)
{
    struct disk_usage usage = { 0 };
    int dir_fd = directory_of(state);

    put_file(dir_fd, "a", "12");
    put_file(dir_fd, "b", "345");
    assert_int_equal(disk_usage_add(dir_fd, "a", &usage, NULL), 0);
    assert_int_equal(disk_usage_add(dir_fd, "b", &usage, NULL), 0);
    assert_int_equal(usage.entries, 2);
    assert_int_equal(usage.links, 0);
    assert_int_equal(usage.file_bytes, 5);
}

static void a_file_with_many_names_counts_once(void **state)
{
    struct disk_usage usage = { 0 };
    int dir_fd = directory_of(state);

    for (int file = 0; file < 100; file++) {
        char name[32], other[32];

        (void)snprintf(name, sizeof(name), "%d", file);
        (void)snprintf(other, sizeof(other), "%d-again", file);
        put_file(dir_fd, name, "content");
        assert_int_equal(linkat(dir_fd, name, dir_fd, other, 0), 0);
    }
    assert_int_equal(disk_usage_add(dir_fd, ".", &usage, NULL), 0);
    assert_int_equal(usage.entries, 201);
    assert_int_equal(usage.links, 200);
    assert_int_equal(usage.file_bytes, 700);
    assert_int_equal(usage.bytes, blocks_of(dir_fd, ".") + 100 * blocks_of(dir_fd, "0"));
}

static void a_hole_takes_no_room(void **state)
{
    struct disk_usage usage = { 0 };
    int dir_fd = directory_of(state);

    put_file(dir_fd, "sparse", "");
    {
        auto_close int fd = openat(dir_fd, "sparse", O_WRONLY | O_CLOEXEC);

        assert_int_equal(ftruncate(fd, 1 << 20), 0);
    }
    assert_int_equal(disk_usage_add(dir_fd, "sparse", &usage, NULL), 0);
    assert_int_equal(usage.file_bytes, 1 << 20);
    assert_true(usage.bytes < 1 << 20);
}

static void what_is_missing_has_no_size_and_links_are_not_followed(void **state)
{
    struct disk_usage usage = { 0 };
    int dir_fd = directory_of(state);

    assert_int_equal(disk_usage_add(dir_fd, "missing", &usage, NULL), 0);
    assert_int_equal(usage.entries, 0);
    path_make_directories(dir_fd, "tree/below", 0700, NULL, NULL);
    assert_int_equal(symlinkat("tree", dir_fd, "link"), 0);
    assert_int_equal(disk_usage_add(dir_fd, "link", &usage, NULL), 0);
    assert_int_equal(usage.entries, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_tree_is_counted_with_its_directories),
        IN_DIRECTORY(several_trees_add_up),
        IN_DIRECTORY(a_file_with_many_names_counts_once),
        IN_DIRECTORY(a_hole_takes_no_room),
        IN_DIRECTORY(what_is_missing_has_no_size_and_links_are_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
