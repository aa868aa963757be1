#include "cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/auto.h"

static void columns_are_ten_wide_or_three_more_than_their_widest_cell(void **state)
{
    auto_free char *text = table_format("A\tLONG HEADER\tC\n"
                                        "1\tx\tlast cells stay\n");

    (void)state;
    assert_string_equal(text, "A         LONG HEADER   C\n"
                              "1         x             last cells stay\n");
}

static void characters_count_and_not_bytes(void **state)
{
    auto_free char *text = table_format("abcdefgh…\tx\nabcdefghij\ty\n");

    (void)state;
    assert_string_equal(text, "abcdefgh…    x\nabcdefghij   y\n");
}

static void colours_have_no_width(void **state)
{
    auto_free char *text = table_format("\033[1mabcdefghij\033[0m\tx\nabcdefghij\ty\n\033[x\tz\n");

    (void)state;
    assert_string_equal(text, "\033[1mabcdefghij\033[0m   x\nabcdefghij   y\n\033[x          z\n");
}

static void empty_cells_keep_their_column(void **state)
{
    auto_free char *text = table_format("A\t\tC\n\tB\tC\n");

    (void)state;
    assert_string_equal(text, "A                   C\n          B         C\n");
}

static void nothing_stays_nothing(void **state)
{
    auto_free char *text = table_format("");

    (void)state;
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_ten_wide_or_three_more_than_their_widest_cell),
        cmocka_unit_test(characters_count_and_not_bytes),
        cmocka_unit_test(colours_have_no_width),
        cmocka_unit_test(empty_cells_keep_their_column),
        cmocka_unit_test(nothing_stays_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
