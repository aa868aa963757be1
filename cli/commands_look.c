#include "cli/berth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/auto.h"
#include "base/log.h"
#include "cli/template.h"
#include "cli/time_option.h"
#include "image/registry.h"

/* inspect, image inspect, volume inspect, cgroup inspect, logs */

/* --- inspect ---------------------------------------------------------------------------------- */

enum inspect_kind { INSPECT_ANY, INSPECT_CONTAINER, INSPECT_IMAGE, INSPECT_VOLUME, INSPECT_CGROUP };

struct inspection {
    struct berth *berth;
    enum inspect_kind kind;
    bool has_size;
    struct template *template; /* NULL: JSON */
    struct text out;
    size_t count;
};

/* As docker, which looks for a container first, then for an image, then for a volume. -ENOENT: none
 * of them. */
static int inspect_find(struct inspection *inspection, const char *name, char **ret_json,
                        struct error *err)
{
    struct engine *engine = NULL;
    AUTO(image) struct image *image = NULL;
    auto_free char *id = NULL;
    int r;

    r = berth_engine(inspection->berth, &engine, err);
    if (r < 0)
        return r;
    if (inspection->kind == INSPECT_CGROUP)
        return engine_group_inspect(engine, name, ret_json, err);
    if (inspection->kind == INSPECT_VOLUME)
        return engine_volume_inspect(engine, name, ret_json, err);
    if (inspection->kind != INSPECT_IMAGE) {
        r = berth_find(inspection->berth, name, &id, err);
        if (r == 0)
            r = engine_inspect(engine, id, inspection->has_size, ret_json, err);
        if (r != -ENOENT || inspection->kind == INSPECT_CONTAINER)
            return r;
    }
    r = berth_find_image(inspection->berth, name, &image, err);
    if (r < 0 && inspection->kind == INSPECT_ANY &&
        engine_volume_inspect(engine, name, ret_json, NULL) == 0)
        return 0;
    if (r == -ENOENT && inspection->kind == INSPECT_ANY)
        return error_set(err, ENOENT, "No such object: %s", name);
    if (r < 0)
        return r;
    *ret_json = image_inspect_json(engine_images(engine), image);
    return 0;
}

static int inspect_one(struct inspection *inspection, const char *name, struct error *err)
{
    auto_free char *json = NULL;
    int r;

    r = inspect_find(inspection, name, &json, err);
    if (r < 0)
        return r;
    if (inspection->template == NULL) {
        text_addf(&inspection->out, "%s%s", inspection->count++ > 0 ? "," : "", json);
        return 0;
    }
    r = template_run(inspection->template, json, strlen(json), &inspection->out, err);
    if (r < 0)
        return r;
    text_add(&inspection->out, "\n");
    return 0;
}

/* One array of all that was found, also when it is empty: scripts parse it. */
static int inspect_print_json(const struct text *objects, struct error *err)
{
    auto_free char *array = xasprintf("[%s]", objects->data != NULL ? objects->data : "");
    auto_free char *indented = NULL;
    int r = template_indent_json(array, strlen(array), &indented, err);

    if (r < 0)
        return r;
    puts(indented);
    return 0;
}

static int inspect(const struct arguments *arguments, struct inspection *inspection)
{
    const char *format = arguments_text(arguments, "format");
    bool is_json = text_is_empty(format) || strcmp(format, "json") == 0;
    AUTO_CLEAR(strings) struct strings failures = { 0 };
    struct error err = { 0 };

    if (!is_json && template_parse(format, &inspection->template, &err) < 0)
        return berth_failed(&err, STATUS_USAGE);
    for (size_t i = 0; i < arguments->word_count; i++) {
        if (inspect_one(inspection, arguments->words[i], &err) < 0)
            strings_add(&failures, err.message);
    }
    if (!is_json)
        fputs(inspection->out.data != NULL ? inspection->out.data : "", stdout);
    else if (format != NULL && format[0] != '\0')
        printf("[%s]\n", inspection->out.data != NULL ? inspection->out.data : "");
    else if (inspect_print_json(&inspection->out, &err) < 0)
        strings_add(&failures, err.message);
    (void)fflush(stdout);
    for (size_t i = 0; i < failures.count; i++)
        log_error("%s", failures.items[i]);
    return failures.count > 0 ? STATUS_FAILED : 0;
}

static int run_inspection(const struct arguments *arguments, struct berth *berth,
                          enum inspect_kind kind, bool has_size)
{
    struct inspection inspection = { .berth = berth, .kind = kind, .has_size = has_size };
    int status = inspect(arguments, &inspection);

    template_free(inspection.template);
    text_clear(&inspection.out);
    return status;
}

int command_inspect(const struct arguments *arguments, void *context)
{
    static const struct {
        const char *word;
        enum inspect_kind kind;
    } types[] = {
        { "", INSPECT_ANY },
        { "container", INSPECT_CONTAINER },
        { "image", INSPECT_IMAGE },
        { "volume", INSPECT_VOLUME },
    };
    const char *type = arguments_text(arguments, "type");
    struct error err = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(type != NULL ? type : "", types[i].word) == 0)
            return run_inspection(arguments, context, types[i].kind,
                                  arguments_flag(arguments, "size"));
    }
    (void)error_set(&err, EINVAL,
                    "--type '%s': give container, image or volume, others are not there yet", type);
    return berth_failed(&err, STATUS_FAILED);
}

/* What is elsewhere is the business of berth-image; a name that is here wins ("oci:1"). */
static bool is_elsewhere(struct berth *berth, const char *word)
{
    AUTO(image) struct image *image = NULL;

    return image_place_has_kind(word) && berth_find_image(berth, word, &image, NULL) < 0;
}

int command_image_inspect(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    for (size_t i = 0; i < arguments->word_count; i++) {
        if (is_elsewhere(context, arguments->words[i]))
            return berth_run_image_program(context, arguments, "image inspect");
    }
    if (arguments_has(arguments, "platform")) {
        (void)error_set(&err, EOPNOTSUPP,
                        "--platform: images of several platforms are not there yet");
        return berth_failed(&err, STATUS_FAILED);
    }
    return run_inspection(arguments, context, INSPECT_IMAGE, false);
}

int command_volume_inspect(const struct arguments *arguments, void *context)
{
    return run_inspection(arguments, context, INSPECT_VOLUME, false);
}

int command_cgroup_inspect(const struct arguments *arguments, void *context)
{
    return run_inspection(arguments, context, INSPECT_CGROUP, false);
}

/* --- logs ------------------------------------------------------------------------------------- */

static int parse_tail(const char *text, int64_t *ret_tail, struct error *err)
{
    if (text_is_empty(text) || strcmp(text, "all") == 0) {
        *ret_tail = -1;
        return 0;
    }
    return text_parse_i64(text, "--tail", -1, INT64_MAX, ret_tail, err);
}

static int parse_logs_options(const struct arguments *arguments, struct logs_options *options,
                              struct error *err)
{
    const char *since = arguments_text(arguments, "since");
    const char *until = arguments_text(arguments, "until");
    struct timespec now = { 0 };
    int r;

    *options = (struct logs_options){
        .has_stdout = true,
        .has_stderr = true,
        .follows = arguments_flag(arguments, "follow"),
        .has_timestamps = arguments_flag(arguments, "timestamps"),
        .has_details = arguments_flag(arguments, "details"),
        .has_since = !text_is_empty(since),
        .has_until = !text_is_empty(until),
    };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    r = parse_tail(arguments_text(arguments, "tail"), &options->tail, err);
    if (r == 0 && options->has_since)
        r = time_option_parse(since, "--since", &now, &options->since, err);
    if (r == 0 && options->has_until)
        r = time_option_parse(until, "--until", &now, &options->until, err);
    return r;
}

int command_logs(const struct arguments *arguments, void *context)
{
    struct berth *berth = context;
    struct logs_options options;
    auto_free char *id = NULL;
    struct error err = { 0 };

    if (parse_logs_options(arguments, &options, &err) < 0 ||
        berth_find(berth, arguments->words[0], &id, &err) < 0 ||
        engine_logs(berth->engine, id, &options, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    return 0;
}
