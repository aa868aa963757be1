#include "base/log.h"

#include "tests/unit/base_test.h"

/* What was written to the pipe since the last call. */
static void expect(int fd, const char *wanted)
{
    char line[512] = "";
    ssize_t length = read(fd, line, sizeof(line) - 1);

    if (length < 0)
        line[0] = '\0';
    assert_string_equal(line, wanted);
}

static void people_read_plain_lines(void **state)
{
    int saved = dup(2);
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    dup2(fds[1], 2);
    log_configure("berth", -1, LOG_PLAIN, false);
    log_error("no image '%s'\nx\x1b", "a");
    expect(fds[0], "berth: no image 'a'\\x0ax\\x1b\n");
    log_warning("no IPv6");
    expect(fds[0], "berth: warning: no IPv6\n");
    log_debug("hidden");
    expect(fds[0], "");
    log_configure("berth", -1, LOG_PLAIN, true);
    assert_true(log_is_debug());
    log_debug("shown");
    expect(fds[0], "berth: debug: shown\n");
    dup2(saved, 2);
    close(saved);
    close(fds[0]);
    close(fds[1]);
}

/* Checks that @text has a time between @before and @after and nothing else. */
static void expect_around_time(int fd, const char *before, const char *after)
{
    char line[512] = "";
    size_t time_length = strlen("2026-01-02T03:04:05Z");
    ssize_t length = read(fd, line, sizeof(line) - 1);

    assert_int_equal(length, strlen(before) + time_length + strlen(after));
    assert_memory_equal(line, before, strlen(before));
    assert_string_equal(line + strlen(before) + time_length, after);
}

static void programs_read_what_logrus_writes(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    log_configure("berth-oci", fds[1], LOG_TEXT, false);
    log_error("say \"x\\y\"\n");
    expect_around_time(fds[0], "time=\"", "\" level=error msg=\"say \\\"x\\\\y\\\"\\n\"\n");
    log_configure("berth-oci", fds[1], LOG_JSON, false);
    log_warning("a\tb\x1f");
    expect_around_time(fds[0], "{\"level\":\"warning\",\"msg\":\"a\\tb\\u001f\",\"time\":\"",
                       "\"}\n");
    close(fds[0]);
    close(fds[1]);
    log_configure("berth", -1, LOG_PLAIN, false);
}

static void services_get_priority_and_name(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    log_configure("web", fds[1], LOG_SYSLOG, true);
    log_error("a\nb");
    expect(fds[0], "<27>web: a\\x0ab\n");
    log_debug("c");
    expect(fds[0], "<31>web: c\n");
    log_configure("web", fds[1], LOG_JOURNAL, false);
    log_warning("a\nPRIORITY=0");
    expect(fds[0], "PRIORITY=4\nSYSLOG_IDENTIFIER=web\nMESSAGE=a\\x0aPRIORITY=0\n");
    log_configure("berth", -1, LOG_PLAIN, false);
    close(fds[0]);
    close(fds[1]);
}

static void a_level_leaves_out_what_is_less(void **state)
{
    static const struct {
        enum log_level level;
        const char *expected;
    } rows[] = {
        { LOG_LEVEL_ERROR, "berth: e\n" },
        { LOG_LEVEL_WARNING, "berth: e\nberth: warning: w\n" },
        { LOG_LEVEL_DEBUG, "berth: e\nberth: warning: w\nberth: debug: d\n" },
    };
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        log_configure("berth", fds[1], LOG_PLAIN, false);
        log_set_level(rows[i].level);
        assert_int_equal(log_is_debug(), rows[i].level == LOG_LEVEL_DEBUG);
        log_error("e");
        log_warning("w");
        log_debug("d");
        expect(fds[0], rows[i].expected);
    }
    log_configure("berth", -1, LOG_PLAIN, false);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_get_priority_and_name),
        cmocka_unit_test(a_level_leaves_out_what_is_less),
        cmocka_unit_test(people_read_plain_lines),
        cmocka_unit_test(programs_read_what_logrus_writes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
