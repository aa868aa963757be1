#include "cli/volume_filter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"

static void parse(const char *text, struct volume_filters *filters, int expected, struct error *err)
{
    AUTO_CLEAR(strings) struct strings texts = { 0 };

    strings_split(&texts, text, ' ');
    assert_int_equal(volume_filters_parse(&texts, filters, err), expected);
}

static void volumes_pass_that_meet_every_filter(void **state)
{
    static const struct {
        const char *filters;
        bool matches;
    } rows[] = {
        { "name=shop", true },
        { "name=^shop$", false },
        { "name=^shop", true },
        { "name=[", false },
        { "name=none name=data", true }, /* alternatives */
        { "label=stage", true },
        { "label=stage=ci", true },
        { "label=stage=c", false },
        { "label=stage label=absent", false }, /* both */
        { "driver=local", true },
        { "driver=nfs", false },
        { "dangling=true", false },
        { "dangling=false", true },
        { "dangling=0 name=shop label=stage", true },
        { "dangling=1 name=shop label=stage", false },
    };
    struct string_pair label = { .key = (char *)"stage", .value = (char *)"ci" };
    const struct volume_view view = { .name = (char *)"shop-data",
                                      .driver = (char *)"local",
                                      .labels = { .items = &label, .count = 1 },
                                      .is_used = true };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(volume_filters) struct volume_filters filters = { 0 };

        parse(rows[i].filters, &filters, 0, NULL);
        if (volume_filters_match(&filters, &view) != rows[i].matches)
            fail_msg("%s", rows[i].filters);
    }
}

static void what_is_no_filter_is_named(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "color=red", "invalid filter 'color=red': give dangling=, driver=, label= or name=" },
        { "name", "invalid filter 'name': give dangling=, driver=, label= or name=" },
        { "dangling=maybe", "invalid filter dangling" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(volume_filters) struct volume_filters filters = { 0 };
        struct error err = { 0 };

        parse(rows[i].text, &filters, -EINVAL, &err);
        if (!text_starts(err.message, rows[i].message))
            fail_msg("%s: %s", rows[i].text, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volumes_pass_that_meet_every_filter),
        cmocka_unit_test(what_is_no_filter_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
