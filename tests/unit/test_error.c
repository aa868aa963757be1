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
        cmocka_unit_test(a_long_sentence_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
