#include "base/error.h"

#include <errno.h>

#include "tests/unit/base_test.h"

static void a_sentence_and_a_code_are_kept(void **state)
{
    struct error err = { 0 };

    (void)state;
    assert_int_equal(error_set(&err, EINVAL, "layer %d is odd", 3), -EINVAL);
    assert_int_equal(err.code, EINVAL);
    assert_string_equal(err.message, "layer 3 is odd");
}

static void the_text_of_errno_is_added(void **state)
{
    struct error err = { 0 };

    (void)state;
    errno = ENOENT;
    assert_int_equal(error_errno(&err, "open '%s'", "/x"), -ENOENT);
    assert_string_equal(err.message, "open '/x': No such file or directory");
    errno = 4000;
    assert_int_equal(error_errno(&err, "open"), -4000);
    assert_string_equal(err.message, "open: error 4000");
}

static void a_missing_error_is_fine(void **state)
{
    (void)state;
    errno = EPERM;
    assert_int_equal(error_set(NULL, EIO, "x"), -EIO);
    assert_int_equal(error_errno(NULL, "x"), -EPERM);
    assert_int_equal(error_prefix(NULL, -EIO, "x"), -EIO);
}

static void a_prefix_comes_first_and_the_result_stays(void **state)
{
    struct error err = { 0 };
    int r;

    (void)state;
    r = error_set(&err, EINVAL, "bad magic");
    assert_int_equal(error_prefix(&err, r, "layer %d", 3), -EINVAL);
    assert_string_equal(err.message, "layer 3: bad magic");
    assert_int_equal(err.code, EINVAL);
}

static void bytes_that_a_terminal_obeys_are_written_out(void **state)
{
    struct error err = { 0 };

    (void)state;
    error_set(&err, EINVAL, "a\x1b[2Jb\nc\x7f \xc3\xa4\xc2\x9b");
    assert_string_equal(err.message, "a\\x1b[2Jb\\x0ac\\x7f \xc3\xa4\\xc2\\x9b");
    /* What is not UTF-8 at all; cut off at the end, too. */
    error_set(&err, EINVAL,
              "\x9b"
              "2J \xff \xe2\x82\xac \xe2\x82");
    assert_string_equal(err.message, "\\x9b2J \\xff \xe2\x82\xac \\xe2\\x82");
}

static void path_of(char *path, size_t size)
{
    memset(path, 'x', size);
    memcpy(path, "/first", 6);
    memcpy(path + size - 6, "/last", 6);
}

static void a_long_path_leaves_room_for_the_reason(void **state)
{
    struct error err = { 0 };
    char path[4096];

    (void)state;
    path_of(path, sizeof(path));
    errno = ENOTDIR;
    assert_int_equal(error_errno(&err, "open '%s'", path), -ENOTDIR);
    assert_memory_equal(err.message, "open '/firstxxx", 15);
    assert_non_null(strstr(err.message, "xxx...xxx"));
    assert_string_equal(err.message + strlen(err.message) - 25, "xx/last': Not a directory");
    assert_in_range(strlen(err.message), ERROR_MESSAGE_MAX - 4, ERROR_MESSAGE_MAX - 1);

    /* Who adds the same path again does not push the reason out. */
    error_prefix(&err, -ENOTDIR, "copy '%s' to '%s'", path, path);
    assert_memory_equal(err.message, "copy '/firstxxx", 15);
    assert_string_equal(err.message + strlen(err.message) - 25, "xx/last': Not a directory");

    error_set(&err, EINVAL, "'%s' is in '%s': give another one", path, path);
    assert_string_equal(err.message + strlen(err.message) - 24, "/last': give another one");
}

static void text_of_any_length_leaves_room_for_the_reason(void **state)
{
    struct error err = { 0 };
    static char text[100000];

    (void)state;
    memset(text, '\n', sizeof(text) - 1);
    errno = E2BIG;
    error_errno(&err, "run '%s'", text);
    assert_memory_equal(err.message, "run '\\x0a", 9);
    assert_string_equal(err.message + strlen(err.message) - 28, "\\x0a: Argument list too long");
    error_prefix(&err, -E2BIG, "%s", text);
    assert_string_equal(err.message + strlen(err.message) - 28, "\\x0a: Argument list too long");
}

static void a_long_sentence_is_not_cut_within_a_character(void **state)
{
    static const char *const characters[] = { "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\xb3" };
    char sentence[4 * ERROR_MESSAGE_MAX + 8];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(characters); i++) {
        size_t size = strlen(characters[i]);

        for (size_t shift = 0; shift < 4; shift++) {
            struct error err = { 0 };
            const char *gap;

            memset(sentence, 0, sizeof(sentence));
            memset(sentence, '-', shift);
            for (size_t at = shift; at + size < sizeof(sentence) - 4; at += size)
                memcpy(sentence + at, characters[i], size);
            error_set(&err, EINVAL, "%s", sentence);
            gap = strstr(err.message, "...");
            assert_non_null(gap);
            assert_memory_equal(gap - size, characters[i], size);
            assert_memory_equal(gap + 3, characters[i], size);
        }
    }
}

static void a_long_sentence_is_cut(void **state)
{
    struct error err = { 0 };
    char sentence[3 * ERROR_MESSAGE_MAX];

    (void)state;
    memset(sentence, '\n', sizeof(sentence));
    sentence[sizeof(sentence) - 1] = '\0';
    error_set(&err, EINVAL, "%s", sentence);
    assert_true(strlen(err.message) < ERROR_MESSAGE_MAX);
    error_prefix(&err, -EINVAL, "%s", sentence);
    assert_true(strlen(err.message) < ERROR_MESSAGE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_and_a_code_are_kept),
        cmocka_unit_test(the_text_of_errno_is_added),
        cmocka_unit_test(a_missing_error_is_fine),
        cmocka_unit_test(a_prefix_comes_first_and_the_result_stays),
        cmocka_unit_test(bytes_that_a_terminal_obeys_are_written_out),
        cmocka_unit_test(a_long_path_leaves_room_for_the_reason),
        cmocka_unit_test(text_of_any_length_leaves_room_for_the_reason),
        cmocka_unit_test(a_long_sentence_is_not_cut_within_a_character),
        cmocka_unit_test(a_long_sentence_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
