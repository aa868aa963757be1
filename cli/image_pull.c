#include "cli/image_program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/berth.h"
#include "cli/layer_table.h"
#include "cli/registry_options.h"
#include "image/registry.h"

/* berth pull: what docker prints at the end of one, and lines that live meanwhile. */

static void pull_begins(const struct image_descriptors *layers, void *context)
{
    layer_table_begin(context, layers);
}

static int pull_one(struct image_program *program, const struct registries *registries,
                    const struct reference *reference, const struct pull_options *options,
                    bool is_quiet, struct pull_outcome *ret_outcome, struct error *err)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    AUTO(layer_table) struct layer_table *table = NULL;
    struct layers_watch watch = { .begins = pull_begins, .layer = layer_table_update };
    struct pull_options warned = *options;
    struct engine *engine;
    int r;

    r = image_program_engine(program, &engine, err);
    if (r < 0)
        return r;
    table = layer_table_open(is_quiet || program->is_debug);
    watch.context = table;
    warned.warnings = &warnings;
    r = engine_pull(engine, registries, reference, &warned, &watch, ret_outcome, err);
    layer_table_free(take_ptr(&table)); /* its lines stand above the warnings */
    berth_warn(&warnings);
    return r;
}

/* Whether "latest" was filled in. */
static bool has_default_tag(const char *text, const struct reference *reference)
{
    const char *slash = strrchr(text, '/');

    return reference->digest == NULL && strchr(slash != NULL ? slash : text, ':') == NULL;
}

/* One of the names that the user may have meant. */
static int pull_name(struct image_program *program, const struct registries *registries,
                     const char *text, const struct pull_options *options, bool is_quiet,
                     struct error *err)
{
    AUTO(reference) struct reference *reference = NULL;
    auto_free char *name = NULL;
    auto_free char *familiar = NULL;
    struct pull_outcome outcome;
    int r;

    r = reference_parse(text, &reference, err);
    if (r < 0)
        return r;
    name = reference_format(reference);
    familiar = reference_format_familiar(reference);
    if (!is_quiet && has_default_tag(text, reference))
        (void)printf("Using default tag: latest\n");
    r = pull_one(program, registries, reference, options, is_quiet, &outcome, err);
    if (r < 0)
        return error_prefix(err, r, "%s", familiar);
    if (!is_quiet)
        (void)printf("Digest: %s\nStatus: %s for %s\n", outcome.digest.text,
                     outcome.is_new ? "Downloaded newer image" : "Image is up to date", familiar);
    (void)printf("%s\n", name);
    return 0;
}

/* --all-tags: one after the other; layers that they share come once. */
static int pull_all(struct image_program *program, const struct registries *registries,
                    const char *text, const struct pull_options *options, bool is_quiet,
                    struct error *err)
{
    AUTO(reference) struct reference *reference = NULL;
    AUTO_CLEAR(strings) struct strings tags = { 0 };
    int r;

    r = reference_parse(text, &reference, err);
    if (r < 0)
        return r;
    if (!has_default_tag(text, reference))
        return error_set(err, EINVAL, "'%s': --all-tags wants a name without a tag", text);
    r = registry_list_tags(registries, reference, &options->registry, &tags, err);
    for (size_t i = 0; r == 0 && i < tags.count; i++) {
        auto_free char *name = xasprintf("%s:%s", text, tags.items[i]);

        r = pull_name(program, registries, name, options, is_quiet, err);
    }
    return r;
}

/* 1: with --policy missing, one of the names is here; it is printed. */
static int skips_pull(struct image_program *program, const char *policy,
                      const struct strings *names, struct error *err)
{
    struct engine *engine;
    int r;

    if (policy == NULL || strcmp(policy, "always") == 0)
        return 0;
    if (strcmp(policy, "missing") != 0)
        return error_set(err, EINVAL, "--policy '%s': give always or missing", policy);
    r = image_program_engine(program, &engine, err);
    for (size_t i = 0; r == 0 && i < names->count; i++) {
        AUTO(image) struct image *image = NULL;
        AUTO(reference) struct reference *reference = NULL;
        auto_free char *name = NULL;

        if (reference_parse(names->items[i], &reference, NULL) < 0)
            continue;
        name = reference_format(reference);
        if (image_find(engine_images(engine), name, &image, NULL) == 0) {
            (void)printf("%s\n", name);
            return 1;
        }
    }
    return r;
}

/* Whose name a registry does not know, or not for this user, may be one that was meant to be here.
 */
static int failed(struct image_program *program, const char *text, int r,
                  const struct error *reason, struct error *err)
{
    AUTO(image) struct image *image = NULL;
    struct engine *engine = NULL;
    const char *hint = NULL;
    struct error why = { 0 };

    if ((r == -ENOENT || r == -EACCES) && image_program_engine(program, &engine, NULL) == 0 &&
        image_find(engine_images(engine), text, &image, &why) == -ENOENT)
        hint = strstr(why.message, "; did you mean ");
    return error_set(err, -r, "%s%s", reason->message, hint == NULL ? "" : hint);
}

static int pull(struct image_program *program, const struct arguments *arguments, struct error *err)
{
    struct pull_options options = { .platform = arguments_text(arguments, "platform"),
                                    .all_platforms = arguments_flag(arguments, "all-platforms"),
                                    .registry = registry_options(arguments) };
    AUTO(registries) struct registries *registries = NULL;
    AUTO_CLEAR(strings) struct strings names = { 0 };
    int r;

    r = registries_open(&registries, err);
    if (r < 0)
        return r;
    registries_names(registries, arguments->words[0], &names);
    r = skips_pull(program, arguments_text(arguments, "policy"), &names, err);
    if (r != 0)
        return r < 0 ? r : 0;
    for (size_t i = 0; i < names.count; i++) {
        struct error reason = { 0 };

        r = arguments_flag(arguments, "all-tags")
                ? pull_all(program, registries, names.items[i], &options,
                           arguments_flag(arguments, "quiet"), &reason)
                : pull_name(program, registries, names.items[i], &options,
                            arguments_flag(arguments, "quiet"), &reason);
        if (r == 0)
            return 0;
        if (i + 1 == names.count)
            return failed(program, arguments->words[0], r, &reason, err);
        log_debug("%s; the next registry is asked", reason.message);
    }
    return error_set(err, EINVAL, "'%s' is no image name", arguments->words[0]);
}

int command_image_pull(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    if (pull(context, arguments, &err) < 0)
        return image_program_failed("pull", &err);
    return image_program_printed();
}
