#include "base/text.h"

#include <errno.h>

#include "tests/unit/base_test.h"

static void numbers_fill_the_whole_string(void **state)
{
    static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "0x1", "12x", "4294967295" };
    uint64_t value = 7;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(text_parse_u64("4294967294", "uid", 4294967294, &value, &err), 0);
    assert_int_equal(value, 4294967294);
    assert_int_equal(text_parse_u64("007", "uid", 10, &value, &err), 0);
    assert_int_equal(value, 7);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(text_parse_u64(bad[i], "uid", 4294967294, &value, &err), -EINVAL);
    assert_int_equal(value, 7);
    text_parse_u64("12x", "uid", 4294967294, &value, &err);
    assert_string_equal(err.message, "uid: '12x' is not a number from 0 to 4294967294");
}

static void the_ends_of_the_ranges_are_exact(void **state)
{
    uint64_t value;
    int64_t number;

    (void)state;
    assert_int_equal(text_parse_u64("18446744073709551615", "n", UINT64_MAX, &value, NULL), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(text_parse_u64("18446744073709551616", "n", UINT64_MAX, &value, NULL),
                     -EINVAL);
    assert_int_equal(text_parse_u64("5", "n", 4, &value, NULL), -EINVAL);
    assert_int_equal(text_parse_u64("0", "n", 0, &value, NULL), 0);
    assert_int_equal(
        text_parse_i64("-9223372036854775808", "n", INT64_MIN, INT64_MAX, &number, NULL), 0);
    assert_true(number == INT64_MIN);
    assert_int_equal(
        text_parse_i64("-9223372036854775809", "n", INT64_MIN, INT64_MAX, &number, NULL), -EINVAL);
    assert_int_equal(
        text_parse_i64("9223372036854775808", "n", INT64_MIN, INT64_MAX, &number, NULL), -EINVAL);
    assert_int_equal(text_parse_i64("-1001", "n", -1000, 1000, &number, NULL), -EINVAL);
    assert_int_equal(text_parse_i64("-1000", "n", -1000, 1000, &number, NULL), 0);
    assert_int_equal(number, -1000);
    assert_int_equal(text_parse_i64("--1", "n", -1000, 1000, &number, NULL), -EINVAL);
}

static void sizes_are_read_as_docker_does(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        { "0", 0 },           { "512", 512 },         { "512b", 512 },        { "1k", 1024 },
        { "1K", 1024 },       { "1kb", 1024 },        { "1KiB", 1024 },       { "64m", 64 << 20 },
        { "64 m", 64 << 20 }, { "1.5g", 3ull << 29 }, { ".5k", 512 },         { "2.g", 2ull << 30 },
        { "1t", 1ull << 40 }, { "1P", 1ull << 50 },   { "0.0000000001g", 0 },
    };
    static const char *const bad[] = { "",      "m",           "-1m",   "1x",  "1mm",
                                       "1 mb ", "1bb",         "1.2.3", "1ki", "0x1k",
                                       "1e3k",  "9999999999p", "1kibb", "." };
    struct error err = { 0 };
    uint64_t bytes;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (text_parse_bytes(rows[i].text, "memory", &bytes, &err) < 0 || bytes != rows[i].bytes)
            fail_msg("%s: %s", rows[i].text, err.message);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (text_parse_bytes(bad[i], "memory", &bytes, &err) != -EINVAL)
            fail_msg("%s is taken", bad[i]);
    }
    text_parse_bytes("12x", "memory", &bytes, &err);
    assert_string_equal(err.message, "memory: '12x' is not a size such as 512m or 1.5g");
}

static void fractions_are_exact(void **state)
{
    struct error err = { 0 };
    uint64_t nano;

    (void)state;
    assert_int_equal(text_parse_nano("0.5", "cpus", &nano, &err), 0);
    assert_int_equal(nano, 500000000);
    assert_int_equal(text_parse_nano("1.000000001", "cpus", &nano, &err), 0);
    assert_int_equal(nano, 1000000001);
    assert_int_equal(text_parse_nano("2", "cpus", &nano, &err), 0);
    assert_int_equal(nano, 2000000000);
    assert_int_equal(text_parse_nano("0.10000000000", "cpus", &nano, &err), 0);
    assert_int_equal(nano, 100000000);
    assert_int_equal(text_parse_nano("0.0000000001", "cpus", &nano, &err), -EINVAL);
    assert_string_equal(err.message, "cpus: '0.0000000001' has more than 9 digits after the point");
    assert_int_equal(text_parse_nano("1,5", "cpus", &nano, &err), -EINVAL);
    assert_string_equal(err.message, "cpus: '1,5' is not a number such as 2 or 0.5");
    assert_int_equal(text_parse_nano("18446744073", "cpus", &nano, &err), -EINVAL);
}

static void booleans_are_the_words_of_docker(void **state)
{
    bool value = false;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(text_parse_bool("True", "tty", &value, &err), 0);
    assert_true(value);
    assert_int_equal(text_parse_bool("f", "tty", &value, &err), 0);
    assert_false(value);
    assert_int_equal(text_parse_bool("yes", "tty", &value, &err), -EINVAL);
    assert_string_equal(err.message, "tty: 'yes' is not true or false");
}

static void times_of_all_forms_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
        uint32_t nanoseconds;
    } rows[] = {
        { "1970-01-01T00:00:00Z", 0, 0 },
        { "2026-01-02T03:04:05Z", 1767323045, 0 },
        { "2026-01-02T03:04:05.5Z", 1767323045, 500000000 },
        { "2026-01-02T03:04:05.123456789123Z", 1767323045, 123456789 },
        { "2026-01-02T04:04:05+01:00", 1767323045, 0 },
        { "2026-01-01T21:34:05-05:30", 1767323045, 0 },
        { "2000-02-29T12:00:00Z", 951825600, 0 },
        { "1969-12-31T23:59:59Z", -1, 0 },
        { "0001-01-01T00:00:00Z", -62135596800, 0 },
        { "0000-01-01T00:00:00Z", -62167219200, 0 },
        { "9999-12-31T23:59:59Z", 253402300799, 0 },
    };
    static const char *const bad[] = {
        "",
        "2026",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05Zx",
        "2026-01-02T03:04:05+1:00",
        "2026-01-02T03:04:05+01:00x",
        "26-01-02T03:04:05Z",
    };
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t seconds;
        uint32_t nanoseconds;

        if (text_parse_time(rows[i].text, &seconds, &nanoseconds, &err) < 0 ||
            seconds != rows[i].seconds || nanoseconds != rows[i].nanoseconds)
            fail_msg("%s: %s", rows[i].text, err.message);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t seconds;
        uint32_t nanoseconds;

        if (text_parse_time(bad[i], &seconds, &nanoseconds, &err) != -EINVAL)
            fail_msg("%s is taken", bad[i]);
    }
    assert_string_equal(err.message,
                        "'26-01-02T03:04:05Z' is not a time such as 2026-01-02T03:04:05Z");
}

static void a_utf8_sequence_has_one_form(void **state)
{
    static const struct {
        const char *text;
        size_t length;
    } rows[] = {
        { "a", 1 },
        { "\303\244", 2 },
        { "\342\202\254x", 3 },
        { "\360\237\232\242", 4 },
        { "\303", 0 },
        { "\244", 0 },
        { "\300\200", 0 },
        { "\355\240\200", 0 },
        { "\364\220\200\200", 0 },
        { "\377", 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        print_message("row %zu\n", i);
        assert_int_equal(text_utf8_length(rows[i].text), rows[i].length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_utf8_sequence_has_one_form),
        cmocka_unit_test(numbers_fill_the_whole_string),
        cmocka_unit_test(the_ends_of_the_ranges_are_exact),
        cmocka_unit_test(sizes_are_read_as_docker_does),
        cmocka_unit_test(fractions_are_exact),
        cmocka_unit_test(booleans_are_the_words_of_docker),
        cmocka_unit_test(times_of_all_forms_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
