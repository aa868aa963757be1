#include "cli/image_program.h"

#include <stdio.h>

#include "base/auto.h"
#include "cli/progress.h"

static int flatten(struct image_program *program, const struct arguments *arguments,
                   char **ret_path, struct error *err)
{
    AUTO(progress) struct progress *progress = progress_open(program->is_debug);
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    struct engine *engine;
    int r;

    r = image_program_engine(program, &engine, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < arguments->word_count; i++)
        strings_add(&keys, arguments->words[i]);
    return engine_flatten_here(engine, &keys, progress_update, progress, ret_path, err);
}

int command_image_flatten(const struct arguments *arguments, void *context)
{
    auto_free char *path = NULL;
    struct error err = { 0 };

    if (flatten(context, arguments, &path, &err) < 0)
        return image_program_failed("flatten", &err);
    (void)printf("%s\n", path);
    return image_program_printed();
}
