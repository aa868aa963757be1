#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "engine/log_line.h"

static void what_the_monitor_writes_is_read_back(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } rows[] = {
#define ROW(text) { text, sizeof(text) - 1 }
        ROW("hello\n"),
        ROW(""),
        ROW("quote \" backslash \\ tab \t return \r end"),
        ROW("zero \0 one \x01 escape \x1b[0m del \x7f\n"),
        ROW("umlaut \xc3\xa4, euro \xe2\x82\xac, smile \xf0\x9f\x98\x80"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(text) struct text text = { 0 };
        struct log_line line;

        print_message("row %zu\n", i);
        monitor_log_format(&text, rows[i].bytes, rows[i].length, LOG_STDERR,
                           "2026-01-02T03:04:05.000000006Z");
        assert_int_equal(text.data[text.length - 1], '\n');
        text.data[text.length - 1] = '\0';
        assert_int_equal(log_line_parse(text.data, text.length - 1, &line), 0);
        assert_int_equal(line.stream, LOG_STDERR);
        assert_int_equal(line.seconds, 1767323045);
        assert_int_equal(line.nanoseconds, 6);
        assert_string_equal(line.time, "2026-01-02T03:04:05.000000006Z");
        assert_int_equal(line.length, rows[i].length);
        assert_memory_equal(line.bytes, rows[i].bytes, rows[i].length);
    }
}

static void other_writers_escapes_are_understood(void **state)
{
    char text[] = "{\"log\":\"\\u003cb\\u003e \\u00e4 \\u20ac \\/\\b\\f\",\"stream\":\"stdout\","
                  "\"time\":\"2026-01-02T03:04:05Z\"}";
    struct log_line line;

    (void)state;
    assert_int_equal(log_line_parse(text, strlen(text), &line), 0);
    assert_int_equal(line.stream, LOG_STDOUT);
    assert_string_equal(line.bytes, "<b> \xc3\xa4 \xe2\x82\xac /\b\f");
}

static void lines_that_a_crash_cut_are_refused(void **state)
{
    static const char whole[] = "{\"log\":\"a\\u0041\\n\",\"stream\":\"stdout\","
                                "\"time\":\"2026-01-02T03:04:05Z\"}";
    struct log_line line;

    (void)state;
    for (size_t length = 0; length < sizeof(whole) - 1; length++) {
        char *text =
            strndup(whole, length); /* exact, so that a sanitizer sees each byte too many */

        print_message("%zu bytes\n", length);
        assert_int_equal(log_line_parse(text, length, &line), -EINVAL);
        free(text);
    }
}

static void what_is_no_log_line_is_refused(void **state)
{
    static const char *const rows[] = {
        "{\"log\":\"a\",\"stream\":\"stdin\",\"time\":\"2026-01-02T03:04:05Z\"}",
        "{\"log\":\"a\",\"stream\":\"stdout\",\"time\":\"yesterday\"}",
        "{\"log\":\"a\\x\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}",
        "{\"log\":\"a\\u12g4\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}",
        "{\"log\":\"a\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"} ",
        "{\"stream\":\"stdout\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char *text = strdup(rows[i]);
        struct log_line line;

        print_message("row %zu\n", i);
        assert_int_equal(log_line_parse(text, strlen(text), &line), -EINVAL);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_monitor_writes_is_read_back),
        cmocka_unit_test(other_writers_escapes_are_understood),
        cmocka_unit_test(lines_that_a_crash_cut_are_refused),
        cmocka_unit_test(what_is_no_log_line_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
