#include "tests/unit/base_test.h"

#include <errno.h>

#include "base/file.h"
#include "engine/monitor_log.h"

static const struct timespec noon = { .tv_sec = 1767355200 };
#define NOON        "\",\"time\":\"2026-01-02T12:00:00Z\"}\n"
#define STDOUT_NOON "\",\"stream\":\"stdout" NOON

static char *content(const struct test_directory *folder, const char *name)
{
    char *text = NULL;

    assert_int_equal(file_read(folder->fd, name, 1 << 24, &text, NULL, NULL), 0);
    return text;
}

static bool exists(const struct test_directory *folder, const char *name)
{
    return faccessat(folder->fd, name, F_OK, 0) == 0;
}

static void add(struct monitor_log *log, enum log_stream stream, const char *text)
{
    assert_int_equal(monitor_log_add(log, stream, text, strlen(text), &noon, NULL), 0);
}

static void a_line_is_one_object(void **state)
{
    AUTO(monitor_log) struct monitor_log *log = NULL;
    auto_free char *text = NULL;
    struct test_directory *folder = *state;

    log = monitor_log_open(folder->fd, 0, 1);
    assert_false(exists(folder, "log"));
    add(log, LOG_STDOUT, "one\ntwo\n");
    add(log, LOG_STDERR, "bad\n");
    text = content(folder, "log");
    assert_string_equal(text, "{\"log\":\"one\\n" STDOUT_NOON "{\"log\":\"two\\n" STDOUT_NOON
                              "{\"log\":\"bad\\n\",\"stream\":\"stderr" NOON);
}

static void a_line_that_comes_in_pieces_is_written_when_it_ends(void **state)
{
    AUTO(monitor_log) struct monitor_log *log = NULL;
    auto_free char *text = NULL;
    auto_free char *rest = NULL;
    struct test_directory *folder = *state;

    log = monitor_log_open(folder->fd, 0, 1);
    add(log, LOG_STDOUT, "one ");
    assert_false(exists(folder, "log"));
    add(log, LOG_STDOUT, "line\nno end");
    text = content(folder, "log");
    assert_string_equal(text, "{\"log\":\"one line\\n" STDOUT_NOON);
    assert_int_equal(monitor_log_flush(log, &noon, NULL), 0);
    rest = content(folder, "log");
    assert_string_equal(rest, "{\"log\":\"one line\\n" STDOUT_NOON "{\"log\":\"no end" STDOUT_NOON);
}

static void a_long_line_is_split_at_sixteen_kib(void **state)
{
    AUTO(monitor_log) struct monitor_log *log = NULL;
    AUTO_CLEAR(text) struct text expected = { 0 };
    auto_free char *text = NULL;
    struct test_directory *folder = *state;
    char *line = xcalloc(1, 40001);

    memset(line, 'a', 40000);
    line[39999] = '\n';
    text_addf(&expected, "{\"log\":\"%.16384s" STDOUT_NOON, line);
    text_addf(&expected, "{\"log\":\"%.16384s" STDOUT_NOON, line);
    text_addf(&expected, "{\"log\":\"%.7231s\\n" STDOUT_NOON, line);
    log = monitor_log_open(folder->fd, 0, 1);
    add(log, LOG_STDOUT, line);
    text = content(folder, "log");
    assert_string_equal(text, expected.data);
    free(line);
}

static void bytes_that_are_no_utf8_are_replaced(void **state)
{
    static const struct {
        const char *bytes, *shown;
    } rows[] = {
        { "\xff", "\xef\xbf\xbd" },
        { "\xc3", "\xef\xbf\xbd" },
        { "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "a\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xe2\x82\xac", "\xe2\x82\xac" },
        { "\x1b[1m", "\\u001b[1m" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(text) struct text text = { 0 };
        auto_free char *expected =
            xasprintf("{\"log\":\"%s\",\"stream\":\"stdout\",\"time\":\"T\"}\n", rows[i].shown);

        print_message("row %zu\n", i);
        monitor_log_format(&text, rows[i].bytes, strlen(rows[i].bytes), LOG_STDOUT, "T");
        assert_string_equal(text.data, expected);
    }
}

static void full_files_are_rotated_and_the_oldest_goes(void **state)
{
    AUTO(monitor_log) struct monitor_log *log = NULL;
    auto_free char *newest = NULL;
    auto_free char *oldest = NULL;
    struct test_directory *folder = *state;

    log = monitor_log_open(folder->fd, 100, 3);
    add(log, LOG_STDOUT, "first line\n");
    add(log, LOG_STDOUT, "second line\n");
    add(log, LOG_STDOUT, "third line\n");
    add(log, LOG_STDOUT, "fourth line\n");
    newest = content(folder, "log");
    oldest = content(folder, "log.2");
    assert_non_null(strstr(newest, "fourth"));
    assert_non_null(strstr(oldest, "second"));
    assert_false(exists(folder, "log.3"));
}

static void a_single_file_is_emptied(void **state)
{
    AUTO(monitor_log) struct monitor_log *log = NULL;
    auto_free char *text = NULL;
    struct test_directory *folder = *state;

    log = monitor_log_open(folder->fd, 100, 1);
    add(log, LOG_STDOUT, "first line\n");
    add(log, LOG_STDOUT, "second line\n");
    text = content(folder, "log");
    assert_null(strstr(text, "first"));
    assert_non_null(strstr(text, "second"));
    assert_false(exists(folder, "log.1"));
}

static void a_new_run_goes_on_in_the_same_file(void **state)
{
    struct test_directory *folder = *state;
    auto_free char *text = NULL;

    for (int i = 0; i < 2; i++) {
        AUTO(monitor_log) struct monitor_log *log = monitor_log_open(folder->fd, 0, 1);

        add(log, LOG_STDOUT, i == 0 ? "one\n" : "two\n");
    }
    text = content(folder, "log");
    assert_string_equal(text, "{\"log\":\"one\\n" STDOUT_NOON "{\"log\":\"two\\n" STDOUT_NOON);
}

static void options_are_read_as_docker_writes_them(void **state)
{
    AUTO_CLEAR(string_map) struct string_map options = { 0 };
    struct error err = { 0 };
    uint64_t max_bytes;
    unsigned max_files;

    (void)state;
    assert_int_equal(monitor_log_options(&options, &max_bytes, &max_files, NULL), 0);
    assert_int_equal(max_bytes, 10 << 20);
    assert_int_equal(max_files, 3);
    string_map_set(&options, "max-size", "5k");
    string_map_set(&options, "max-file", "7");
    assert_int_equal(monitor_log_options(&options, &max_bytes, &max_files, NULL), 0);
    assert_int_equal(max_bytes, 5120);
    assert_int_equal(max_files, 7);
    string_map_set(&options, "max-size", "-1");
    assert_int_equal(monitor_log_options(&options, &max_bytes, &max_files, NULL), 0);
    assert_int_equal(max_bytes, 0);
    string_map_set(&options, "max-file", "0");
    assert_int_equal(monitor_log_options(&options, &max_bytes, &max_files, &err), -EINVAL);
    assert_string_equal(err.message, "--log-opt max-file: give at least 1");
    string_map_clear(&options);
    string_map_set(&options, "max-sise", "1");
    assert_int_equal(monitor_log_options(&options, &max_bytes, &max_files, &err), -EINVAL);
    assert_string_equal(err.message, "--log-opt 'max-sise': there are max-size and max-file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_line_is_one_object),
        IN_DIRECTORY(a_line_that_comes_in_pieces_is_written_when_it_ends),
        IN_DIRECTORY(a_long_line_is_split_at_sixteen_kib),
        cmocka_unit_test(bytes_that_are_no_utf8_are_replaced),
        IN_DIRECTORY(full_files_are_rotated_and_the_oldest_goes),
        IN_DIRECTORY(a_single_file_is_emptied),
        IN_DIRECTORY(a_new_run_goes_on_in_the_same_file),
        cmocka_unit_test(options_are_read_as_docker_writes_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
