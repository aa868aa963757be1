#include "cli/berth.h"

#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "cli/group_row.h"
#include "cli/limit_options.h"

/* `cgroup create`, `update`, `rm`, `ls`: groups of containers and their limits. */

static int change_limits(struct settings *settings, void *context, struct error *err)
{
    return limit_options_parse(context, settings, err);
}

/* What create and update do with one group. */
typedef int group_action(struct engine *engine, const char *name, settings_change *change,
                         void *context, struct strings *ret_warnings, struct error *err);

static int limit_group(const struct arguments *arguments, struct berth *berth, group_action *action)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    struct engine *engine = NULL;
    struct error err = { 0 };

    if (berth_engine(berth, &engine, &err) < 0 ||
        action(engine, arguments->words[0], change_limits, (void *)arguments, &warnings, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    berth_warn(&warnings);
    puts(arguments->words[0]);
    return 0;
}

int command_cgroup_create(const struct arguments *arguments, void *context)
{
    return limit_group(arguments, context, engine_group_create);
}

int command_cgroup_update(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    if (limit_options_check_any(arguments, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    return limit_group(arguments, context, engine_group_update);
}

int command_cgroup_rm(const struct arguments *arguments, void *context)
{
    int status = 0;

    for (size_t i = 0; i < arguments->word_count; i++) {
        struct engine *engine = NULL;
        struct error err = { 0 };

        if (berth_engine(context, &engine, &err) < 0 ||
            engine_group_remove(engine, arguments->words[i], &err) < 0)
            status = berth_failed(&err, STATUS_FAILED);
        else
            puts(arguments->words[i]);
    }
    return status;
}

/* --- ls --------------------------------------------------------------------------------------- */

/* Names of groups alone; else a row for each node. */
static int add_rows(const struct group_nodes *nodes, const struct group_style *style, bool is_quiet,
                    struct listing *listing, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < nodes->count; i++) {
        AUTO_CLEAR(string_map) struct string_map fields = { 0 };

        if (is_quiet && nodes->items[i].id != NULL)
            continue;
        group_row_format(nodes, i, style, &fields);
        r = listing_add(listing, &fields, NULL, err);
    }
    return r;
}

int command_cgroup_ls(const struct arguments *arguments, void *context)
{
    const char *name = arguments->word_count > 0 ? arguments->words[0] : NULL;
    const char *format = arguments_text(arguments, "format");
    bool is_default = text_is_empty(format) || strcmp(format, "table") == 0;
    bool is_quiet = arguments_flag(arguments, "quiet") && is_default;
    bool is_table = is_default || text_starts(format, "table ");
    struct group_style style = is_table ? group_style_choose() : (struct group_style){ 0 };
    struct group_nodes nodes = { 0 };
    struct listing listing = { 0 };
    struct engine *engine = NULL;
    struct error err = { 0 };
    int r;

    style.is_whole = arguments_flag(arguments, "no-trunc");
    r = listing_open(is_quiet ? "{{.Name}}" : format, GROUP_TABLE, group_columns, &listing, &err);
    listing.has_own_colors = true; /* names of cgroups are checked when they are made */
    if (r == 0)
        r = berth_engine(context, &engine, &err);
    if (r == 0)
        r = engine_group_tree(engine, name, &nodes, &err);
    if (r == 0)
        r = add_rows(&nodes, &style, is_quiet, &listing, &err);
    if (r == 0)
        r = listing_print(&listing, &err);
    group_nodes_clear(&nodes);
    listing_clear(&listing);
    return r < 0 ? berth_failed(&err, STATUS_FAILED) : 0;
}
