#include "cli/berth.h"
#include "cli/image_program.h"

#include <stdio.h>

#include "base/auto.h"
#include "cli/progress.h"

/* system check. It opens the engine by itself: what killed commands left is to be seen first. */

static void print_result(const struct check_result *result)
{
    for (size_t i = 0; i < result->repairs.count; i++)
        (void)printf("repaired: %s\n", result->repairs.items[i]);
    for (size_t i = 0; i < result->defects.count; i++)
        (void)printf("defect: %s\n", result->defects.items[i]);
    (void)printf("images: %llu, layers: %llu, blobs: %llu, of them not used: %llu, defects: %zu\n",
                 (unsigned long long)result->image_count, (unsigned long long)result->layer_count,
                 (unsigned long long)result->blob_count, (unsigned long long)result->unused_count,
                 result->defects.count);
}

static int check(struct image_program *program, const struct arguments *arguments,
                 struct check_result *result, struct error *err)
{
    struct check_options options = {
        .is_deep = arguments_flag(arguments, "deep"),
        .is_repairing = arguments_flag(arguments, "repair"),
    };
    AUTO(progress) struct progress *progress = NULL;
    int r;

    r = engine_open(program->data_path, program->run_path, &program->engine, err);
    if (r < 0)
        return r;
    progress = progress_open(arguments_flag(arguments, "quiet") || program->is_debug);
    return engine_check(program->engine, &options, progress_update, progress, result, err);
}

int command_system_check(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(check_result) struct check_result result = { 0 };
    struct error err = { 0 };
    int status;

    if (check(context, arguments, &result, &err) < 0)
        return image_program_failed("system check", &err);
    print_result(&result);
    status = image_program_printed();
    return status == 0 && result.defects.count > 0 ? STATUS_FAILED : status;
}
