#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/progress.h"

static const struct {
    uint64_t done, total, elapsed_ms;
    unsigned columns;
    bool has_color;
    const char *line;
} rows[] = {
    { 0, 0, 0, 80, false, "Step |" },
    { 0, 0, 0, 80, true, "\033[1mStep\033[0m |" },
    { 1500000, 0, 100, 80, false, "Step /  1.5MB" },
    { 1500000, 0, 1000, 80, false, "Step -  1.5MB  1.5MB/s" },
    { 50, 100, 0, 80, false, "Step [============>           ]  50%  50B/100B" },
    { 100, 100, 0, 80, false, "Step [========================] 100%  100B/100B" },
    { 0, 100, 0, 80, false, "Step [>                       ]   0%  0B/100B" },
    { 101, 100, 0, 80, false, "Step |  101B" },
    { 50, 100, 0, 21, false, "Step [============>  " },
    { 50, 100, 0, 1, false, "Step [============>  " },
};

static void a_line_shows_what_is_known_and_fits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *line =
            progress_format("Step", rows[i].done, rows[i].total, rows[i].elapsed_ms,
                            rows[i].columns, rows[i].has_color);

        if (strncmp(line, rows[i].line, rows[i].columns < 80 ? 19 : 200) != 0)
            fail_msg("row %zu: '%s'", i, line);
        if (rows[i].columns < 80)
            assert_true(strlen(line) <= 20);
    }
}

static void a_long_step_is_cut(void **state)
{
    auto_free char *line = progress_format("a step with a very long name", 1, 2, 0, 20, false);

    (void)state;
    assert_string_equal(line, "a step with a very ");
}

static void without_a_terminal_nothing_is_shown(void **state)
{
    AUTO(progress) struct progress *progress = progress_open(true);

    (void)state;
    progress_update("Step", 1, 2, progress);
    progress_update("Step", 1, 2, NULL);
    progress_hide(progress);
    progress_hide(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_shows_what_is_known_and_fits),
        cmocka_unit_test(a_long_step_is_cut),
        cmocka_unit_test(without_a_terminal_nothing_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
