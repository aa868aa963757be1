#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/auto.h"
#include "engine/restart_policy.h"

static void each_policy_decides_as_docker_does(void **state)
{
    static const struct {
        enum settings_restart policy;
        uint32_t max;
        int status;
        uint32_t count;
        bool was_stopped, is_due;
    } rows[] = {
        { RESTART_NO, 0, 1, 0, false, false },
        { RESTART_ON_FAILURE, 0, 0, 0, false, false },
        { RESTART_ON_FAILURE, 0, 1, 1000, false, true },
        { RESTART_ON_FAILURE, 3, 1, 2, false, true },
        { RESTART_ON_FAILURE, 3, 1, 3, false, false },
        { RESTART_ON_FAILURE, 3, 1, 0, true, false },
        { RESTART_ALWAYS, 0, 0, 5, false, true },
        { RESTART_ALWAYS, 0, 137, 5, true, false },
        { RESTART_UNLESS_STOPPED, 0, 0, 0, false, true },
        { RESTART_UNLESS_STOPPED, 0, 0, 0, true, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        print_message("row %zu\n", i);
        assert_int_equal(restart_is_due(rows[i].policy, rows[i].max, rows[i].status, rows[i].count,
                                        rows[i].was_stopped),
                         rows[i].is_due);
    }
}

static void the_delay_doubles_up_to_a_minute(void **state)
{
    uint32_t delay = 0;

    (void)state;
    for (uint32_t expected = 100; expected <= 51200; expected *= 2) {
        delay = restart_next_delay(delay, 50);
        assert_int_equal(delay, expected);
    }
    delay = restart_next_delay(delay, 50);
    assert_int_equal(delay, 60000);
    assert_int_equal(restart_next_delay(delay, 50), 60000);
}

static void who_ran_ten_seconds_begins_again_with_the_shortest(void **state)
{
    (void)state;
    assert_int_equal(restart_next_delay(60000, 9999), 60000);
    assert_int_equal(restart_next_delay(60000, 10000), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_policy_decides_as_docker_does),
        cmocka_unit_test(the_delay_doubles_up_to_a_minute),
        cmocka_unit_test(who_ran_ten_seconds_begins_again_with_the_shortest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
