#include "cli/berth.h"
#include "cli/image_output.h"
#include "cli/image_program.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

/* commit, export and save: what writes layers and archives. */

static int commit(struct image_program *program, const struct arguments *arguments,
                  char **ret_image_id, struct error *err)
{
    struct commit_options options = {
        .reference = arguments->words[1],
        .author = arguments_text(arguments, "author"),
        .message = arguments_text(arguments, "message"),
        .changes = arguments_list(arguments, "change"),
        .pauses = !arguments_has(arguments, "pause") || arguments_flag(arguments, "pause"),
    };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    auto_free char *id = NULL;
    int r;

    r = image_program_epoch(INT64_MAX, &options.latest, err);
    if (r == 0)
        r = image_program_container(program, arguments->words[0], &id, err);
    if (r == 0)
        r = engine_commit(program->engine, id, &options, &warnings, ret_image_id, err);
    berth_warn(&warnings);
    return r;
}

int command_image_commit(const struct arguments *arguments, void *context)
{
    auto_free char *image_id = NULL;
    struct error err = { 0 };

    if (commit(context, arguments, &image_id, &err) < 0)
        return image_program_failed("commit", &err);
    (void)printf("%s\n", image_id);
    return image_program_printed();
}

static int export(struct image_program *program, const struct arguments *arguments,
                  struct error *err)
{
    AUTO_CLEAR(image_output) struct image_output output = { .fd = -1 };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    auto_free char *id = NULL;
    int r;

    r = image_program_container(program, arguments->words[0], &id, err);
    if (r == 0)
        r = image_output_open(arguments_text(arguments, "output"), &output, err);
    if (r == 0)
        r = engine_export(program->engine, id, output.fd, &warnings, err);
    if (r == 0)
        r = image_output_finish(&output, err);
    berth_warn(&warnings);
    return r;
}

int command_image_export(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    return export(context, arguments, &err) < 0 ? image_program_failed("export", &err) : 0;
}

static int save(struct image_program *program, const struct arguments *arguments, struct error *err)
{
    const char *format = arguments_text(arguments, "format");
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    AUTO_CLEAR(image_output) struct image_output output = { .fd = -1 };
    bool is_oci = text_equal(format, "oci") || text_equal(format, "oci-archive");
    struct engine *engine;
    int r;

    if (format != NULL && !is_oci && !text_equal(format, "docker") &&
        !text_equal(format, "docker-archive"))
        return error_set(err, EINVAL, "--format '%s': give docker or oci", format);
    r = image_program_engine(program, &engine, err);
    for (size_t i = 0; r == 0 && i < arguments->word_count; i++)
        r = image_archive_add(engine_images(engine), arguments->words[i],
                              arguments_flag(arguments, "all-platforms"), &archive, err);
    if (r == 0)
        r = image_output_open(arguments_text(arguments, "output"), &output, err);
    if (r == 0)
        r = image_archive_write(engine_images(engine), &archive,
                                is_oci ? ARCHIVE_OCI : ARCHIVE_DOCKER, output.fd, err);
    return r < 0 ? r : image_output_finish(&output, err);
}

int command_image_save(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    return save(context, arguments, &err) < 0 ? image_program_failed("save", &err) : 0;
}
