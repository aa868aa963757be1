#include "unionfs/tree_compare.h"

#include <errno.h>
#include <sys/sysmacros.h>

#include "base_test.h"

struct trees {
    int a, b;
};

static void open_trees(int dir_fd, struct trees *trees)
{
    static const char *const names[] = { "a", "b" };

    for (int i = 0; i < 2; i++) {
        int *fd = i == 0 ? &trees->a : &trees->b;
        const struct timespec times[] = { { 1, 2 }, { 3, 4 } };

        assert_int_equal(
            path_make_directories(dir_fd, i == 0 ? "a/etc" : "b/etc", 0755, NULL, NULL), 0);
        *fd = openat(dir_fd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        put_file(*fd, "etc/passwd", "root");
        put_file(*fd, "file", "content");
        assert_int_equal(symlinkat("file", *fd, "link"), 0);
        for (size_t k = 0; k < 4; k++) {
            static const char *const stamped[] = { "etc/passwd", "file", "link", "etc" };

            assert_int_equal(utimensat(*fd, stamped[k], times, AT_SYMLINK_NOFOLLOW), 0);
        }
        assert_int_equal(futimens(*fd, times), 0);
    }
}

static void close_trees(struct trees *trees)
{
    close(trees->a);
    close(trees->b);
}

static void equal_trees_are_equal(void **state)
{
    struct error err = { 0 };
    struct trees trees;

    open_trees(directory_of(state), &trees);
    assert_int_equal(tree_compare(trees.a, trees.b, &err), 0);
    close_trees(&trees);
}

static void stamp(int fd, const char *name)
{
    const struct timespec times[] = { { 1, 2 }, { 3, 4 } };

    assert_int_equal(utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void each_difference_is_named(void **state)
{
    struct error err = { 0 };
    struct trees trees;

    open_trees(directory_of(state), &trees);
    put_file(trees.b, "etc/passwd", "toor");
    stamp(trees.b, "etc/passwd");
    assert_int_equal(tree_compare(trees.a, trees.b, &err), -EBADMSG);
    assert_string_equal(err.message, "'etc/passwd' has another content");
    put_file(trees.b, "etc/passwd", "root");
    assert_int_equal(tree_compare(trees.a, trees.b, &err), -EBADMSG);
    assert_string_equal(err.message, "'etc/passwd' has another time");
    stamp(trees.b, "etc/passwd");
    assert_int_equal(fchmodat(trees.b, "file", 0600, 0), 0);
    assert_int_equal(tree_compare(trees.a, trees.b, &err), -EBADMSG);
    assert_string_equal(err.message, "'file' has another mode");
    assert_int_equal(fchmodat(trees.b, "file", 0644, 0), 0);
    put_file(trees.b, "file", "contents");
    assert_int_equal(tree_compare(trees.a, trees.b, &err), -EBADMSG);
    assert_string_equal(err.message, "'file' has another size");
    put_file(trees.b, "file", "content");
    stamp(trees.b, "file");
    unlinkat(trees.b, "link", 0);
    assert_int_equal(symlinkat("nile", trees.b, "link"), 0);
    stamp(trees.b, "link");
    stamp(trees.b, ".");
    assert_int_equal(tree_compare(trees.a, trees.b, &err), -EBADMSG);
    assert_string_equal(err.message, "'link' has another target");
    close_trees(&trees);
}

static void the_time_of_a_whiteout_is_nobodys(void **state)
{
    struct error err = { 0 };
    struct trees trees;

    open_trees(directory_of(state), &trees);
    assert_int_equal(mknodat(trees.a, "gone", S_IFCHR, makedev(0, 0)), 0);
    assert_int_equal(mknodat(trees.b, "gone", S_IFCHR, makedev(0, 0)), 0);
    stamp(trees.a, "gone");
    stamp(trees.a, ".");
    stamp(trees.b, ".");
    assert_int_equal(tree_compare(trees.a, trees.b, &err), 0);
    close_trees(&trees);
}

static void names_that_one_tree_lacks_are_named(void **state)
{
    struct error err = { 0 };
    struct trees trees;

    open_trees(directory_of(state), &trees);
    put_file(trees.b, "etc/more", "");
    stamp(trees.b, "etc");
    assert_int_equal(tree_compare(trees.a, trees.b, &err), -EBADMSG);
    assert_string_equal(err.message, "'etc/more' is too much");
    assert_int_equal(tree_compare(trees.b, trees.a, &err), -EBADMSG);
    assert_string_equal(err.message, "'etc/more' is missing");
    close_trees(&trees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(equal_trees_are_equal),
        IN_DIRECTORY(each_difference_is_named),
        IN_DIRECTORY(the_time_of_a_whiteout_is_nobodys),
        IN_DIRECTORY(names_that_one_tree_lacks_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
