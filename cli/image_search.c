#include "cli/image_program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/listing.h"
#include "cli/image_source.h"
#include "cli/registry_options.h"
#include "cli/show.h"
#include "cli/template.h"
#include "image/registry.h"

/* berth search, and image inspect of what is elsewhere. */

#define SEARCH_TABLE      "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}"
#define SEARCH_LIMIT      25
#define SEARCH_LIMIT_MAX  100
#define DESCRIPTION_SHOWN 45

static const struct listing_column search_columns[] = {
    { "Name", "NAME" },           { "Description", "DESCRIPTION" }, { "StarCount", "STARS" },
    { "IsOfficial", "OFFICIAL" }, { "IsAutomated", "AUTOMATED" },   { 0 },
};

/* One line; what a registry says goes to a terminal. */
static char *description_of(const struct registry_found *found, bool is_whole)
{
    char *text = show_printable(found->description);

    if (!is_whole && strlen(text) > DESCRIPTION_SHOWN) {
        size_t end = DESCRIPTION_SHOWN - 1;
        char *cut;

        while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
            end--; /* not within a character */
        cut = xasprintf("%.*s…", (int)end, text);
        free(text);
        text = cut;
    }
    return text;
}

static int add_row(struct listing *listing, const struct registry_found *found, bool is_whole,
                   struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    auto_free char *description = description_of(found, is_whole);
    auto_free char *name = show_printable(found->name);
    auto_free char *stars = xasprintf("%llu", (unsigned long long)found->stars);

    string_map_set(&fields, "Name", name);
    string_map_set(&fields, "Description", description);
    string_map_set(&fields, "StarCount", stars);
    string_map_set(&fields, "IsOfficial", found->is_official ? "[OK]" : "");
    string_map_set(&fields, "IsAutomated", found->is_automated ? "[OK]" : "");
    return listing_add(listing, &fields, NULL, err);
}

static int search(const struct arguments *arguments, struct error *err)
{
    struct registry_options options = registry_options(arguments);
    AUTO(registries) struct registries *registries = NULL;
    AUTO_CLEAR(registry_search) struct registry_search found = { 0 };
    AUTO_CLEAR(listing) struct listing listing = { 0 };
    const char *limit_text = arguments_text(arguments, "limit");
    uint64_t limit = SEARCH_LIMIT;
    int r = 0;

    if (limit_text != NULL)
        r = text_parse_u64(limit_text, "--limit", SEARCH_LIMIT_MAX, &limit, err);
    if (r == 0)
        r = listing_open(arguments_text(arguments, "format"), SEARCH_TABLE, search_columns,
                         &listing, err);
    if (r == 0)
        r = registries_open(&registries, err);
    if (r == 0)
        r = registry_search(registries, arguments->words[0], &options,
                            limit > 0 ? (size_t)limit : SEARCH_LIMIT, &found, err);
    for (size_t i = 0; r == 0 && i < found.count; i++)
        r = add_row(&listing, &found.items[i], arguments_flag(arguments, "no-trunc"), err);
    return r < 0 ? r : listing_print(&listing, err);
}

int command_image_search(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    (void)context;
    if (search(arguments, &err) < 0)
        return image_program_failed("search", &err);
    return image_program_printed();
}

/* --- inspect ---------------------------------------------------------------------------------- */

static int inspect_archive(struct image_program *program, const struct image_source *source,
                           const char *platform, char **ret_json, struct error *err)
{
    struct engine *engine;
    int r;

    if (platform != NULL)
        return error_set(err, EOPNOTSUPP, "--platform is for docker://NAME alone");
    r = image_program_engine(program, &engine, err);
    return r < 0 ? r : engine_inspect_archive(engine, &source->end, ret_json, err);
}

static int inspect_one(struct image_program *program, const struct registries *registries,
                       const char *name, const struct arguments *arguments, char **ret_json,
                       struct error *err)
{
    const char *platform = arguments_text(arguments, "platform");
    struct registry_options options = registry_options(arguments);
    AUTO_CLEAR(image_source) struct image_source source = { .fd = -1 };
    int r;

    if (!image_place_has_kind(name))
        return error_set(err, EINVAL, "'%s' is here: look at it without what is elsewhere", name);
    r = image_source_open(registries, name, &source, err);
    if (r < 0)
        return r;
    r = source.reference != NULL
            ? registry_inspect(registries, source.reference, &options, platform, ret_json, err)
            : inspect_archive(program, &source, platform, ret_json, err);
    return r < 0 ? error_prefix(err, r, "%s", name) : 0;
}

static int inspect(struct image_program *program, const struct arguments *arguments,
                   struct error *err)
{
    const char *format = arguments_text(arguments, "format");
    AUTO(registries) struct registries *registries = NULL;
    AUTO(template) struct template *template = NULL;
    AUTO_CLEAR(text) struct text out = { 0 };
    bool is_json = text_is_empty(format) || strcmp(format, "json") == 0;
    int r = 0;

    if (!is_json)
        r = template_parse(format, &template, err);
    if (r == 0)
        r = registries_open(&registries, err);
    for (size_t i = 0; r == 0 && i < arguments->word_count; i++) {
        auto_free char *json = NULL;

        r = inspect_one(program, registries, arguments->words[i], arguments, &json, err);
        if (r == 0 && template != NULL)
            r = template_run(template, json, strlen(json), &out, err);
        else if (r == 0)
            text_addf(&out, "%s%s", i > 0 ? "," : "", json);
        if (r == 0 && template != NULL)
            text_add(&out, "\n");
    }
    if (r == 0 && template == NULL) {
        auto_free char *array = xasprintf("[%s]", out.data != NULL ? out.data : "");
        auto_free char *indented = NULL;

        r = template_indent_json(array, strlen(array), &indented, err);
        if (r == 0)
            (void)printf("%s\n", indented);
    } else if (r == 0) {
        (void)fputs(out.data != NULL ? out.data : "", stdout); /* seen when it is flushed */
    }
    return r;
}

int command_image_inspect_remote(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    if (inspect(context, arguments, &err) < 0)
        return image_program_failed("image inspect", &err);
    return image_program_printed();
}
