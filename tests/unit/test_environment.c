#include "tests/unit/base_test.h"

#include <stdlib.h>

#include "runtime/environment.h"

static void of_one_name_the_last_value_stays_at_its_place(void **state)
{
    char *given[] = { "A=1", "PATH=/x", "AB=2", "A=3", "B=", "PATH=/y", "A==", NULL };
    const struct strings list = { given, 7 };
    struct strings env = { 0 };
    auto_free char *joined = NULL;

    (void)state;
    environment_plan(&list, &env);
    joined = strings_join(&env, " ");
    assert_string_equal(joined, "AB=2 B= PATH=/y A==");
    strings_clear(&env);
}

static void home_is_added_only_where_it_has_no_value(void **state)
{
    struct strings env = { 0 };

    (void)state;
    strings_add(&env, "HOME=/mine");
    environment_complete_child(&env, 0, 0);
    assert_int_equal(env.count, 1);
    assert_string_equal(env.items[0], "HOME=/mine");

    strings_set_variable(&env, "HOME", "");
    environment_complete_child(&env, 4294967294u, 0); /* nobody has that id */
    assert_int_equal(env.count, 1);
    assert_string_equal(env.items[0], "HOME=/");
    strings_clear(&env);
}

static void passed_sockets_are_told_with_the_own_pid(void **state)
{
    struct strings env = { 0 };
    auto_free char *pid = xasprintf("%d", (int)getpid());

    (void)state;
    strings_add(&env, "HOME=/");
    strings_add(&env, "LISTEN_PID=7");
    environment_complete_child(&env, 0, 3);
    assert_string_equal(strings_variable(&env, "LISTEN_FDS"), "3");
    assert_string_equal(strings_variable(&env, "LISTEN_PID"), pid);
    assert_int_equal(env.count, 3);
    strings_clear(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_one_name_the_last_value_stays_at_its_place),
        cmocka_unit_test(home_is_added_only_where_it_has_no_value),
        cmocka_unit_test(passed_sockets_are_told_with_the_own_pid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
