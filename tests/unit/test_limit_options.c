#include "cli/limit_options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"

static const struct option no_options[] = { { 0 } };

static const struct command commands[] = {
    { .name = "limit", .help = "Limit", .options = limit_options, .max_words = 0 },
    { 0 },
};

static const struct program program = {
    .name = "berth",
    .summary = "Runs containers",
    .commands = commands,
    .global_options = no_options,
    .usage_status = 125,
};

/* Parses words that end with NULL over @settings. */
static int parse_for(bool is_container, struct settings *settings, const char *const *words,
                     struct error *err)
{
    char *line[16] = { (char *)"berth", (char *)"limit" };
    struct arguments arguments = { 0 };
    int count = 2;
    int r;

    for (; *words != NULL; words++)
        line[count++] = (char *)*words;
    r = arguments_parse(&program, count, line, &arguments, err);
    if (r < 0)
        return r;
    r = limit_options_parse(&arguments, settings, err);
    if (r == 0 && is_container)
        r = limit_options_check_machine(&arguments, settings, err);
    arguments_clear(&arguments);
    return r;
}

static int parse(struct settings *settings, const char *const *words, struct error *err)
{
    return parse_for(false, settings, words, err);
}

static int parse_container(struct settings *settings, const char *const *words, struct error *err)
{
    return parse_for(true, settings, words, err);
}

static void parse_good(struct settings *settings, const char *const *words)
{
    struct error err = { 0 };

    if (parse(settings, words, &err) < 0)
        fail_msg("%s", err.message);
}

static void what_is_not_given_stays(void **state)
{
    AUTO(settings) struct settings *settings = settings_default();
    const char *first[] = {
        "-m",           "64m", "--memory-reservation", "32m", "-c", "512", "--cpus", "0.5",
        "--pids-limit", "20",  "--cpuset-cpus",        "0",   NULL
    };
    const char *second[] = { "-m", "128m", "--cgroup-conf", "memory.high=64M", "--cpuset-cpus=",
                             NULL };

    (void)state;
    parse_good(settings, first);
    parse_good(settings, second);
    assert_int_equal(settings->memory, 128 << 20);
    assert_int_equal(settings->memory_reservation, 32 << 20);
    assert_int_equal(settings->cpu_shares, 512);
    assert_int_equal(settings->nano_cpus, 500000000);
    assert_true(settings->has_pids_limit);
    assert_int_equal(settings->pids_limit, 20);
    assert_string_equal(settings->cpuset_cpus, "0");
    assert_string_equal(string_map_get(&settings->cgroup_conf, "memory.high"), "64M");
}

static void cpus_and_a_quota_replace_each_other(void **state)
{
    AUTO(settings) struct settings *settings = settings_default();
    const char *cpus[] = { "--cpus", "2", NULL };
    const char *quota[] = { "--cpu-quota", "50000", NULL };
    const char *both[] = { "--cpus", "2", "--cpu-quota", "50000", NULL };
    struct error err = { 0 };

    (void)state;
    parse_good(settings, cpus);
    parse_good(settings, quota);
    assert_int_equal(settings->nano_cpus, 0);
    assert_int_equal(settings->cpu_quota, 50000);
    parse_good(settings, cpus);
    assert_int_equal(settings->nano_cpus, 2000000000);
    assert_int_equal(settings->cpu_quota, 0);
    assert_true(parse(settings, both, &err) < 0);
    assert_string_equal(err.message, "--cpus cannot be used together with --cpu-quota");
}

static void cpus_of_a_container_are_at_most_the_machines(void **state)
{
    AUTO(settings) struct settings *settings = settings_default();
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    auto_free char *all = xasprintf("%ld", count);
    auto_free char *more = xasprintf("%ld.01", count);
    auto_free char *expected = xasprintf(
        "--cpus '%s': range of CPUs is from 0.01 to %ld, as this machine has no more", more, count);
    const char *good[] = { "--cpus", all, NULL };
    const char *bad[] = { "--cpus", more, NULL };
    const char *other[] = { "-m", "64m", NULL };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(parse_container(settings, good, &err), 0);
    assert_int_equal(parse_container(settings, bad, &err), -EINVAL);
    assert_string_equal(err.message, expected);
    /* What an older one has stays, also on a machine that lost CPUs. A cgroup's is only a bound. */
    assert_int_equal(parse_container(settings, other, &err), 0);
    parse_good(settings, bad);
}

static void the_last_rate_of_a_device_wins(void **state)
{
    AUTO(settings) struct settings *settings = settings_default();
    const char *first[] = { "--device-read-bps", "/dev/a:1m", "--device-read-bps", "/dev/b:2m",
                            NULL };
    const char *second[] = { "--device-read-bps", "/dev/a:0", NULL };

    (void)state;
    parse_good(settings, first);
    parse_good(settings, second);
    assert_int_equal(settings->read_bps.count, 2);
    assert_int_equal(settings->read_bps.items[0].rate, 0);
    assert_int_equal(settings->read_bps.items[1].rate, 2 << 20);
}

static void times_of_realtime_are_whole_microseconds(void **state)
{
    AUTO(settings) struct settings *settings = settings_default();
    const char *first[] = { "--cpu-rt-period", "500000", "--cpu-rt-runtime", "10000", NULL };
    const char *second[] = { "--cpu-rt-runtime=-1", NULL };
    static const struct {
        const char *words[3];
        const char *message;
    } rows[] = {
        { { "--cpu-rt-period", "-1" },
          "--cpu-rt-period: '-1' is not a number from 0 to 9223372036854775807" },
        { { "--cpu-rt-period", "10ms" },
          "--cpu-rt-period: '10ms' is not a number from 0 to 9223372036854775807" },
        { { "--cpu-rt-runtime", "-2" },
          "--cpu-rt-runtime: '-2' is not a number from -1 to 9223372036854775807" },
        { { "--cpu-rt-runtime", "" },
          "--cpu-rt-runtime: '' is not a number from -1 to 9223372036854775807" },
    };

    (void)state;
    parse_good(settings, first);
    parse_good(settings, second);
    assert_int_equal(settings->cpu_rt_period, 500000);
    assert_int_equal(settings->cpu_rt_runtime, -1);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = { 0 };

        print_message("row %zu\n", i);
        assert_true(parse(settings, rows[i].words, &err) < 0);
        assert_string_equal(err.message, rows[i].message);
    }
    assert_int_equal(settings->cpu_rt_period, 500000);
}

static void a_device_weighs_10_to_1000_or_as_the_others(void **state)
{
    AUTO(settings) struct settings *settings = settings_default();
    const char *first[] = { "--blkio-weight-device", "/dev/a:10", "--blkio-weight-device",
                            "/dev/b:1000", NULL };
    const char *second[] = { "--blkio-weight-device", "/dev/a:0", NULL };
    static const char *const bad[] = { "",         "/dev/sda",  "sda:300",     "/dev/sda:",
                                       "/dev/a:9", "/dev/a:-1", "/dev/a:1001", "/dev/a:0x20" };

    (void)state;
    parse_good(settings, first);
    parse_good(settings, second);
    assert_int_equal(settings->blkio_weights.count, 2);
    assert_string_equal(settings->blkio_weights.items[0].path, "/dev/a");
    assert_int_equal(settings->blkio_weights.items[0].rate, 0);
    assert_int_equal(settings->blkio_weights.items[1].rate, 1000);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *words[] = { "--blkio-weight-device", bad[i], NULL };
        auto_free char *message = xasprintf("--blkio-weight-device '%s': give /dev/NAME:WEIGHT, "
                                            "a weight from 10 to 1000, or 0",
                                            bad[i]);
        struct error err = { 0 };

        print_message("row %zu\n", i);
        assert_true(parse(settings, words, &err) < 0);
        assert_string_equal(err.message, message);
    }
    assert_int_equal(settings->blkio_weights.count, 2);
}

static void a_verbatim_file_needs_a_value(void **state)
{
    AUTO(settings) struct settings *settings = settings_default();
    const char *words[] = { "--cgroup-conf", "memory.high", NULL };
    struct error err = { 0 };

    (void)state;
    assert_true(parse(settings, words, &err) < 0);
    assert_string_equal(err.message, "--cgroup-conf 'memory.high': give KEY=VALUE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_given_stays),
        cmocka_unit_test(cpus_and_a_quota_replace_each_other),
        cmocka_unit_test(cpus_of_a_container_are_at_most_the_machines),
        cmocka_unit_test(the_last_rate_of_a_device_wins),
        cmocka_unit_test(times_of_realtime_are_whole_microseconds),
        cmocka_unit_test(a_device_weighs_10_to_1000_or_as_the_others),
        cmocka_unit_test(a_verbatim_file_needs_a_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
