#include "cli/image_make.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "cli/berth.h"
#include "cli/image_program.h"

#define DAY_SECONDS 86400

static const struct {
    const char *kind;
    image_maker *maker;
    bool is_debian;
} makers[] = {
    { "busybox", image_make_busybox, false },
    { "debian", image_make_debian, true },
};

/* Without SOURCE_DATE_EPOCH the last midnight: builds of one day from the same packages are equal.
 */
static int choose_epoch(int64_t *ret_epoch, struct error *err)
{
    int64_t now = (int64_t)time(NULL);

    return image_program_epoch(now - now % DAY_SECONDS, ret_epoch, err);
}

static int check_tags(const struct strings *tags, struct strings *ret_tags, struct error *err)
{
    int r;

    for (size_t i = 0; i < tags->count; i++) {
        AUTO(reference) struct reference *reference = NULL;

        r = reference_parse(tags->items[i], &reference, err);
        if (r < 0)
            return error_prefix(err, r, "--tag");
        if (reference->digest != NULL)
            return error_set(err, EINVAL, "--tag: '%s' has a digest", tags->items[i]);
        strings_take(ret_tags, reference_format_familiar(reference));
    }
    return 0;
}

static int check_options(const struct arguments *arguments, bool is_debian, struct error *err)
{
    static const char *const debian_options[] = { "suite", "include", "variant" };

    for (size_t i = 0; i < ARRAY_SIZE(debian_options) && !is_debian; i++) {
        if (arguments_has(arguments, debian_options[i]))
            return error_set(err, EINVAL, "--%s is for 'debian' only", debian_options[i]);
    }
    return 0;
}

/* @ret_manifest of the finished image, whose blobs are in the store. */
static int build(struct image_make *make, image_maker *maker, struct strings *tags,
                 struct digest *ret_manifest, struct error *err)
{
    struct image_store *store = engine_images(make->engine);
    AUTO_CLEAR(image_config) struct image_config config = { 0 };
    AUTO_CLEAR(image_descriptors) struct image_descriptors layers = { 0 };
    AUTO(layer_writer) struct layer_writer *layer = NULL;
    struct digest diff_id;
    int r;

    r = layer_writer_open(store, &layer, err);
    if (r < 0)
        return r;
    make->layer = layer;
    config.architecture = xstrdup(platform_architecture());
    config.os = xstrdup("linux");
    config.created = text_format_time(make->epoch, 0);
    r = maker(make, &config, tags, err);
    if (r == 0)
        r = layer_writer_finish(layer, &layers, &diff_id, err);
    if (r < 0)
        return r;
    strings_add(&config.diff_ids, diff_id.text);
    return image_build(store, &config, &layers, ret_manifest, err);
}

static int make_image(struct image_program *program, const struct arguments *arguments,
                      image_maker *maker, struct strings *tags, char **ret_id, struct error *err)
{
    AUTO(progress) struct progress *progress = NULL;
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    AUTO(image) struct image *image = NULL;
    struct image_make make = { 0 };
    const struct strings *include = arguments_list(arguments, "include");
    struct digest manifest;
    int r;

    r = choose_epoch(&make.epoch, err);
    if (r == 0)
        r = image_program_engine(program, &make.engine, err);
    if (r < 0)
        return r;
    progress = progress_open(arguments_flag(arguments, "quiet") || program->is_debug);
    make.progress = progress;
    make.suite = arguments_text(arguments, "suite");
    make.variant = arguments_text(arguments, "variant");
    if (make.variant == NULL)
        make.variant = "minbase";
    if (include != NULL)
        make.packages = *include; /* borrowed */
    r = build(&make, maker, tags, &manifest, err);
    if (r == 0)
        r = engine_publish(make.engine, &manifest, tags, progress_update, progress, &warnings, err);
    berth_warn(&warnings);
    if (r == 0)
        r = image_open(engine_images(make.engine), &manifest, &image, err);
    if (r < 0)
        return r;
    *ret_id = xstrdup(image->id.text);
    return 0;
}

int command_image_make(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(strings) struct strings tags = { 0 };
    const struct strings *wanted = arguments_list(arguments, "tag");
    const char *kind = arguments->words[0];
    auto_free char *id = NULL;
    image_maker *maker = NULL;
    bool is_debian = false;
    struct error err = { 0 };
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
        if (strcmp(kind, makers[i].kind) == 0) {
            maker = makers[i].maker;
            is_debian = makers[i].is_debian;
        }
    }
    if (maker == NULL)
        r = error_set(&err, EINVAL,
                      "'%s' is not a kind of image that can be made: take busybox or "
                      "debian",
                      kind);
    if (r == 0)
        r = check_options(arguments, is_debian, &err);
    if (r == 0 && wanted != NULL)
        r = check_tags(wanted, &tags, &err);
    if (r == 0)
        r = make_image(context, arguments, maker, &tags, &id, &err);
    if (r < 0)
        return image_program_failed("image make", &err);
    for (size_t i = 0; i < tags.count && !arguments_flag(arguments, "quiet"); i++)
        (void)printf("Made image: %s\n", tags.items[i]);
    if (arguments_flag(arguments, "quiet"))
        (void)printf("%s\n", id);
    return image_program_printed();
}
