#include "cli/image_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "cli/image_output.h"
#include "cli/image_source.h"
#include "cli/listing.h"
#include "cli/registry_options.h"
#include "cli/show.h"
#include "image/registry.h"

/* berth image copy and berth image referrers: images elsewhere, without a pull. */

#define REFERRERS_TABLE "{{.ArtifactType}}\t{{.Digest}}\t{{.Size}}"

static const struct listing_column referrer_columns[] = {
    { "ArtifactType", "ARTIFACT TYPE" },
    { "Digest", "DIGEST" },
    { "Size", "SIZE" },
    { "MediaType", "MEDIA TYPE" },
    { 0 },
};

/* Where a copy goes, with what it needs to be open. */
struct end {
    struct image_place place;
    struct reference *reference;
    struct image_output output;
    int fd;          /* of a new directory */
    char *directory; /* that was made and is not finished */
};

static void end_clear(struct end *end)
{
    if (end->directory != NULL)
        (void)path_remove_tree(AT_FDCWD, end->directory, NULL); /* ours, and of no use */
    free(end->directory);
    auto_close_cleanup(&end->fd);
    image_output_clear(&end->output);
    reference_free(end->reference);
    image_place_clear(&end->place);
}

static int make_layout(struct end *end, struct error *err)
{
    if (mkdir(end->place.path, 0755) < 0)
        return errno == EEXIST ? error_set(err, EEXIST, "'%s' is there already; name a new one",
                                           end->place.path)
                               : error_errno(err, "make the directory '%s'", end->place.path);
    end->directory = xstrdup(end->place.path);
    end->fd = open(end->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return end->fd < 0 ? error_errno(err, "open '%s'", end->directory) : 0;
}

static int open_destination(const struct registries *registries, const char *text, struct end *end,
                            struct image_copy_end *copy, struct error *err)
{
    int r;

    r = image_place_parse(text, &end->place, err);
    if (r == 0 && end->place.kind == PLACE_REGISTRY) {
        r = image_source_name(registries, end->place.name, &end->reference, err);
        copy->reference = end->reference;
        return r;
    }
    if (r < 0)
        return r;
    if (end->place.kind == PLACE_OCI)
        r = make_layout(end, err);
    else
        r = image_output_open(end->place.path, &end->output, err);
    if (r < 0)
        return r;
    copy->is_directory = end->place.kind == PLACE_OCI;
    copy->fd = copy->is_directory ? end->fd : end->output.fd;
    copy->format = end->place.kind == PLACE_DOCKER_ARCHIVE ? ARCHIVE_DOCKER : ARCHIVE_OCI;
    copy->name = end->place.name;
    return 0;
}

static int copy_archive(struct engine *engine, const struct registries *registries,
                        const struct image_copy_end *source,
                        const struct image_copy_end *destination,
                        const struct push_options *options, struct end *to, struct digest *digest,
                        struct error *err)
{
    int r = engine_copy_archive(engine, registries, source, destination, options, digest, err);

    if (r < 0 || destination->reference != NULL)
        return r;
    if (!destination->is_directory)
        return image_output_finish(&to->output, err);
    free(take_ptr(&to->directory)); /* it stays */
    return 0;
}

static int copy(struct image_program *program, const struct arguments *arguments, struct error *err)
{
    struct push_options options = { .registry = registry_options(arguments) };
    AUTO(registries) struct registries *registries = NULL;
    AUTO_CLEAR(image_source) struct image_source from = { .fd = -1 };
    AUTO_CLEAR(end) struct end to = { .fd = -1, .output.fd = -1 };
    struct image_copy_end destination = { .fd = -1 };
    struct copied copied = { 0 };
    struct engine *engine;
    bool has_counts;
    int r;

    r = registries_open(&registries, err);
    if (r == 0)
        r = image_source_open(registries, arguments->words[0], &from, err);
    if (r == 0)
        r = open_destination(registries, arguments->words[1], &to, &destination, err);
    if (r == 0)
        r = image_program_engine(program, &engine, err);
    if (r < 0)
        return r;
    has_counts = from.end.reference != NULL && destination.reference != NULL;
    r = has_counts ? engine_copy_image(engine, registries, from.end.reference,
                                       destination.reference, &options, &copied, err)
                   : copy_archive(engine, registries, &from.end, &destination, &options, &to,
                                  &copied.digest, err);
    if (r < 0)
        return r;
    if (has_counts && !arguments_flag(arguments, "quiet"))
        (void)printf("Copied %llu manifests, of them %llu that refer to others, and %llu blobs\n",
                     (unsigned long long)copied.documents, (unsigned long long)copied.referrers,
                     (unsigned long long)copied.blobs);
    (void)printf("%s\n", copied.digest.text);
    return 0;
}

int command_image_copy(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    if (copy(context, arguments, &err) < 0)
        return image_program_failed("image copy", &err);
    return image_program_printed();
}

/* What a registry says goes to a terminal. */
static char *shown(const char *text)
{
    return show_printable(text_is_empty(text) ? "-" : text);
}

static int add_row(struct listing *listing, const struct image_descriptor *referrer,
                   struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    auto_free char *artifact_type = shown(referrer->artifact_type);
    auto_free char *media_type = shown(referrer->media_type);
    auto_free char *size = text_format_size(referrer->size);

    string_map_set(&fields, "ArtifactType", artifact_type);
    string_map_set(&fields, "Digest", referrer->digest.text);
    string_map_set(&fields, "Size", size);
    string_map_set(&fields, "MediaType", media_type);
    return listing_add(listing, &fields, &referrer->annotations, err);
}

static int referrers(const struct arguments *arguments, struct error *err)
{
    struct registry_options options = registry_options(arguments);
    AUTO(registries) struct registries *registries = NULL;
    AUTO(reference) struct reference *reference = NULL;
    AUTO_CLEAR(image_descriptors) struct image_descriptors found = { 0 };
    AUTO_CLEAR(listing) struct listing listing = { 0 };
    struct digest digest;
    int r;

    r = listing_open(arguments_text(arguments, "format"), REFERRERS_TABLE, referrer_columns,
                     &listing, err);
    if (r == 0)
        r = registries_open(&registries, err);
    if (r == 0)
        r = image_source_name(registries, arguments->words[0], &reference, err);
    if (r == 0)
        r = registry_referrers(registries, reference, &options, &digest, &found, err);
    for (size_t i = 0; r == 0 && i < found.count; i++)
        r = add_row(&listing, &found.items[i], err);
    return r < 0 ? r : listing_print(&listing, err);
}

int command_image_referrers(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    (void)context;
    if (referrers(arguments, &err) < 0)
        return image_program_failed("image referrers", &err);
    return image_program_printed();
}
