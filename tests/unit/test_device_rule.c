#include "engine/device_rule.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/text.h"

static void a_rule_has_a_type_two_numbers_and_an_access(void **state)
{
    static const struct {
        const char *text;
        struct device_rule rule;
    } rows[] = {
        { "c 13:* rwm", { "c", 13, -1, "rwm" } },
        { "b *:0 r", { "b", -1, 0, "r" } },
        { "a *:* mw", { "a", -1, -1, "mw" } },
        { "c 4294967295:4294967295 m", { "c", UINT32_MAX, UINT32_MAX, "m" } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct device_rule rule = { 0 };

        print_message("%s\n", rows[i].text);
        assert_int_equal(device_rule_parse(rows[i].text, &rule, NULL), 0);
        assert_string_equal(rule.type, rows[i].rule.type);
        assert_int_equal(rule.major, rows[i].rule.major);
        assert_int_equal(rule.minor, rows[i].rule.minor);
        assert_string_equal(rule.access, rows[i].rule.access);
    }
}

static void anything_else_is_refused_with_the_form(void **state)
{
    static const char *const texts[] = {
        "",
        "c",
        "c 13:*",
        "13:* rwm",
        "c 13 rwm",
        "c 13:1:2 rwm",
        "c :1 rwm",
        "c 13: rwm",
        "c -1:1 rwm",
        "c 13:+1 rwm",
        "c 13:0x1 rwm",
        "c 1*:1 rwm",
        "c 13:* ",
        "c 13:* rwx",
        "c 13:* rwmr",
        "c 13:*  rwm",
        " c 13:* rwm",
        "c 13:* rwm ",
        "c\t13:* rwm",
        "cb 13:* rwm",
        "u 13:* rwm",
        "C 13:* rwm",
        " 13:* rwm",
        "p 13:* rwm",
        "c 13:* RWM",
        "c 13:* rwm\n",
        "c 4294967296:0 r",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct device_rule rule = { .major = 42 };
        struct error err = { 0 };

        print_message("%s\n", texts[i]);
        assert_int_equal(device_rule_parse(texts[i], &rule, &err), -EINVAL);
        assert_non_null(strstr(err.message, "': give TYPE MAJOR:MINOR ACCESS, as 'c 13:* rwm'"));
        assert_true(text_starts(err.message, "--device-cgroup-rule '"));
        assert_int_equal(rule.major, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_has_a_type_two_numbers_and_an_access),
        cmocka_unit_test(anything_else_is_refused_with_the_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
