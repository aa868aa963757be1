#include "cli/berth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/auto.h"
#include "base/log.h"
#include "cli/image_filter.h"
#include "cli/listing.h"
#include "cli/show.h"

/* images, tag and rmi. What reads or writes layers is the program berth-image. */

#define IMAGES_TABLE "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
#define IMAGES_DIGEST_TABLE                                                                        \
    "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"

static const struct listing_column image_columns[] = {
    { "ID", "IMAGE ID" },
    { "Repository", "REPOSITORY" },
    { "Tag", "TAG" },
    { "Digest", "DIGEST" },
    { "CreatedSince", "CREATED" },
    { "CreatedAt", "CREATED AT" },
    { "Size", "SIZE" },
    { "VirtualSize", "SIZE" },
    { "SharedSize", "SHARED SIZE" },
    { "UniqueSize", "UNIQUE SIZE" },
    { "Containers", "CONTAINERS" },
    { 0 },
};

struct images {
    struct listing listing;
    struct image_filters filters;
    struct image_listing images;
    bool is_whole; /* --no-trunc */
    int64_t now;
};

static int add_row(struct images *images, const struct image_listing_item *item, const char *name,
                   struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    auto_free char *size = text_format_size(item->size_bytes);
    auto_free char *since = show_ago(images->now, item->created);
    auto_free char *date = show_date(item->created);
    auto_free char *id =
        images->is_whole ? xstrdup(item->id.text) : xstrndup(digest_hex(&item->id), 12);

    string_map_set(&fields, "ID", id);
    show_image_name(&fields, name);
    string_map_set(&fields, "Digest", item->manifest_digest.text);
    string_map_set(&fields, "CreatedSince", since);
    string_map_set(&fields, "CreatedAt", date);
    string_map_set(&fields, "Size", size);
    string_map_set(&fields, "VirtualSize", size);
    string_map_set(&fields, "SharedSize", "N/A");
    string_map_set(&fields, "UniqueSize", "N/A");
    string_map_set(&fields, "Containers", "N/A");
    return listing_add(&images->listing, &fields, NULL, err);
}

static int add_image(struct images *images, struct image_store *store, size_t index,
                     struct error *err)
{
    const struct image_listing_item *item = &images->images.items[index];
    int r = image_filters_image(&images->filters, store, &images->images, index, err);

    if (r <= 0)
        return r;
    r = 0;
    if (item->names.count == 0 && image_filters_name(&images->filters, NULL))
        r = add_row(images, item, NULL, err);
    for (size_t i = 0; r == 0 && i < item->names.count; i++) {
        if (image_filters_name(&images->filters, item->names.items[i]))
            r = add_row(images, item, item->names.items[i], err);
    }
    return r;
}

static int open_images_listing(const struct arguments *arguments, struct images *images,
                               struct error *err)
{
    const char *format = arguments_text(arguments, "format");
    bool has_digests = arguments_flag(arguments, "digests");

    if (arguments_flag(arguments, "quiet") &&
        (text_is_empty(format) || strcmp(format, "table") == 0))
        format = "{{.ID}}";
    return listing_open(format, has_digests ? IMAGES_DIGEST_TABLE : IMAGES_TABLE, image_columns,
                        &images->listing, err);
}

int command_images(const struct arguments *arguments, void *context)
{
    struct images images = { .is_whole = arguments_flag(arguments, "no-trunc"), .now = time(NULL) };
    struct engine *engine = NULL;
    struct error err = { 0 };
    int r;

    r = open_images_listing(arguments, &images, &err);
    if (r == 0)
        r = image_filters_parse(arguments_list(arguments, "filter"), arguments->words[0],
                                &images.filters, &err);
    if (r == 0)
        r = berth_engine(context, &engine, &err);
    if (r == 0)
        r = image_list(engine_images(engine), &images.images, &err);
    for (size_t i = 0; r == 0 && i < images.images.count; i++)
        r = add_image(&images, engine_images(engine), i, &err);
    if (r == 0)
        r = listing_print(&images.listing, &err);
    if (r == 0 && images.images.damage.message[0] != '\0')
        log_warning("an image is left out: %s", images.images.damage.message);
    image_listing_clear(&images.images);
    image_filters_clear(&images.filters);
    listing_clear(&images.listing);
    return r < 0 ? berth_failed(&err, STATUS_FAILED) : 0;
}

static int tag(struct berth *berth, const char *source, const char *target, struct error *err)
{
    AUTO(reference) struct reference *reference = NULL;
    AUTO(image) struct image *image = NULL;
    struct engine *engine = NULL;
    int r;

    r = reference_parse(target, &reference, err);
    if (r < 0)
        return r;
    if (reference->digest != NULL)
        return error_set(err, EINVAL, "'%s': a tag cannot be a digest", target);
    r = berth_engine(berth, &engine, err);
    if (r < 0)
        return r;
    /* What was found is not removed before it has the name. */
    r = image_store_begin_change(engine_images(engine), err);
    if (r < 0)
        return r;
    r = image_find(engine_images(engine), source, &image, err);
    if (r == 0)
        r = image_tag(engine_images(engine), &image->manifest_digest, reference, err);
    image_store_end_change(engine_images(engine));
    return r;
}

int command_tag(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    if (tag(context, arguments->words[0], arguments->words[1], &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    return 0;
}

static int remove_one(struct berth *berth, const char *text, bool is_forced, struct error *err)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    AUTO(image) struct image *image = NULL;
    int r;

    r = berth_find_image(berth, text, &image, err);
    if (r < 0 && r != -EBADMSG) /* what is damaged can be removed */
        return r;
    r = engine_remove_image(berth->engine, text, is_forced, &lines, err);
    for (size_t i = 0; i < lines.count; i++)
        puts(lines.items[i]);
    return r;
}

int command_rmi(const struct arguments *arguments, void *context)
{
    bool is_forced = arguments_flag(arguments, "force");
    int status = 0;

    for (size_t i = 0; i < arguments->word_count; i++) {
        struct error err = { 0 };
        int r = remove_one(context, arguments->words[i], is_forced, &err);

        /* With --force what is not there is said, but no failure, as with docker. */
        if (r < 0)
            status = berth_failed(&err, r == -ENOENT && is_forced ? status : STATUS_FAILED);
    }
    return status;
}

int command_image_program(const struct arguments *arguments, void *context)
{
    return berth_run_image_program(context, arguments, arguments->command->name);
}
