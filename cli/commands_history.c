#include "cli/berth.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/auto.h"
#include "cli/listing.h"
#include "cli/show.h"

/* history: the entries of an image's config, newest first, as docker shows them. */

#define CREATED_BY_WIDTH 45

#define HISTORY_TABLE      "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
#define HISTORY_DATE_TABLE "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"

static const struct listing_column history_columns[] = {
    { "ID", "IMAGE" },
    { "CreatedSince", "CREATED" },
    { "CreatedAt", "CREATED AT" },
    { "CreatedBy", "CREATED BY" },
    { "Size", "SIZE" },
    { "Comment", "COMMENT" },
    { 0 },
};

struct history {
    struct listing listing;
    struct image *image;
    uint64_t *sizes; /* of the layers, lowest first */
    bool is_whole;   /* --no-trunc */
    bool is_human;
    int64_t now;
};

static void history_clear(struct history *history)
{
    listing_clear(&history->listing);
    image_free(history->image);
    free(history->sizes);
}

/* What each layer takes unpacked. */
static int find_sizes(struct berth *berth, struct history *history, struct error *err)
{
    const struct strings *diff_ids = &history->image->config.diff_ids;
    int data_fd = engine_data_fd(berth->engine);
    AUTO_CLEAR(strings) struct strings below = { 0 };

    history->sizes = xcalloc(diff_ids->count + 1, sizeof(*history->sizes));
    for (size_t i = 0; i < diff_ids->count; i++) {
        auto_free char *key = NULL;
        struct digest diff_id;
        int r;

        r = digest_parse(diff_ids->items[i], &diff_id, err);
        if (r == 0)
            r = layer_find(data_fd, &diff_id, &below, &key, err);
        if (r == 0)
            r = layer_size(data_fd, key, &history->sizes[i], err);
        if (r < 0)
            return r;
        strings_add(&below, diff_ids->items[i]);
    }
    return 0;
}

/* A table is for people; a format of the user's gets the image's own bytes, as with docker. */
static char *show_field(const struct history *history, const char *text)
{
    if (history->listing.is_table)
        return show_printable(text);
    return xstrdup(text == NULL ? "" : text);
}

static int add_row(struct history *history, const struct image_history_item *item, bool is_newest,
                   uint64_t size, struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    const struct digest *id = &history->image->id;
    auto_free char *command = show_field(history, item->created_by);
    auto_free char *created = show_field(history, item->created);
    auto_free char *comment = show_field(history, item->comment);
    auto_free char *size_text =
        history->is_human ? text_format_size(size) : xasprintf("%llu", (unsigned long long)size);
    auto_free char *shown =
        history->is_whole ? xstrdup(command) : show_cut(command, CREATED_BY_WIDTH);
    auto_free char *id_text = history->is_whole ? xstrdup(id->text) : xstrndup(digest_hex(id), 12);
    auto_free char *since = NULL;
    int64_t seconds = 0;
    uint32_t nanoseconds;

    /* Without a time, or with one that is none, the column says so. */
    if (item->created == NULL || text_parse_time(item->created, &seconds, &nanoseconds, NULL) < 0)
        seconds = 0;
    since = show_ago(history->now, seconds);
    string_map_set(&fields, "ID", is_newest ? id_text : "<missing>");
    string_map_set(&fields, "CreatedSince", since);
    string_map_set(&fields, "CreatedAt", created);
    string_map_set(&fields, "CreatedBy", shown);
    string_map_set(&fields, "Size", size_text);
    string_map_set(&fields, "Comment", comment);
    return listing_add(&history->listing, &fields, NULL, err);
}

static int add_rows(struct history *history, struct error *err)
{
    const struct image_config *config = &history->image->config;
    const struct image_history_item unknown = { .created = config->created,
                                                .created_by = config->created_by,
                                                .comment = config->comment };
    size_t layer = config->diff_ids.count;
    bool is_newest = true;
    int r = 0;

    for (size_t i = config->history.count; r == 0 && i > 0; i--, is_newest = false) {
        const struct image_history_item *item = &config->history.items[i - 1];
        bool has_layer = !item->is_empty_layer && layer > 0;

        layer -= has_layer;
        r = add_row(history, item, is_newest, has_layer ? history->sizes[layer] : 0, err);
    }
    /* Layers that no entry tells of. */
    for (; r == 0 && layer > 0; layer--, is_newest = false)
        r = add_row(history, &unknown, is_newest, history->sizes[layer - 1], err);
    return r;
}

int command_history(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(history)
    struct history history = {
        .is_whole = arguments_flag(arguments, "no-trunc"),
        .is_human = !arguments_has(arguments, "human") || arguments_flag(arguments, "human"),
        .now = time(NULL),
    };
    const char *format = arguments_text(arguments, "format");
    struct berth *berth = context;
    struct error err = { 0 };
    int r;

    if (arguments_flag(arguments, "quiet") &&
        (text_is_empty(format) || strcmp(format, "table") == 0))
        format = "{{.ID}}";
    r = listing_open(format, history.is_human ? HISTORY_TABLE : HISTORY_DATE_TABLE, history_columns,
                     &history.listing, &err);
    if (r == 0)
        r = berth_find_image(berth, arguments->words[0], &history.image, &err);
    if (r == 0)
        r = find_sizes(berth, &history, &err);
    if (r == 0)
        r = add_rows(&history, &err);
    if (r == 0)
        r = listing_print(&history.listing, &err);
    return r < 0 ? berth_failed(&err, STATUS_FAILED) : 0;
}
