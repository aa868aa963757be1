#include "base/text.h"

#include "tests/unit/base_test.h"

static void sizes_are_written_as_docker_does(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *decimal;
        const char *binary;
    } rows[] = {
        { 0, "0B", "0B" },
        { 999, "999B", "999B" },
        { 1000, "1kB", "1000B" },
        { 1023, "1.02kB", "1023B" },
        { 1024, "1.02kB", "1KiB" },
        { 4260000, "4.26MB", "4.063MiB" },
        { 742000, "742kB", "724.6KiB" },
        { 1572864, "1.57MB", "1.5MiB" },
        { 999900, "1MB", "976.5KiB" },
        { 3ull << 30, "3.22GB", "3GiB" },
        { UINT64_MAX, "18.4EB", "16EiB" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *decimal = text_format_size(rows[i].bytes);
        auto_free char *binary = text_format_size_binary(rows[i].bytes);

        assert_string_equal(decimal, rows[i].decimal);
        assert_string_equal(binary, rows[i].binary);
    }
}

static void ages_are_written_as_docker_does(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } rows[] = {
        { 0, "Less than a second" },
        { 1, "1 second" },
        { 59, "59 seconds" },
        { 60, "About a minute" },
        { 119, "About a minute" },
        { 120, "2 minutes" },
        { 3599, "59 minutes" },
        { 3600, "About an hour" },
        { 5399, "About an hour" },
        { 5400, "2 hours" },
        { 47 * 3600, "47 hours" },
        { 48 * 3600, "2 days" },
        { 14 * 86400 - 3600, "13 days" },
        { 14 * 86400, "2 weeks" },
        { 59 * 86400, "8 weeks" },
        { 60 * 86400, "2 months" },
        { 729 * 86400, "24 months" },
        { 730 * 86400, "2 years" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *text = text_format_age(rows[i].seconds);

        assert_string_equal(text, rows[i].text);
    }
}

static void times_lose_the_zeros_at_their_end(void **state)
{
    static const struct {
        int64_t seconds;
        uint32_t nanoseconds;
        const char *text;
    } rows[] = {
        { 0, 0, "1970-01-01T00:00:00Z" },
        { 1767323045, 120000000, "2026-01-02T03:04:05.12Z" },
        { 1767323045, 123456789, "2026-01-02T03:04:05.123456789Z" },
        { 1767323045, 1, "2026-01-02T03:04:05.000000001Z" },
        { 951825600, 0, "2000-02-29T12:00:00Z" },
        { -1, 0, "1969-12-31T23:59:59Z" },
        { -62135596800, 0, "0001-01-01T00:00:00Z" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *text = text_format_time(rows[i].seconds, rows[i].nanoseconds);

        assert_string_equal(text, rows[i].text);
    }
}

static void each_day_reads_back_as_it_was_written(void **state)
{
    (void)state;
    for (int64_t day = -719162; day < 2932896; day += 7) {
        auto_free char *text = text_format_time(day * 86400 + 3661, 0);
        int64_t seconds = 0;
        uint32_t nanoseconds;

        assert_int_equal(text_parse_time(text, &seconds, &nanoseconds, NULL), 0);
        assert_int_equal(seconds, day * 86400 + 3661);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_written_as_docker_does),
        cmocka_unit_test(ages_are_written_as_docker_does),
        cmocka_unit_test(times_lose_the_zeros_at_their_end),
        cmocka_unit_test(each_day_reads_back_as_it_was_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
