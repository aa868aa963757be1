#include "cli/group_row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"

/* production/ (web/ (shop), clock), testing/ */
static struct group_node items[] = {
    { .name = (char *)"production", .parent = GROUP_NO_PARENT },
    { .name = (char *)"production/web", .parent = 0 },
    { .name = (char *)"shop", .id = (char *)"0123456789abcdef", .parent = 1 },
    { .name = (char *)"clock", .id = (char *)"fedcba9876543210", .parent = 0 },
    { .name = (char *)"testing", .parent = GROUP_NO_PARENT },
};
static struct group_nodes nodes = { items, ARRAY_SIZE(items) };

static void lines_lead_from_each_node_to_what_it_is_in(void **state)
{
    static const char *const unicode[] = { "", "├─ ", "│  └─ ", "└─ ", "" };
    static const char *const ascii[] = { "", "|- ", "|  `- ", "`- ", "" };

    (void)state;
    for (size_t i = 0; i < nodes.count; i++) {
        auto_free char *drawn = group_tree_lines(&nodes, i, true);
        auto_free char *plain = group_tree_lines(&nodes, i, false);

        assert_string_equal(drawn, unicode[i]);
        assert_string_equal(plain, ascii[i]);
    }
}

static void below_the_last_of_its_siblings_no_line_goes_on(void **state)
{
    struct group_node few[] = {
        { .name = (char *)"a", .parent = GROUP_NO_PARENT },
        { .name = (char *)"a/b", .parent = 0 },
        { .name = (char *)"x", .id = (char *)"1", .parent = 1 },
        { .name = (char *)"y", .id = (char *)"2", .parent = 1 },
    };
    struct group_nodes list = { few, ARRAY_SIZE(few) };
    auto_free char *first = group_tree_lines(&list, 2, true);
    auto_free char *second = group_tree_lines(&list, 3, true);

    (void)state;
    assert_string_equal(first, "   ├─ ");
    assert_string_equal(second, "   └─ ");
}

static void only_terminals_get_colours_and_only_those_of_utf8_get_lines_of_it(void **state)
{
    static const struct {
        bool is_terminal;
        const char *terminal, *locale, *no_color;
        bool is_unicode, has_color;
    } rows[] = {
        { true, "xterm", "en_GB.UTF-8", NULL, true, true },
        { true, "xterm", "C.utf8", "", true, true },
        { true, "xterm", "C", NULL, false, true },
        { true, "xterm", NULL, NULL, false, true },
        { true, "xterm", "C.UTF-8", "1", true, false },
        { true, "dumb", "C.UTF-8", NULL, true, false },
        { true, NULL, "C.UTF-8", NULL, true, false },
        { false, "xterm", "C.UTF-8", NULL, false, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct group_style style = group_style_plan(rows[i].is_terminal, rows[i].terminal,
                                                    rows[i].locale, rows[i].no_color);

        if (style.is_unicode != rows[i].is_unicode || style.has_color != rows[i].has_color)
            fail_msg("row %zu", i);
    }
}

static void expect_field(const struct string_map *fields, const char *field, const char *value)
{
    const char *found = string_map_get(fields, field);

    if (found == NULL || strcmp(found, value) != 0)
        fail_msg("%s: '%s' instead of '%s'", field, found != NULL ? found : "nothing", value);
}

static void each_column_has_its_field(void **state)
{
    struct group_style style = { 0 };
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };

    (void)state;
    group_row_format(&nodes, 0, &style, &fields);
    for (const struct listing_column *column = group_columns; column->field != NULL; column++)
        assert_non_null(string_map_get(&fields, column->field));
    for (size_t i = 0; i < fields.count; i++)
        assert_true(listing_has_field(group_columns, fields.items[i].key));
}

static void a_group_that_the_kernel_has_not_shows_its_limits_alone(void **state)
{
    struct group_node node = {
        .name = (char *)"production",
        .parent = GROUP_NO_PARENT,
        .cpu_shares = 2048,
        .cpu_share = 0.5,
        .held = { .quota_us = 125000, .period_us = 100000 },
        .usage = { .memory_limit_bytes = 64 << 20, .pids_limit = UINT64_MAX },
    };
    struct group_nodes one = { &node, 1 };
    struct group_style style = { .has_color = true };
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };

    (void)state;
    group_row_format(&one, 0, &style, &fields);
    expect_field(&fields, "Tree", "\033[1mproduction/\033[0m");
    expect_field(&fields, "Kind", "cgroup");
    expect_field(&fields, "CPUs", "1.25");
    expect_field(&fields, "CPUShares", "2048");
    expect_field(&fields, "SharePerc", "50.0%");
    expect_field(&fields, "CPUTime", "-");
    expect_field(&fields, "MemUsage", "- / 64MiB");
    expect_field(&fields, "MemPerc", "-");
    expect_field(&fields, "PIDs", "- / -");
    expect_field(&fields, "IOWeight", "-");
    expect_field(&fields, "OOMKills", "-");
}

static void a_container_shows_what_it_uses_at_its_place(void **state)
{
    struct group_node pair[] = {
        { .name = (char *)"production", .parent = GROUP_NO_PARENT },
        {
            .name = (char *)"shop",
            .id = (char *)"0123456789abcdef",
            .parent = 0,
            .is_made = true,
            .held = { .quota_us = 200000,
                      .period_us = 100000,
                      .has_io_weight = true,
                      .io_weight = 300 },
            .usage = { .has_cpu = true,
                       .cpu_ns = 1500000000,
                       .has_memory = true,
                       .memory_bytes = 3 << 20,
                       .memory_inactive_file_bytes = 1 << 20,
                       .memory_limit_bytes = 8 << 20,
                       .oom_kills = 2,
                       .has_pids = true,
                       .pids = 3,
                       .pids_limit = 10 },
        },
    };
    struct group_nodes two = { pair, ARRAY_SIZE(pair) };
    struct group_style style = { .has_color = true };
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };

    (void)state;
    group_row_format(&two, 1, &style, &fields);
    expect_field(&fields, "Tree", "`- shop");
    expect_field(&fields, "Name", "shop");
    expect_field(&fields, "Kind", "container");
    expect_field(&fields, "ID", "0123456789ab");
    expect_field(&fields, "Parent", "production");
    expect_field(&fields, "CPUs", "2");
    expect_field(&fields, "CPUTime", "1.50s");
    expect_field(&fields, "MemUsage", "2MiB / 8MiB");
    expect_field(&fields, "MemPerc", "25.00%");
    expect_field(&fields, "PIDs", "3 / 10");
    expect_field(&fields, "IOWeight", "300");
    expect_field(&fields, "OOMKills", "\033[31m2\033[0m");
    style.is_whole = true;
    group_row_format(&two, 1, &style, &fields);
    expect_field(&fields, "ID", "0123456789abcdef");
}

static void a_group_tells_no_number_of_killed_processes_where_they_may_be_forgotten(void **state)
{
    static const struct {
        bool is_container, has_past;
        uint64_t kills;
        const char *shown;
    } rows[] = {
        { false, false, 0, "-" }, { false, false, 2, "2" }, { false, true, 0, "0" },
        { false, true, 2, "2" },  { true, false, 0, "0" },
    };
    struct group_style style = { .has_color = false };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(string_map) struct string_map fields = { 0 };
        struct group_node node = {
            .name = (char *)"dev",
            .id = rows[i].is_container ? (char *)"0123456789abcdef" : NULL,
            .parent = GROUP_NO_PARENT,
            .usage = { .has_memory = true,
                       .has_past_oom_kills = rows[i].has_past,
                       .oom_kills = rows[i].kills },
        };
        struct group_nodes one = { &node, 1 };

        print_message("row %zu\n", i);
        group_row_format(&one, 0, &style, &fields);
        expect_field(&fields, "OOMKills", rows[i].shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_lead_from_each_node_to_what_it_is_in),
        cmocka_unit_test(below_the_last_of_its_siblings_no_line_goes_on),
        cmocka_unit_test(only_terminals_get_colours_and_only_those_of_utf8_get_lines_of_it),
        cmocka_unit_test(each_column_has_its_field),
        cmocka_unit_test(a_group_that_the_kernel_has_not_shows_its_limits_alone),
        cmocka_unit_test(a_container_shows_what_it_uses_at_its_place),
        cmocka_unit_test(a_group_tells_no_number_of_killed_processes_where_they_may_be_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
