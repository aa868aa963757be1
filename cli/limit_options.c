#include "cli/limit_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/text.h"
#include "cli/run_values.h"

#define NANO 1000000000u

const struct option limit_options[] = {
    LIMIT_BLKIO_WEIGHT,
    LIMIT_BLKIO_WEIGHT_DEVICE,
    LIMIT_CGROUP_CONF,
    LIMIT_CPU_PERIOD,
    LIMIT_CPU_QUOTA,
    LIMIT_CPU_RT_PERIOD,
    LIMIT_CPU_RT_RUNTIME,
    LIMIT_CPU_SHARES,
    LIMIT_CPUS,
    LIMIT_CPUSET_CPUS,
    LIMIT_CPUSET_MEMS,
    LIMIT_DEVICE_READ_BPS,
    LIMIT_DEVICE_READ_IOPS,
    LIMIT_DEVICE_WRITE_BPS,
    LIMIT_DEVICE_WRITE_IOPS,
    LIMIT_MEMORY,
    LIMIT_MEMORY_RESERVATION,
    LIMIT_MEMORY_SWAP,
    LIMIT_MEMORY_SWAPPINESS,
    LIMIT_PIDS_LIMIT,
    { 0 },
};

static int parse_memory(const struct arguments *arguments, struct settings *settings,
                        struct error *err)
{
    const char *swap = arguments_text(arguments, "memory-swap");
    uint64_t bytes = 0;
    int r;

    r = run_value_bytes(arguments, "memory", &settings->memory, err);
    if (r == 0)
        r = run_value_bytes(arguments, "memory-reservation", &settings->memory_reservation, err);
    if (r < 0 || swap == NULL)
        return r;
    if (strcmp(swap, "-1") == 0) {
        settings->memory_swap = -1;
        return 0;
    }
    r = text_parse_bytes(swap, "--memory-swap", &bytes, err);
    if (r < 0)
        return r;
    if (bytes > INT64_MAX)
        return error_set(err, ERANGE, "--memory-swap: '%s' is too large", swap);
    settings->memory_swap = (int64_t)bytes;
    return 0;
}

/* --cpus, or quota and period: the two ways to say the same replace each other. */
static int parse_cpu(const struct arguments *arguments, struct settings *settings,
                     struct error *err)
{
    const char *cpus = arguments_text(arguments, "cpus");
    int64_t shares = 0, period = 0, quota = 0;
    uint64_t nano_cpus = 0;
    int r = 0;

    if (cpus != NULL)
        r = text_parse_nano(cpus, "--cpus", &nano_cpus, err);
    if (r == 0)
        r = run_value_number(arguments, "cpu-shares", 0, INT64_MAX, &shares, err);
    if (r == 0)
        r = run_value_number(arguments, "cpu-period", 0, INT64_MAX, &period, err);
    if (r == 0)
        r = run_value_number(arguments, "cpu-quota", -1, INT64_MAX, &quota, err);
    if (r < 0)
        return r;
    if (nano_cpus > 0 && (period > 0 || quota != 0))
        return error_set(err, EINVAL, "--cpus cannot be used together with --cpu-%s",
                         period > 0 ? "period" : "quota");
    if (cpus != NULL) {
        settings->nano_cpus = nano_cpus;
        settings->cpu_period = 0;
        settings->cpu_quota = 0;
    }
    if (period > 0 || quota != 0)
        settings->nano_cpus = 0;
    if (arguments_has(arguments, "cpu-shares"))
        settings->cpu_shares = (uint64_t)shares;
    if (arguments_has(arguments, "cpu-period"))
        settings->cpu_period = (uint64_t)period;
    if (arguments_has(arguments, "cpu-quota"))
        settings->cpu_quota = quota;
    return 0;
}

static int parse_realtime(const struct arguments *arguments, struct settings *settings,
                          struct error *err)
{
    int64_t period = 0, runtime = 0;
    int r;

    r = run_value_number(arguments, "cpu-rt-period", 0, INT64_MAX, &period, err);
    if (r == 0)
        r = run_value_number(arguments, "cpu-rt-runtime", -1, INT64_MAX, &runtime, err);
    if (r < 0)
        return r;
    if (arguments_has(arguments, "cpu-rt-period"))
        settings->cpu_rt_period = (uint64_t)period;
    if (arguments_has(arguments, "cpu-rt-runtime"))
        settings->cpu_rt_runtime = runtime;
    return 0;
}

static int parse_numbers(const struct arguments *arguments, struct settings *settings,
                         struct error *err)
{
    int64_t pids = 0, swappiness = -1, weight = 0;
    int r;

    r = run_value_number(arguments, "pids-limit", -1, INT64_MAX, &pids, err);
    if (r == 0)
        r = run_value_number(arguments, "memory-swappiness", -1, 100, &swappiness, err);
    if (r == 0)
        r = run_value_number(arguments, "blkio-weight", 0, 1000, &weight, err);
    if (r < 0)
        return r;
    if (weight > 0 && weight < 10)
        return error_set(err, EINVAL,
                         "--blkio-weight: '%lld' is not a number from 10 to 1000, or 0",
                         (long long)weight);
    if (arguments_has(arguments, "pids-limit")) {
        settings->has_pids_limit = true;
        settings->pids_limit = pids;
    }
    if (swappiness >= 0) {
        settings->has_swappiness = true;
        settings->swappiness = (uint64_t)swappiness;
    }
    if (arguments_has(arguments, "blkio-weight"))
        settings->blkio_weight = (uint16_t)weight;
    return 0;
}

static int parse_weights(const struct arguments *arguments, struct settings *settings,
                         struct error *err)
{
    const struct strings *list = arguments_list(arguments, "blkio-weight-device");
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->count; i++)
        r = run_value_weight(&settings->blkio_weights, list->items[i], err);
    return r;
}

static int parse_rates(const struct arguments *arguments, struct settings *settings,
                       struct error *err)
{
    const struct {
        const char *option;
        struct settings_rates *rates;
        bool is_bytes;
    } rows[] = {
        { "device-read-bps", &settings->read_bps, true },
        { "device-write-bps", &settings->write_bps, true },
        { "device-read-iops", &settings->read_iops, false },
        { "device-write-iops", &settings->write_iops, false },
    };

    for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
        const struct strings *list = arguments_list(arguments, rows[row].option);
        auto_free char *what = xasprintf("--%s", rows[row].option);

        for (size_t i = 0; i < list->count; i++) {
            int r = run_value_rate(rows[row].rates, what, list->items[i], rows[row].is_bytes, err);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int parse_texts(const struct arguments *arguments, struct settings *settings,
                       struct error *err)
{
    const struct {
        const char *option;
        char **member;
    } rows[] = {
        { "cpuset-cpus", &settings->cpuset_cpus },
        { "cpuset-mems", &settings->cpuset_mems },
    };
    const struct strings *conf = arguments_list(arguments, "cgroup-conf");
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *text = arguments_text(arguments, rows[i].option);

        if (text_is_empty(text)) /* docker's "not given" */
            continue;
        free(*rows[i].member);
        *rows[i].member = xstrdup(text);
    }
    for (size_t i = 0; r == 0 && i < conf->count; i++)
        r = run_value_pair(&settings->cgroup_conf, "--cgroup-conf", conf->items[i], true, err);
    return r;
}

int limit_options_parse(const struct arguments *arguments, struct settings *settings,
                        struct error *err)
{
    static int (*const steps[])(const struct arguments *arguments, struct settings *settings,
                                struct error *err) = {
        parse_memory,  parse_cpu,   parse_realtime, parse_numbers,
        parse_weights, parse_rates, parse_texts,
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
        r = steps[i](arguments, settings, err);
    return r;
}

int limit_options_check_machine(const struct arguments *arguments, struct settings *settings,
                                struct error *err)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    if (!arguments_has(arguments, "cpus") || count < 1 ||
        settings->nano_cpus <= (uint64_t)count * NANO)
        return 0;
    return error_set(err, EINVAL,
                     "--cpus '%s': range of CPUs is from 0.01 to %ld, as this machine has no more",
                     arguments_text(arguments, "cpus"), count);
}

int limit_options_check_any(const struct arguments *arguments, struct error *err)
{
    if (arguments_has_any(arguments))
        return 0;
    return error_set(err, EINVAL, "nothing to update: give a limit, see 'berth %s --help'",
                     arguments->command->name);
}
