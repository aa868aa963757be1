#include "cli/berth.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/auto.h"
#include "base/log.h"
#include "cli/listing.h"
#include "cli/show.h"

/* `system df`: docker's tables, and three rows of our own, since berth keeps compressed layers as
 * they came, what it made of layers for microVMs, and parts of downloads that broke off. */

#define DF_TABLE "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
#define IMAGES_TABLE                                                                               \
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t"          \
    "{{.UniqueSize}}\t{{.BlobsSize}}\t{{.Containers}}"
#define CONTAINERS_TABLE                                                                           \
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t"           \
    "{{.Status}}\t{{.Names}}"
#define VOLUMES_TABLE "{{.Name}}\t{{.Links}}\t{{.Size}}"

static const struct listing_column df_columns[] = {
    { "Type", "TYPE" }, { "TotalCount", "TOTAL" },        { "Active", "ACTIVE" },
    { "Size", "SIZE" }, { "Reclaimable", "RECLAIMABLE" }, { 0 },
};
static const struct listing_column image_columns[] = {
    { "ID", "IMAGE ID" },
    { "Repository", "REPOSITORY" },
    { "Tag", "TAG" },
    { "CreatedSince", "CREATED" },
    { "CreatedAt", "CREATED AT" },
    { "Size", "SIZE" },
    { "SharedSize", "SHARED SIZE" },
    { "UniqueSize", "UNIQUE SIZE" },
    { "BlobsSize", "BLOBS" },
    { "Containers", "CONTAINERS" },
    { 0 },
};
static const struct listing_column container_columns[] = {
    { "ID", "CONTAINER ID" },
    { "Image", "IMAGE" },
    { "Command", "COMMAND" },
    { "LocalVolumes", "LOCAL VOLUMES" },
    { "Size", "SIZE" },
    { "RunningFor", "CREATED" },
    { "CreatedAt", "CREATED AT" },
    { "Status", "STATUS" },
    { "State", "STATE" },
    { "Names", "NAMES" },
    { 0 },
};
static const struct listing_column volume_columns[] = {
    { "Name", "VOLUME NAME" },
    { "Links", "LINKS" },
    { "Size", "SIZE" },
    { 0 },
};

static void set_number(struct string_map *fields, const char *name, uint64_t value)
{
    auto_free char *text = xasprintf("%llu", (unsigned long long)value);

    string_map_set(fields, name, text);
}

static void set_size(struct string_map *fields, const char *name, uint64_t bytes)
{
    auto_free char *text = text_format_size(bytes);

    string_map_set(fields, name, text);
}

/* --- the summary ------------------------------------------------------------------------------ */

static int add_kind(struct listing *listing, const char *type, const struct usage_kind *kind,
                    struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    auto_free char *size = text_format_size(kind->reclaimable_bytes);
    auto_free char *reclaimable =
        kind->bytes == 0
            ? xstrdup(size)
            : xasprintf("%s (%llu%%)", size,
                        (unsigned long long)(kind->reclaimable_bytes * 100 / kind->bytes));

    string_map_set(&fields, "Type", type);
    set_number(&fields, "TotalCount", kind->total);
    set_number(&fields, "Active", kind->active);
    set_size(&fields, "Size", kind->bytes);
    string_map_set(&fields, "Reclaimable", reclaimable);
    return listing_add(listing, &fields, NULL, err);
}

static int print_summary(const struct store_usage *usage, const char *format, struct error *err)
{
    const struct {
        const char *type;
        const struct usage_kind *kind;
    } rows[] = {
        { "Images", &usage->images },         { "Containers", &usage->containers },
        { "Local Volumes", &usage->volumes }, { "Kept Blobs", &usage->blobs },
        { "MicroVM Roots", &usage->roots },   { "Leftovers", &usage->leftovers },
    };
    AUTO_CLEAR(listing) struct listing listing = { 0 };
    int r;

    r = listing_open(format, DF_TABLE, df_columns, &listing, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++)
        r = add_kind(&listing, rows[i].type, rows[i].kind, err);
    return r < 0 ? r : listing_print(&listing, err);
}

/* --- one by one ------------------------------------------------------------------------------- */

static int add_images(struct listing *listing, const struct store_usage *usage, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < usage->image_count; i++) {
        const struct usage_image *image = &usage->image_items[i];
        AUTO_CLEAR(string_map) struct string_map fields = { 0 };
        auto_free char *id = xstrndup(digest_hex(&image->id), 12);
        auto_free char *since = show_ago((int64_t)time(NULL), image->created);
        auto_free char *date = show_date(image->created);

        string_map_set(&fields, "ID", id);
        show_image_name(&fields, image->names.count > 0 ? image->names.items[0] : NULL);
        string_map_set(&fields, "CreatedSince", since);
        string_map_set(&fields, "CreatedAt", date);
        set_size(&fields, "Size", image->layer_bytes);
        set_size(&fields, "SharedSize", image->shared_bytes);
        set_size(&fields, "UniqueSize", image->layer_bytes - image->shared_bytes);
        set_size(&fields, "BlobsSize", image->blob_bytes);
        set_number(&fields, "Containers", image->containers);
        r = listing_add(listing, &fields, NULL, err);
    }
    return r;
}

static int add_containers(struct listing *listing, const struct store_usage *usage,
                          struct error *err)
{
    int64_t now = (int64_t)time(NULL);
    int r = 0;

    for (size_t i = 0; r == 0 && i < usage->container_count; i++) {
        const struct container_view *view = &usage->container_items[i].view;
        AUTO_CLEAR(string_map) struct string_map fields = { 0 };
        auto_free char *id = xstrndup(view->id, 12);
        auto_free char *cut = show_cut(view->command, 20);
        auto_free char *command = show_quoted(cut);
        auto_free char *age = show_ago(now, view->created);
        auto_free char *date = show_date(view->created);
        auto_free char *status = show_status(view, now);

        string_map_set(&fields, "ID", id);
        string_map_set(&fields, "Image", view->image != NULL ? view->image : "<no image>");
        string_map_set(&fields, "Command", command);
        set_number(&fields, "LocalVolumes", view->volumes.count);
        set_size(&fields, "Size", usage->container_items[i].bytes);
        string_map_set(&fields, "RunningFor", age);
        string_map_set(&fields, "CreatedAt", date);
        string_map_set(&fields, "Status", status);
        string_map_set(&fields, "State", view->status);
        string_map_set(&fields, "Names", view->name);
        r = listing_add(listing, &fields, &view->labels, err);
    }
    return r;
}

static int add_volumes(struct listing *listing, const struct store_usage *usage, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < usage->volume_count; i++) {
        AUTO_CLEAR(string_map) struct string_map fields = { 0 };

        string_map_set(&fields, "Name", usage->volume_items[i].name);
        set_number(&fields, "Links", usage->volume_items[i].containers);
        set_size(&fields, "Size", usage->volume_items[i].bytes);
        r = listing_add(listing, &fields, NULL, err);
    }
    return r;
}

static const struct section {
    const char *title, *member, *table;
    const struct listing_column *columns;
    int (*add)(struct listing *listing, const struct store_usage *usage, struct error *err);
} sections[] = {
    { "Images space usage:", "Images", IMAGES_TABLE, image_columns, add_images },
    { "\nContainers space usage:", "Containers", CONTAINERS_TABLE, container_columns,
      add_containers },
    { "\nLocal Volumes space usage:", "Volumes", VOLUMES_TABLE, volume_columns, add_volumes },
};

static int format_section(const struct section *section, const char *format,
                          const struct store_usage *usage, char **ret_text, struct error *err)
{
    AUTO_CLEAR(listing) struct listing listing = { 0 };
    int r;

    r = listing_open(format, section->table, section->columns, &listing, err);
    if (r == 0)
        r = section->add(&listing, usage, err);
    return r < 0 ? r : listing_format(&listing, ret_text, err);
}

static int print_tables(const struct store_usage *usage, struct error *err)
{
    auto_free char *blobs = text_format_size(usage->blobs.bytes);
    auto_free char *roots = text_format_size(usage->roots.bytes);
    auto_free char *leftovers = text_format_size(usage->leftovers.bytes);

    for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
        auto_free char *text = NULL;
        int r = format_section(&sections[i], "table", usage, &text, err);

        if (r < 0)
            return r;
        printf("%s\n\n%s", sections[i].title, text);
    }
    printf("\nKept blobs usage: %s\nMicroVM roots usage: %s\nLeftovers usage: %s\n", blobs, roots,
           leftovers);
    return 0;
}

/* All sections as one document: lines of JSON become the items of its lists. */
static int print_document(const struct store_usage *usage, const char *format, struct error *err)
{
    struct text document = { 0 };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sections); i++) {
        auto_free char *text = NULL;

        r = format_section(&sections[i], "json", usage, &text, err);
        if (r < 0)
            break;
        if (text[0] != '\0')
            text[strlen(text) - 1] = '\0';
        for (char *c = text; *c != '\0'; c++) {
            if (*c == '\n') /* JSON has it between documents only */
                *c = ',';
        }
        text_addf(&document, "%s\"%s\":[%s]", i == 0 ? "{" : ",", sections[i].member, text);
    }
    text_add(&document, "}");
    if (r == 0)
        r = berth_print_formatted(format, document.data, err);
    text_clear(&document);
    return r;
}

int command_system_df(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(store_usage) struct store_usage usage = { 0 };
    const char *format = arguments_text(arguments, "format");
    struct engine *engine = NULL;
    struct error err = { 0 };
    int r;

    r = berth_engine(context, &engine, &err);
    if (r == 0)
        r = engine_store_usage(engine, &usage, &err);
    if (r == 0 && !arguments_flag(arguments, "verbose"))
        r = print_summary(&usage, format, &err);
    else if (r == 0 && (text_is_empty(format) || strcmp(format, "table") == 0))
        r = print_tables(&usage, &err);
    else if (r == 0)
        r = print_document(&usage, format, &err);
    if (r < 0)
        return berth_failed(&err, STATUS_FAILED);
    if (usage.damage.message[0] != '\0')
        log_warning("an image is damaged: %s; `berth system check` says more",
                    usage.damage.message);
    return 0;
}
