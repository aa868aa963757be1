#include "engine/settings_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void what_is_limited_no_more_is_set_free(void **state)
{
    const struct cgroup_resources old = {
        .memory = { .has_limit = true,
                    .limit = 1 << 20,
                    .has_swap = true,
                    .swap = 2 << 20,
                    .has_reservation = true,
                    .reservation = 4096 },
        .cpu = { .has_shares = true,
                 .shares = 512,
                 .has_quota = true,
                 .quota = 50000,
                 .has_period = true,
                 .period = 50000,
                 .has_realtime_period = true,
                 .realtime_period = 500000,
                 .has_realtime_runtime = true,
                 .realtime_runtime = 1000 },
        .pids = { .has_limit = true, .limit = 20 },
        .block_io = { .has_weight = true, .weight = 500 },
    };
    struct cgroup_resources wanted = { 0 };

    (void)state;
    settings_limits_release(&old, false, &wanted);
    assert_true(wanted.memory.has_limit && wanted.memory.limit == -1);
    assert_true(wanted.memory.has_swap && wanted.memory.swap == -1);
    assert_true(wanted.memory.has_reservation && wanted.memory.reservation == -1);
    assert_true(wanted.cpu.has_shares && wanted.cpu.shares == 1024);
    assert_true(wanted.cpu.has_quota && wanted.cpu.quota == -1);
    assert_true(wanted.cpu.has_period && wanted.cpu.period == 100000);
    assert_true(wanted.cpu.has_realtime_period && wanted.cpu.realtime_period == 1000000);
    assert_true(wanted.cpu.has_realtime_runtime && wanted.cpu.realtime_runtime == 0);
    assert_true(wanted.pids.has_limit && wanted.pids.limit == -1);
    assert_true(wanted.block_io.has_weight && wanted.block_io.weight == 0);
    assert_true(wanted.block_io.is_weight_released);
}

static void what_is_limited_still_keeps_its_new_limit(void **state)
{
    const struct cgroup_resources old = {
        .memory = { .has_limit = true, .limit = 1 << 20 },
        .pids = { .has_limit = true, .limit = 20 },
    };
    struct cgroup_resources wanted = {
        .memory = { .has_limit = true, .limit = 2 << 20 },
        .pids = { .has_limit = true, .limit = 30 },
    };

    (void)state;
    settings_limits_release(&old, true, &wanted);
    assert_int_equal(wanted.memory.limit, 2 << 20);
    assert_int_equal(wanted.pids.limit, 30);
    assert_false(wanted.memory.has_swap);
    assert_false(wanted.cpu.has_quota);
    assert_false(wanted.block_io.has_weight || wanted.block_io.is_weight_released);
}

static void a_device_that_weighs_nothing_of_its_own_weighs_as_the_others(void **state)
{
    struct cgroup_weight_device before[] = {
        { .major = 8, .minor = 0, .has_weight = true, .weight = 300 },
        { .major = 8, .minor = 16, .has_weight = true },
    };
    struct cgroup_weight_device after[] = {
        { .major = 8, .minor = 0, .has_weight = true },
        { .major = 8, .minor = 16, .has_weight = true },
        { .major = 9, .minor = 0, .has_weight = true },
    };
    const struct cgroup_resources old = { .block_io.weight_devices = { before, 2 } };
    struct cgroup_resources wanted = { .block_io.weight_devices = { after, 3 } };

    (void)state;
    settings_limits_release(&old, false, &wanted);
    assert_int_equal(after[0].weight, 0);
    assert_int_equal(after[0].released_weight, 100);
    assert_int_equal(after[1].released_weight, 0); /* was not set: nothing is taken back */
    assert_int_equal(after[2].released_weight, 0);
    wanted.block_io.has_weight = true;
    wanted.block_io.weight = 500;
    settings_limits_release(&old, false, &wanted);
    assert_int_equal(after[0].released_weight, 500);
}

static void a_limit_of_swap_that_stayed_behind_is_named_as_an_earlier_one(void **state)
{
    const int64_t mb = 1 << 20;
    const struct {
        uint64_t memory;
        int64_t swap, old_swap;
        const char *message; /* NULL: fine */
    } rows[] = {
        { 64u << 20, 0, 0, NULL },
        { 64u << 20, 64 * mb, 64 * mb, NULL },
        { 65u << 20, 130 * mb, 64 * mb, NULL },
        { 65u << 20, -1, -1, NULL },
        { 0, 0, 64 * mb, NULL },
        { 65u << 20, 64 * mb, 64 * mb,
          "--memory 65MiB is more than memory and swap together may be (64MiB, by an earlier "
          "--memory-swap): give a larger --memory-swap, or -1 for no limit, as well" },
        { 0, -1, -1,
          "--memory 0: an earlier --memory-swap needs a limit of memory: give --memory-swap 0 as "
          "well" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct settings settings = { .memory = rows[i].memory, .memory_swap = rows[i].swap };
        struct error err = { 0 };
        int r = settings_limits_check_swap(&settings, rows[i].old_swap, &err);

        if ((r == 0) != (rows[i].message == NULL))
            fail_msg("row %zu: %d", i, r);
        if (rows[i].message != NULL)
            assert_string_equal(err.message, rows[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_limited_no_more_is_set_free),
        cmocka_unit_test(what_is_limited_still_keeps_its_new_limit),
        cmocka_unit_test(a_device_that_weighs_nothing_of_its_own_weighs_as_the_others),
        cmocka_unit_test(a_limit_of_swap_that_stayed_behind_is_named_as_an_earlier_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
