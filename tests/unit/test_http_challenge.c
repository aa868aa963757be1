#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>

#include <cmocka.h>

#include "base/text.h"
#include "image/http_challenge.h"

static void hubs_challenge_is_read(void **state)
{
    AUTO_CLEAR(http_challenges) struct http_challenges list = { 0 };
    const struct http_challenge *bearer;

    (void)state;
    http_challenges_parse(
        "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
        "scope=\"repository:library/a:pull,push\"",
        &list);
    assert_int_equal(list.count, 1);
    bearer = http_challenges_find(&list, "bearer");
    assert_non_null(bearer);
    assert_string_equal(string_map_get(&bearer->parameters, "realm"),
                        "https://auth.docker.io/token");
    assert_string_equal(string_map_get(&bearer->parameters, "service"), "registry.docker.io");
    assert_string_equal(string_map_get(&bearer->parameters, "scope"),
                        "repository:library/a:pull,push");
}

static void several_challenges_in_one_header_are_told_apart(void **state)
{
    AUTO_CLEAR(http_challenges) struct http_challenges list = { 0 };

    (void)state;
    http_challenges_parse("Negotiate, Basic realm=\"a, \\\"b\\\"\" , BEARER Realm = \"r\", error=x",
                          &list);
    assert_int_equal(list.count, 3);
    assert_non_null(http_challenges_find(&list, "negotiate"));
    assert_string_equal(string_map_get(&http_challenges_find(&list, "basic")->parameters, "realm"),
                        "a, \"b\"");
    assert_string_equal(string_map_get(&http_challenges_find(&list, "bearer")->parameters, "realm"),
                        "r");
    assert_string_equal(string_map_get(&http_challenges_find(&list, "bearer")->parameters, "error"),
                        "x");
    assert_null(http_challenges_find(&list, "digest"));
}

static void the_first_of_two_parameters_of_a_name_counts(void **state)
{
    AUTO_CLEAR(http_challenges) struct http_challenges list = { 0 };

    (void)state;
    http_challenges_parse("Bearer realm=\"one\", realm=\"two\"", &list);
    assert_string_equal(string_map_get(&list.items[0].parameters, "realm"), "one");
}

static void what_makes_no_sense_ends_the_list(void **state)
{
    static const char *const rows[] = { "", " , ", "\"", "=x", "Bearer realm=\"no end", "@" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(http_challenges) struct http_challenges list = { 0 };

        print_message("%s\n", rows[i]);
        http_challenges_parse(rows[i], &list);
        for (size_t j = 0; j < list.count; j++)
            assert_null(string_map_get(&list.items[j].parameters, "realm"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hubs_challenge_is_read),
        cmocka_unit_test(several_challenges_in_one_header_are_told_apart),
        cmocka_unit_test(the_first_of_two_parameters_of_a_name_counts),
        cmocka_unit_test(what_makes_no_sense_ends_the_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
