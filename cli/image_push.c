#include "cli/image_program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/registry_options.h"
#include "image/registry.h"

/* berth push: docker's lines, one for each layer when it is there, and a line that lives meanwhile.
 */

struct pushing {
    struct progress *progress;
    bool is_quiet;
    uint64_t *layers, *sizes; /* bytes that the registry has of each; and all of them */
};

static void push_layer(void *context, const struct push_layer *layer)
{
    struct pushing *pushing = context;
    uint64_t total = 0, sent = 0;

    if (pushing->layers == NULL) {
        pushing->layers = xcalloc(layer->count, sizeof(*pushing->layers));
        pushing->sizes = xcalloc(layer->count, sizeof(*pushing->sizes));
    }
    pushing->layers[layer->index] = layer->bytes;
    pushing->sizes[layer->index] = layer->descriptor->size;
    for (size_t i = 0; i < layer->count; i++) {
        total += pushing->sizes[i];
        sent += pushing->layers[i];
    }
    if (layer->step != PUSH_SENDS && !pushing->is_quiet) {
        progress_hide(pushing->progress);
        (void)printf("%.12s: %s%s\n", digest_hex(&layer->descriptor->digest),
                     layer->step == PUSH_EXISTED   ? "Layer already exists"
                     : layer->step == PUSH_MOUNTED ? "Mounted from "
                                                   : "Pushed",
                     layer->step == PUSH_MOUNTED ? layer->mount_from : "");
        (void)fflush(stdout); /* told in the end, when it fails */
    }
    progress_update("Uploading", sent, total, pushing->progress);
}

static void pushing_clear(struct pushing *pushing)
{
    progress_free(pushing->progress);
    free(pushing->layers);
    free(pushing->sizes);
}

static int push_one(struct image_program *program, const struct registries *registries,
                    const struct image *image, const struct reference *destination,
                    const struct arguments *arguments, struct error *err)
{
    AUTO_CLEAR(pushing)
    struct pushing pushing = { .is_quiet = arguments_flag(arguments, "quiet") };
    struct push_options options = { .registry = registry_options(arguments),
                                    .all_platforms = arguments_flag(arguments, "all-platforms"),
                                    .layer = push_layer,
                                    .context = &pushing };
    struct reference repository = { .registry = destination->registry,
                                    .repository = destination->repository };
    auto_free char *name = reference_format(&repository);
    auto_free char *whole = reference_format_familiar(destination);
    struct digest digest;
    uint64_t size;
    int r;

    if (!pushing.is_quiet)
        (void)printf("The push refers to repository [%s]\n", name);
    pushing.progress = progress_open(pushing.is_quiet || program->is_debug);
    r = image_push(engine_images(program->engine), registries, &image->manifest_digest, destination,
                   &options, &digest, &size, err);
    if (r < 0)
        return error_prefix(err, r, "%s", whole);
    progress_hide(pushing.progress);
    if (pushing.is_quiet)
        (void)printf("%s\n", whole);
    else
        (void)printf("%s: digest: %s size: %llu\n",
                     destination->tag != NULL ? destination->tag : digest.text, digest.text,
                     (unsigned long long)size);
    return 0;
}

/* --all-tags: every tag that the repository has here. */
static int push_all(struct image_program *program, const struct registries *registries,
                    const struct reference *repository, const struct arguments *arguments,
                    struct error *err)
{
    struct image_store *store = engine_images(program->engine);
    struct image_listing listing = { 0 };
    bool has_pushed = false;
    int r;

    r = image_list(store, &listing, err);
    for (size_t i = 0; r == 0 && i < listing.count; i++) {
        for (size_t j = 0; r == 0 && j < listing.items[i].names.count; j++) {
            AUTO(reference) struct reference *reference = NULL;
            AUTO(image) struct image *image = NULL;

            if (reference_parse(listing.items[i].names.items[j], &reference, NULL) < 0 ||
                reference->tag == NULL || !reference_is_same_repository(reference, repository))
                continue;
            r = image_find(store, listing.items[i].names.items[j], &image, err);
            if (r == 0)
                r = push_one(program, registries, image, reference, arguments, err);
            has_pushed = true;
        }
    }
    image_listing_clear(&listing);
    if (r == 0 && !has_pushed)
        return error_set(err, ENOENT, "there is no tag of '%s' here", arguments->words[0]);
    return r;
}

static int push(struct image_program *program, const struct arguments *arguments, struct error *err)
{
    const char *name = arguments->words[arguments->word_count - 1];
    AUTO(registries) struct registries *registries = NULL;
    AUTO(reference) struct reference *destination = NULL;
    AUTO(image) struct image *image = NULL;
    struct engine *engine;
    int r;

    if (text_starts(name, "docker://")) /* as podman has it */
        name += strlen("docker://");
    r = reference_parse(name, &destination, err);
    if (r == 0)
        r = registries_open(&registries, err);
    if (r == 0)
        r = image_program_engine(program, &engine, err);
    if (r < 0)
        return r;
    if (arguments_flag(arguments, "all-tags"))
        return push_all(program, registries, destination, arguments, err);
    r = image_find(engine_images(engine), arguments->words[0], &image, err);
    return r < 0 ? r : push_one(program, registries, image, destination, arguments, err);
}

int command_image_push(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    if (push(context, arguments, &err) < 0) {
        (void)fflush(stdout); /* what was printed before belongs before the error */
        return image_program_failed("push", &err);
    }
    return image_program_printed();
}
