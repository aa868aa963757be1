#include "cli/berth.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/auto.h"
#include "cli/listing.h"
#include "cli/ps_filter.h"
#include "cli/show.h"

/* `ps`: columns, fields of --format and words as docker prints them. */

#define PS_TABLE                                                                                   \
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"

static const struct listing_column ps_columns[] = {
    { "ID", "CONTAINER ID" },
    { "Names", "NAMES" },
    { "Image", "IMAGE" },
    { "Command", "COMMAND" },
    { "CreatedAt", "CREATED AT" },
    { "RunningFor", "CREATED" },
    { "Status", "STATUS" },
    { "State", "STATE" },
    { "Ports", "PORTS" },
    { "Size", "SIZE" },
    { "Labels", "LABELS" },
    { "Mounts", "MOUNTS" },
    { "LocalVolumes", "LOCAL VOLUMES" },
    { "Networks", "NETWORKS" },
    { "Isolation", "ISOLATION" },
    { 0 },
};

struct ps {
    struct listing listing;
    struct ps_filters filters;
    struct container_views views;
    bool is_whole; /* --no-trunc */
    bool has_sizes;
    int64_t now;
};

static void add_mounts(struct string_map *fields, const struct strings *mounts, bool is_whole)
{
    AUTO_CLEAR(strings) struct strings shown = { 0 };
    auto_free char *joined = NULL;

    for (size_t i = 0; i < mounts->count; i++)
        strings_take(&shown, is_whole ? xstrdup(mounts->items[i]) : show_cut(mounts->items[i], 15));
    joined = strings_join(&shown, ",");
    string_map_set(fields, "Mounts", joined);
}

static void add_size(struct string_map *fields, const struct container_view *view, bool has_sizes)
{
    auto_free char *written = text_format_size(view->size_rw_bytes);
    auto_free char *whole = text_format_size(view->size_root_bytes);
    auto_free char *both = has_sizes ? xasprintf("%s (virtual %s)", written, whole) : xstrdup("0B");

    string_map_set(fields, "Size", both);
}

static int add_row(struct ps *ps, const struct container_view *view, struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    auto_free char *cut = ps->is_whole ? xstrdup(view->command) : show_cut(view->command, 20);
    auto_free char *command = show_quoted(cut != NULL ? cut : "");
    auto_free char *created = show_date(view->created);
    auto_free char *age = show_ago(ps->now, view->created);
    auto_free char *status = show_status(view, ps->now);
    auto_free char *labels = show_labels(&view->labels);
    auto_free char *id = ps->is_whole ? xstrdup(view->id) : xstrndup(view->id, 12);
    auto_free char *volumes = xasprintf("%zu", view->volumes.count);

    string_map_set(&fields, "ID", id);
    string_map_set(&fields, "Names", view->name);
    string_map_set(&fields, "Image", view->image != NULL ? view->image : "<no image>");
    string_map_set(&fields, "Command", command);
    string_map_set(&fields, "CreatedAt", created);
    string_map_set(&fields, "RunningFor", age);
    string_map_set(&fields, "Status", status);
    string_map_set(&fields, "State", view->status);
    string_map_set(&fields, "Ports", view->ports);
    string_map_set(&fields, "Labels", labels);
    string_map_set(&fields, "LocalVolumes", volumes);
    string_map_set(&fields, "Networks", view->network != NULL ? view->network : "none");
    string_map_set(&fields, "Isolation", view->isolation);
    add_mounts(&fields, &view->mounts, ps->is_whole);
    add_size(&fields, view, ps->has_sizes);
    return listing_add(&ps->listing, &fields, &view->labels, err);
}

static int open_ps_listing(const struct arguments *arguments, struct ps *ps, struct error *err)
{
    const char *format = arguments_text(arguments, "format");
    const char *table = arguments_flag(arguments, "size") ? PS_TABLE "\t{{.Size}}" : PS_TABLE;

    if (arguments_flag(arguments, "quiet") &&
        (text_is_empty(format) || strcmp(format, "table") == 0))
        format = "{{.ID}}";
    return listing_open(format, table, ps_columns, &ps->listing, err);
}

static bool is_running(const struct container_view *view)
{
    return strcmp(view->status, "running") == 0 || strcmp(view->status, "paused") == 0 ||
           strcmp(view->status, "restarting") == 0;
}

static int ps_print(const struct arguments *arguments, struct ps *ps, struct engine *engine,
                    struct error *err)
{
    const char *last = arguments_text(arguments, "last");
    int64_t limit = -1;
    size_t printed = 0;
    bool shows_all;
    int r;

    r = last != NULL ? text_parse_i64(last, "--last", -1, INT_MAX, &limit, err) : 0;
    if (r < 0)
        return r;
    if (arguments_flag(arguments, "latest"))
        limit = 1;
    shows_all = arguments_flag(arguments, "all") || limit > 0 || ps->filters.statuses.count > 0;

    r = engine_list(engine, ps->has_sizes, &ps->views, err);
    if (r == 0)
        r = ps_filters_apply(&ps->filters, engine, &ps->views, err);
    for (size_t i = 0; r == 0 && i < ps->views.count; i++) {
        if (!shows_all && !is_running(&ps->views.items[i]))
            continue;
        if (limit > 0 && printed++ >= (size_t)limit)
            break;
        r = add_row(ps, &ps->views.items[i], err);
    }
    return r < 0 ? r : listing_print(&ps->listing, err);
}

int command_ps(const struct arguments *arguments, void *context)
{
    const char *format = arguments_text(arguments, "format");
    struct engine *engine = NULL;
    struct ps ps = {
        .is_whole = arguments_flag(arguments, "no-trunc"),
        .has_sizes = arguments_flag(arguments, "size") ||
                     (format != NULL && strstr(format, ".Size") != NULL),
        .now = time(NULL),
    };
    struct error err = { 0 };
    int r;

    r = open_ps_listing(arguments, &ps, &err);
    if (r == 0)
        r = ps_filters_parse(arguments_list(arguments, "filter"), &ps.filters, &err);
    if (r == 0)
        r = berth_engine(context, &engine, &err);
    if (r == 0)
        r = ps_print(arguments, &ps, engine, &err);
    container_views_clear(&ps.views);
    ps_filters_clear(&ps.filters);
    listing_clear(&ps.listing);
    return r < 0 ? berth_failed(&err, STATUS_FAILED) : 0;
}
