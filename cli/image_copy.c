#include "cli/image_program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/listing.h"
#include "cli/registry_options.h"
#include "image/registry.h"

/* berth image copy and berth image referrers: what is at registries, without a pull. */

#define REFERRERS_TABLE "{{.ArtifactType}}\t{{.Digest}}\t{{.Size}}"

static const struct listing_column referrer_columns[] = {
    { "ArtifactType", "ARTIFACT TYPE" },
    { "Digest", "DIGEST" },
    { "Size", "SIZE" },
    { "MediaType", "MEDIA TYPE" },
    { 0 },
};

/* With or without "docker://", as skopeo has it; short names as pull takes them first. */
static int parse_name(const struct registries *registries, const char *text,
                      struct reference **ret_reference, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };

    if (text_starts(text, "docker://"))
        text += strlen("docker://");
    else if (text_starts(text, "oci:") || strstr(text, "-archive:") != NULL)
        return error_set(err, ENOTSUP,
                         "'%s': only registries are copied from and to; `berth save` and `berth "
                         "load` have --all-platforms",
                         text);
    registries_names(registries, text, &names);
    if (names.count == 0)
        return error_set(err, EINVAL, "'%s' is no image name", text);
    return reference_parse(names.items[0], ret_reference, err);
}

static int copy(struct image_program *program, const struct arguments *arguments, struct error *err)
{
    struct push_options options = { .registry = registry_options(arguments) };
    AUTO(registries) struct registries *registries = NULL;
    AUTO(reference) struct reference *source = NULL;
    AUTO(reference) struct reference *destination = NULL;
    struct copied copied;
    struct engine *engine;
    int r;

    r = registries_open(&registries, err);
    if (r == 0)
        r = parse_name(registries, arguments->words[0], &source, err);
    if (r == 0)
        r = parse_name(registries, arguments->words[1], &destination, err);
    if (r == 0)
        r = image_program_engine(program, &engine, err);
    if (r == 0)
        r = engine_copy_image(engine, registries, source, destination, &options, &copied, err);
    if (r < 0)
        return r;
    if (!arguments_flag(arguments, "quiet"))
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
static char *printable(const char *text)
{
    char *copy = xstrdup(text_is_empty(text) ? "-" : text);

    for (char *c = copy; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    }
    return copy;
}

static int add_row(struct listing *listing, const struct image_descriptor *referrer,
                   struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    auto_free char *artifact_type = printable(referrer->artifact_type);
    auto_free char *media_type = printable(referrer->media_type);
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
        r = parse_name(registries, arguments->words[0], &reference, err);
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
