#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_filter_lets_through_what_meets_all_of_it(void **state)
{
    static const struct {
        const char *label, *other_label;
        int64_t until; /* 0: none */
        bool matches;
    } rows[] = {
        { NULL, NULL, 0, true },           { NULL, NULL, 101, true },
        { NULL, NULL, 100, false },        { "stage", NULL, 0, true },
        { "stage=ci", NULL, 0, true },     { "stage=cit", NULL, 0, false },
        { "stag", NULL, 0, false },        { NULL, "stage", 0, false },
        { NULL, "stage=live", 0, true },   { NULL, "absent", 0, true },
        { "stage", "stage=ci", 0, false }, { "stage=ci", "absent", 99, false },
    };
    AUTO_CLEAR(string_map) struct string_map labels = { 0 };

    (void)state;
    string_map_set(&labels, "stage", "ci");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(prune_filter)
        struct prune_filter filter = { .has_until = rows[i].until != 0, .until = rows[i].until };

        if (rows[i].label != NULL)
            strings_add(&filter.labels, rows[i].label);
        if (rows[i].other_label != NULL)
            strings_add(&filter.other_labels, rows[i].other_label);
        if (prune_filter_matches(&filter, 100, &labels) != rows[i].matches)
            fail_msg("row %zu", i);
    }
}

static void a_label_is_matched_by_key_or_by_key_and_value(void **state)
{
    struct string_pair pair = { .key = (char *)"a.b", .value = (char *)"x=y" };
    const struct string_map labels = { .items = &pair, .count = 1 };

    (void)state;
    assert_true(labels_match(&labels, "a.b"));
    assert_true(labels_match(&labels, "a.b=x=y"));
    assert_false(labels_match(&labels, "a.b=x"));
    assert_false(labels_match(&labels, "a.b="));
    assert_false(labels_match(&labels, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_lets_through_what_meets_all_of_it),
        cmocka_unit_test(a_label_is_matched_by_key_or_by_key_and_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
