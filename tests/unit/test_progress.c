#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/layer_table.h"
#include "cli/progress.h"

static const struct {
    uint64_t done, total, from, elapsed_ms;
    unsigned columns;
    bool has_color;
    const char *line;
} rows[] = {
    { 0, 0, 0, 0, 80, false, "Step |" },
    { 0, 0, 0, 0, 80, true, "\033[1mStep\033[0m |" },
    { 1500000, 0, 0, 100, 80, false, "Step /  1.5MB" },
    { 1500000, 0, 0, 1000, 80, false, "Step -  1.5MB  1.5MB/s" },
    { 50, 100, 0, 0, 80, false, "Step [============>           ]  50%  50B/100B" },
    { 100, 100, 0, 0, 80, false, "Step [========================] 100%  100B/100B" },
    { 0, 100, 0, 0, 80, false, "Step [>                       ]   0%  0B/100B" },
    { 50, 100, 0, 5000, 80, false, "Step [============>           ]  50%  50B/100B  10B/s  6s" },
    { 50, 100, 40, 5000, 80, false, "Step [============>           ]  50%  50B/100B  2B/s  26s" },
    { 10, 1000, 0, 1000, 80, false, "Step [>                       ]   1%  10B/1kB  10B/s  1m40s" },
    { 10, 80000, 0, 1000, 80, false,
      "Step [>                       ]   0%  10B/80kB  10B/s  2h13m" },
    { 10, 10, 0, 1000, 80, false, "Step [========================] 100%  10B/10B  10B/s" },
    { 101, 100, 0, 0, 80, false, "Step |  101B" },
    { 50, 100, 0, 0, 21, false, "Step [============>  " },
    { 50, 100, 0, 0, 1, false, "Step [============>  " },
};

static void a_line_shows_what_is_known_and_fits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct progress_amount amount = { .done = rows[i].done,
                                          .total = rows[i].total,
                                          .from = rows[i].from,
                                          .elapsed_ms = rows[i].elapsed_ms };
        auto_free char *line = progress_format("Step", &amount, rows[i].columns, rows[i].has_color);

        if (strncmp(line, rows[i].line, rows[i].columns < 80 ? 19 : 200) != 0)
            fail_msg("row %zu: '%s'", i, line);
        if (rows[i].columns < 80)
            assert_true(strlen(line) <= 20);
    }
}

static void a_long_step_is_cut(void **state)
{
    auto_free char *line =
        progress_format("a step with a very long name",
                        &(struct progress_amount){ .done = 1, .total = 2 }, 20, false);

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

/* --- layers ----------------------------------------------------------------------------------- */

static void check_lines(const struct layer_row *layers, size_t count, unsigned height,
                        const char *expected)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    auto_free char *text = NULL;

    layer_table_format(layers, count, 2000, height, 80, false, &lines);
    text = strings_join(&lines, "\n");
    assert_string_equal(text, expected);
}

static void each_layer_has_a_line_in_the_words_of_docker(void **state)
{
    const struct layer_row layers[] = {
        { "aaaaaaaaaaaa", LAYER_EXISTS, 0, 0, 0, 0 },
        { "bbbbbbbbbbbb", LAYER_DOWNLOADING, 50, 100, 40, 1000 },
        { "cccccccccccc", LAYER_UNPACKING, 0, 100, 0, 2000 },
        { "dddddddddddd", LAYER_WAITING, 0, 100, 0, 0 },
        { "eeeeeeeeeeee", LAYER_DOWNLOADED, 100, 100, 0, 0 },
        { "ffffffffffff", LAYER_READY, 100, 100, 0, 0 },
    };

    (void)state;
    check_lines(layers, 6, 6,
                "aaaaaaaaaaaa: Already exists\n"
                "bbbbbbbbbbbb: Downloading [============>           ]  50%  50B/100B  10B/s  6s\n"
                "cccccccccccc: Extracting [>                       ]   0%  0B/100B\n"
                "dddddddddddd: Waiting\n"
                "eeeeeeeeeeee: Download complete\n"
                "ffffffffffff: Pull complete");
    /* What is done makes room first. */
    check_lines(layers, 6, 5,
                "bbbbbbbbbbbb: Downloading [============>           ]  50%  50B/100B  10B/s  6s\n"
                "cccccccccccc: Extracting [>                       ]   0%  0B/100B\n"
                "dddddddddddd: Waiting\n"
                "eeeeeeeeeeee: Download complete\n"
                "2 more, 2 of them complete");
    check_lines(layers, 6, 2,
                "bbbbbbbbbbbb: Downloading [============>           ]  50%  50B/100B  10B/s  6s\n"
                "5 more, 2 of them complete");
    check_lines(layers, 6, 1, "6 more, 2 of them complete");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_shows_what_is_known_and_fits),
        cmocka_unit_test(a_long_step_is_cut),
        cmocka_unit_test(without_a_terminal_nothing_is_shown),
        cmocka_unit_test(each_layer_has_a_line_in_the_words_of_docker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
