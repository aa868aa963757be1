#include "runtime/container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void decode(const char *json, struct cgroup_resources *ret_resources)
{
    struct error err = { 0 };

    if (decode_text(&cgroup_resources_object, json, strlen(json), ret_resources, "test", &err) < 0)
        fail_msg("%s", err.message);
}

/* What is in force, what is given; what is in force then, what is to be applied. */
static void assert_change(const char *before, const char *given, const char *expected_all,
                          const char *expected_change)
{
    struct cgroup_resources all = { 0 }, copy = { 0 }, change = { 0 };
    auto_free char *all_json = NULL;
    auto_free char *change_json = NULL;

    decode(before, &all);
    decode(given, &copy);
    decode(given, &change);
    resources_merge_change(&all, &copy, &change);
    all_json = encode_text(&cgroup_resources_object, &all, ENCODE_COMPACT);
    change_json = encode_text(&cgroup_resources_object, &change, ENCODE_COMPACT);
    object_clear(&cgroup_resources_object, &all);
    object_clear(&cgroup_resources_object, &copy);
    object_clear(&cgroup_resources_object, &change);
    assert_string_equal(all_json, expected_all);
    assert_string_equal(change_json, expected_change);
}

static void what_is_one_value_for_the_kernel_is_applied_together(void **state)
{
    (void)state;
    assert_change("{\"cpu\":{\"quota\":5,\"period\":10}}", "{\"cpu\":{\"period\":20}}",
                  "{\"cpu\":{\"quota\":5,\"period\":20}}", "{\"cpu\":{\"quota\":5,\"period\":20}}");
    assert_change("{\"memory\":{\"limit\":5,\"swap\":9}}", "{\"memory\":{\"limit\":6}}",
                  "{\"memory\":{\"limit\":6,\"swap\":9}}", "{\"memory\":{\"limit\":6,\"swap\":9}}");
    assert_change("{\"memory\":{\"limit\":5}}", "{\"memory\":{\"swap\":8}}",
                  "{\"memory\":{\"limit\":5,\"swap\":8}}", "{\"memory\":{\"limit\":5,\"swap\":8}}");
}

static void what_does_not_belong_together_is_left_alone(void **state)
{
    (void)state;
    assert_change("{\"memory\":{\"limit\":5},\"cpu\":{\"shares\":7,\"quota\":8,\"period\":9},"
                  "\"pids\":{\"limit\":3}}",
                  "{\"pids\":{\"limit\":4}}",
                  "{\"memory\":{\"limit\":5},\"cpu\":{\"shares\":7,\"quota\":8,\"period\":9},"
                  "\"pids\":{\"limit\":4}}",
                  "{\"pids\":{\"limit\":4}}");
}

static void no_limit_on_memory_is_none_on_memory_and_swap(void **state)
{
    (void)state;
    assert_change("{\"memory\":{\"limit\":5,\"swap\":9}}", "{\"memory\":{\"limit\":-1}}",
                  "{\"memory\":{\"limit\":-1,\"swap\":-1}}",
                  "{\"memory\":{\"limit\":-1,\"swap\":-1}}");
    assert_change("{\"memory\":{\"limit\":5,\"swap\":9}}", "{\"memory\":{\"limit\":-1,\"swap\":7}}",
                  "{\"memory\":{\"limit\":-1,\"swap\":7}}",
                  "{\"memory\":{\"limit\":-1,\"swap\":7}}");
}

static void shares_come_back_when_a_group_is_idle_no_more(void **state)
{
    (void)state;
    assert_change("{\"cpu\":{\"shares\":200,\"idle\":1}}", "{\"cpu\":{\"idle\":0}}",
                  "{\"cpu\":{\"shares\":200,\"idle\":0}}", "{\"cpu\":{\"shares\":200,\"idle\":0}}");
    assert_change("{\"cpu\":{\"shares\":200,\"idle\":1}}", "{\"cpu\":{\"shares\":300}}",
                  "{\"cpu\":{\"shares\":300,\"idle\":1}}", "{\"cpu\":{\"shares\":300,\"idle\":1}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_one_value_for_the_kernel_is_applied_together),
        cmocka_unit_test(what_does_not_belong_together_is_left_alone),
        cmocka_unit_test(no_limit_on_memory_is_none_on_memory_and_swap),
        cmocka_unit_test(shares_come_back_when_a_group_is_idle_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
