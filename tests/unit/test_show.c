#include "cli/show.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "cli/listing.h"
#include "cli/ps_filter.h"
#include "cli/stats_row.h"
#include "cli/time_option.h"
#include "cli/top_row.h"

/* What ps, stats, top and logs show and read: values, without any container. */

static void check_text(char *text, const char *expected)
{
    auto_free char *owned = text;

    assert_string_equal(owned, expected);
}

static void long_texts_are_cut_by_characters(void **state)
{
    (void)state;
    check_text(show_cut("12345678901234567890", 20), "12345678901234567890");
    check_text(show_cut("123456789012345678901", 20), "1234567890123456789…");
    check_text(show_cut("ääääx", 4), "äää…");
    check_text(show_cut(NULL, 4), "");
}

static void commands_are_quoted_as_go_does(void **state)
{
    (void)state;
    check_text(show_quoted("sh -c \"a\\b\"\n\x01…"), "\"sh -c \\\"a\\\\b\\\"\\n\\x01…\"");
    check_text(show_quoted("\x1b[2J\xc2\x9b"
                           "2Jä"),
               "\"\\x1b[2J\\u009b2Jä\"");
}

static void a_column_has_no_byte_for_the_terminal(void **state)
{
    (void)state;
    check_text(show_printable("a\tb\r\nc\x1b]0;x\a\x7f\xc2\x9b"
                              "2Jä"),
               "a b  c\\x1b]0;x\\x07\\x7f\\u009b2Jä");
    check_text(show_printable("\x9b"
                              "2J \xe2\x82\xac \xe2\x82"),
               "\\x9b2J \xe2\x82\xac \\xe2\\x82");
    check_text(show_printable(NULL), "");
}

/* A label of an image's, and a list that has it: as a table, and by a format of the user's. */
static void a_table_has_no_byte_for_the_terminal(void **state)
{
    static const struct {
        const char *format, *shown;
    } rows[] = {
        { "table {{.Labels}}", "LABELS\na=\\x1b]0;x\\x07\\u009b2J\n" },
        { "table {{.Label \"a\"}}", "a\n\\x1b]0;x\\x07\\u009b2J\n" },
        { "{{.Labels}}", "a=\x1b]0;x\a\xc2\x9b"
                         "2J\n" },
    };
    const struct listing_column columns[] = { { "Labels", "LABELS" }, { 0 } };
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    AUTO_CLEAR(string_map) struct string_map labels = { 0 };

    (void)state;
    string_map_set(&labels, "a",
                   "\x1b]0;x\a\xc2\x9b"
                   "2J");
    string_map_set(&fields, "Labels",
                   "a=\x1b]0;x\a\xc2\x9b"
                   "2J");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(listing) struct listing listing = { 0 };
        char *text = NULL;

        assert_int_equal(listing_open(rows[i].format, "", columns, &listing, NULL), 0);
        assert_int_equal(listing_add(&listing, &fields, &labels, NULL), 0);
        assert_int_equal(listing_format(&listing, &text, NULL), 0);
        check_text(text, rows[i].shown);
    }
}

static void a_status_tells_since_when(void **state)
{
    static const struct {
        const char *status, *shown;
    } rows[] = {
        { "running", "Up 5 minutes" },
        { "paused", "Up 5 minutes (Paused)" },
        { "restarting", "Restarting (3) 10 seconds ago" },
        { "exited", "Exited (3) 10 seconds ago" },
        { "created", "Created" },
        { "dead", "Dead" },
        { "removing", "Removal In Progress" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct container_view view = {
            .status = (char *)rows[i].status, .started = 700, .finished = 990, .exit_status = 3
        };

        check_text(show_status(&view, 1000), rows[i].shown);
    }
    check_text(show_ago(1000, 0), "N/A");
    check_text(show_date(0), "1970-01-01 00:00:00 +0000 UTC");
}

static void labels_are_sorted(void **state)
{
    AUTO_CLEAR(string_map) struct string_map labels = { 0 };

    (void)state;
    check_text(show_labels(&labels), "");
    string_map_set(&labels, "z", "1");
    string_map_set(&labels, "a", "");
    check_text(show_labels(&labels), "a=,z=1");
}

static void times_may_be_dates_seconds_or_spans(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
        long nano;
    } rows[] = {
        { "0", 0, 0 },
        { "1136073600.000000001", 1136073600, 1 },
        { "1970-01-02", 86400, 0 },
        { "1970-01-01T01", 3600, 0 },
        { "1970-01-01T00:01", 60, 0 },
        { "1970-01-01T00:00:05", 5, 0 },
        { "1970-01-01T01:00:05+01:00", 5, 0 },
        { "42m", 100000 - 42 * 60, 5 },
        { "1h30m", 100000 - 5400, 5 },
        { "1.5s", 99998, 500000005 },
        { "100ms", 99999, 900000005 },
    };
    const struct timespec now = { 100000, 5 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct timespec result = { 0 };

        if (time_option_parse(rows[i].text, "--since", &now, &result, NULL) < 0 ||
            result.tv_sec != rows[i].seconds || result.tv_nsec != rows[i].nano)
            fail_msg("'%s' is %lld.%09ld", rows[i].text, (long long)result.tv_sec, result.tv_nsec);
    }
}

static void other_times_are_refused(void **state)
{
    const struct timespec now = { 0 };
    struct timespec result;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(time_option_parse("5 minutes", "--since", &now, &result, &err), -EINVAL);
    assert_string_equal(err.message, "--since '5 minutes': give a date such as "
                                     "2026-01-02T15:04:05Z, seconds since 1970, or how long ago, "
                                     "as 42m");
    assert_int_equal(time_option_parse("", "--since", &now, &result, NULL), -EINVAL);
    assert_int_equal(time_option_parse("m", "--since", &now, &result, NULL), -EINVAL);
}

static void a_process_may_be_called_anything(void **state)
{
    static const char stat[] = "42 (a) (b) S 7 42 42 34817 42 4194304 1 0 0 0 250 50 0 0 20 0 1 0 "
                               "9000 0 0 18446744073709551615";
    const struct top_clock clock = { .now = 1000, .boot = 810, .ticks = 100 };
    struct top_process process;

    (void)state;
    assert_int_equal(top_process_parse(stat, &process, NULL), 0);
    assert_string_equal(process.command, "a) (b");
    (void)setenv("TZ", "UTC", 1);
    check_text(top_format_row(&process, &clock, "root", ""),
               "root\t42\t7\t3\t00:15\tpts/1\t00:00:03\t[a) (b]\n");
    check_text(top_format_row(&process, &clock, "root", "sleep 5"),
               "root\t42\t7\t3\t00:15\tpts/1\t00:00:03\tsleep 5\n");
    (void)snprintf(process.command, sizeof(process.command), "\x1b]0;x\n\xc2\x9b");
    check_text(top_format_row(&process, &clock, "root", ""),
               "root\t42\t7\t3\t00:15\tpts/1\t00:00:03\t[\\x1b]0;x \\u009b]\n");
}

static void a_cut_process_is_refused(void **state)
{
    struct top_process process;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(top_process_parse("42 (a) S 7", &process, &err), -EINVAL);
    assert_string_equal(err.message, "read process 42: its status is cut");
    assert_int_equal(top_process_parse("42", &process, NULL), -EINVAL);
}

static void use_of_the_cpu_is_the_difference_of_two_looks(void **state)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    struct stats_sample before = { .id = (char *)"0123456789abcdef",
                                   .name = (char *)"web",
                                   .is_running = true,
                                   .taken_ns = 1000000000,
                                   .usage = { .has_cpu = true, .cpu_ns = 0 } };
    struct stats_sample after = before;

    (void)state;
    after.taken_ns = 2000000000;
    after.usage = (struct cgroup_usage){ .has_cpu = true,
                                         .cpu_ns = 500000000,
                                         .has_memory = true,
                                         .memory_bytes = 3 << 20,
                                         .memory_inactive_file_bytes = 1 << 20,
                                         .memory_limit_bytes = 8 << 20,
                                         .has_pids = true,
                                         .pids = 2 };
    stats_row_format(&before, &after, 1 << 30, false, &fields);
    assert_string_equal(string_map_get(&fields, "ID"), "0123456789ab");
    assert_string_equal(string_map_get(&fields, "CPUPerc"), "50.00%");
    assert_string_equal(string_map_get(&fields, "MemUsage"), "2MiB / 8MiB");
    assert_string_equal(string_map_get(&fields, "MemPerc"), "25.00%");
    assert_string_equal(string_map_get(&fields, "PIDs"), "2");
}

static void what_docker_does_not_show_is_there_by_name(void **state)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    const struct stats_sample sample = {
        .id = (char *)"0123456789abcdef",
        .name = (char *)"web",
        .is_running = true,
        .usage = { .has_cpu = true,
                   .cpu_user_ns = 1500000000,
                   .cpu_system_ns = 20000000,
                   .has_throttling = true,
                   .throttled_ns = 2500000000,
                   .throttled_periods = 3,
                   .periods = 10,
                   .has_memory = true,
                   .memory_anon_bytes = 2 << 20,
                   .memory_file_bytes = 1 << 20,
                   .oom_kills = 1,
                   .memory_limit_hits = 4,
                   .has_memory_peak = true,
                   .memory_peak_bytes = 5 << 20,
                   .has_pids = true,
                   .pids = 2,
                   .pids_limit = 20,
                   .has_pids_peak = true,
                   .pids_peak = 7 },
        .has_pressure = true,
        .cpu_pressure = { .some = { .avg10 = 12.5 }, .full = { .avg10 = 1.25 } },
    };
    static const struct {
        const char *field, *value;
    } rows[] = {
        { "CPUUser", "1.50s" },
        { "CPUSystem", "0.02s" },
        { "ThrottledTime", "2.50s" },
        { "ThrottledPeriods", "3 / 10" },
        { "MemAnon", "2MiB" },
        { "MemFile", "1MiB" },
        { "MemKernel", "-" },
        { "MemPeak", "5MiB" },
        { "MemSwap", "-" },
        { "MemLimitHits", "4" },
        { "OOMKills", "1" },
        { "PIDsPeak", "7" },
        { "PIDsLimit", "20" },
        { "PressureCPU", "12.50% / 1.25%" },
        { "PressureMemory", "0.00% / 0.00%" },
        { "PressureIO", "0.00% / 0.00%" },
    };

    (void)state;
    stats_row_format(NULL, &sample, 1 << 30, false, &fields);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *value = string_map_get(&fields, rows[i].field);

        if (!text_equal(value, rows[i].value))
            fail_msg("%s: '%s'", rows[i].field, value != NULL ? value : "nothing");
    }
    for (const struct listing_column *column = stats_columns; column->field != NULL; column++)
        if (string_map_get(&fields, column->field) == NULL)
            fail_msg("no field %s", column->field);
}

static void a_container_that_ended_shows_zeros(void **state)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    const struct stats_sample sample = { .id = (char *)"0123456789abcdef", .name = (char *)"web" };

    (void)state;
    stats_row_format(NULL, &sample, 1 << 30, true, &fields);
    assert_string_equal(string_map_get(&fields, "ID"), "0123456789abcdef");
    assert_string_equal(string_map_get(&fields, "CPUPerc"), "0.00%");
    assert_string_equal(string_map_get(&fields, "MemUsage"), "0B / 0B");
    assert_string_equal(string_map_get(&fields, "PIDs"), "0");
}

static void what_nobody_counts_is_marked(void **state)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    const struct stats_sample sample = { .id = (char *)"0123456789abcdef",
                                         .name = (char *)"web",
                                         .is_running = true,
                                         .usage = { .has_pids = true, .pids = 2 } };

    (void)state;
    stats_row_format(NULL, &sample, 1 << 30, true, &fields);
    assert_string_equal(string_map_get(&fields, "CPUPerc"), "--");
    assert_string_equal(string_map_get(&fields, "MemUsage"), "-- / --");
    assert_string_equal(string_map_get(&fields, "MemPerc"), "--");
    assert_string_equal(string_map_get(&fields, "BlockIO"), "-- / --");
    assert_string_equal(string_map_get(&fields, "PIDs"), "2");
}

static void unknown_filters_are_named(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "naem=x", "invalid filter 'naem=x', did you mean 'name'?" },
        { "name", "invalid filter 'name': give name=VALUE" },
        { "status=up", "invalid filter 'status=up': give created, restarting, running, removing, "
                       "paused, exited or dead" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(strings) struct strings texts = { 0 };
        struct ps_filters filters;
        struct error err = { 0 };

        strings_add(&texts, rows[i].text);
        assert_int_equal(ps_filters_parse(&texts, &filters, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_texts_are_cut_by_characters),
        cmocka_unit_test(commands_are_quoted_as_go_does),
        cmocka_unit_test(a_column_has_no_byte_for_the_terminal),
        cmocka_unit_test(a_table_has_no_byte_for_the_terminal),
        cmocka_unit_test(a_status_tells_since_when),
        cmocka_unit_test(labels_are_sorted),
        cmocka_unit_test(times_may_be_dates_seconds_or_spans),
        cmocka_unit_test(other_times_are_refused),
        cmocka_unit_test(a_process_may_be_called_anything),
        cmocka_unit_test(a_cut_process_is_refused),
        cmocka_unit_test(use_of_the_cpu_is_the_difference_of_two_looks),
        cmocka_unit_test(what_docker_does_not_show_is_there_by_name),
        cmocka_unit_test(a_container_that_ended_shows_zeros),
        cmocka_unit_test(what_nobody_counts_is_marked),
        cmocka_unit_test(unknown_filters_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
