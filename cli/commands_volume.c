#include "cli/berth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "cli/listing.h"
#include "cli/run_values.h"
#include "cli/show.h"
#include "cli/volume_filter.h"

/* `volume create`, `ls`, `rm`; `volume inspect` is in commands_look.c, `prune` in commands_prune.c.
 */

#define VOLUME_TABLE "{{.Driver}}\t{{.Name}}"

static const struct listing_column volume_columns[] = {
    { "Driver", "DRIVER" },         { "Name", "VOLUME NAME" }, { "Scope", "SCOPE" },
    { "Mountpoint", "MOUNTPOINT" }, { "Labels", "LABELS" },    { 0 },
};

/* --- create ----------------------------------------------------------------------------------- */

static int parse_create(const struct arguments *arguments, struct string_map *labels,
                        struct error *err)
{
    const char *driver = arguments_text(arguments, "driver");
    const struct strings *texts = arguments_list(arguments, "label");
    int r = 0;

    if (!text_is_empty(driver) && strcmp(driver, "local") != 0)
        return error_set(err, EOPNOTSUPP,
                         "--driver '%s': volumes are directories of this machine (local), others "
                         "are not there yet",
                         driver);
    for (size_t i = 0; r == 0 && i < texts->count; i++)
        r = run_value_pair(labels, "--label", texts->items[i], false, err);
    return r;
}

int command_volume_create(const struct arguments *arguments, void *context)
{
    const char *name = arguments->word_count > 0 ? arguments->words[0] : NULL;
    AUTO_CLEAR(string_map) struct string_map labels = { 0 };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    struct engine *engine = NULL;
    auto_free char *own = NULL;
    struct error err = { 0 };

    if (parse_create(arguments, &labels, &err) < 0 || berth_engine(context, &engine, &err) < 0 ||
        engine_volume_create(engine, name, &labels, &own, &warnings, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    berth_warn(&warnings);
    puts(own);
    return 0;
}

/* --- rm --------------------------------------------------------------------------------------- */

static int remove_one(struct berth *berth, const char *name, bool is_forced, struct error *err)
{
    struct engine *engine = NULL;
    int r = berth_engine(berth, &engine, err);

    if (r == 0)
        r = engine_volume_remove(engine, name, err);
    return r == -ENOENT && is_forced ? 0 : r;
}

int command_volume_rm(const struct arguments *arguments, void *context)
{
    int status = 0;

    for (size_t i = 0; i < arguments->word_count; i++) {
        struct error err = { 0 };

        if (remove_one(context, arguments->words[i], arguments_flag(arguments, "force"), &err) < 0)
            status = berth_failed(&err, STATUS_FAILED);
        else
            puts(arguments->words[i]);
    }
    return status;
}

/* --- ls --------------------------------------------------------------------------------------- */

static int add_row(struct listing *listing, const struct volume_view *view, struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    auto_free char *labels = show_labels(&view->labels);

    string_map_set(&fields, "Driver", view->driver);
    string_map_set(&fields, "Name", view->name);
    string_map_set(&fields, "Scope", view->scope);
    string_map_set(&fields, "Mountpoint", view->mountpoint);
    string_map_set(&fields, "Labels", labels);
    return listing_add(listing, &fields, &view->labels, err);
}

static int print_rows(const struct volume_views *views, const struct volume_filters *filters,
                      struct listing *listing, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < views->count; i++) {
        if (volume_filters_match(filters, &views->items[i]))
            r = add_row(listing, &views->items[i], err);
    }
    return r < 0 ? r : listing_print(listing, err);
}

int command_volume_ls(const struct arguments *arguments, void *context)
{
    const char *format = arguments_text(arguments, "format");
    bool is_default = text_is_empty(format) || strcmp(format, "table") == 0;
    bool is_quiet = arguments_flag(arguments, "quiet") && is_default;
    AUTO_CLEAR(volume_filters) struct volume_filters filters = { 0 };
    AUTO_CLEAR(volume_views) struct volume_views views = { 0 };
    AUTO_CLEAR(listing) struct listing listing = { 0 };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    struct engine *engine = NULL;
    struct error err = { 0 };
    int r;

    r = volume_filters_parse(arguments_list(arguments, "filter"), &filters, &err);
    if (r == 0)
        r = listing_open(is_quiet ? "{{.Name}}" : format, VOLUME_TABLE, volume_columns, &listing,
                         &err);
    if (r == 0)
        r = berth_engine(context, &engine, &err);
    if (r == 0)
        r = engine_volume_list(engine, &views, &warnings, &err);
    if (r == 0)
        r = print_rows(&views, &filters, &listing, &err);
    berth_warn(&warnings);
    return r < 0 ? berth_failed(&err, STATUS_FAILED) : 0;
}
