#include "cli/berth.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/log.h"
#include "base/process.h"

int berth_engine(struct berth *berth, struct engine **ret_engine, struct error *err)
{
    int r;

    if (berth->engine == NULL) {
        r = rootless_session_enter(err);
        if (r == 0)
            r = engine_open(berth->data_path, berth->run_path, &berth->engine, err);
        if (r < 0)
            return r;
        if (berth->isolation != NULL)
            engine_set_isolation(berth->engine, berth->isolation);
        r = engine_repair(berth->engine, err);
        if (r < 0)
            return r;
    }
    *ret_engine = berth->engine;
    return 0;
}

int berth_find(struct berth *berth, const char *text, char **ret_id, struct error *err)
{
    struct engine *engine = NULL;
    int r = berth_engine(berth, &engine, err);

    return r < 0 ? r : engine_find(engine, text, ret_id, err);
}

int berth_find_image(struct berth *berth, const char *text, struct image **ret_image,
                     struct error *err)
{
    struct engine *engine = NULL;
    int r = berth_engine(berth, &engine, err);

    return r < 0 ? r : image_find(engine_images(engine), text, ret_image, err);
}

int berth_failed(const struct error *err, int status)
{
    /* What was printed before belongs before the error. */
    (void)fflush(stdout);
    if (err->message[0] != '\0')
        log_error("%s", err->message);
    return status;
}

void berth_warn(const struct strings *warnings)
{
    for (size_t i = 0; i < warnings->count; i++)
        log_warning("%s", warnings->items[i]);
}

/* Options of @command as they were typed, "--name" and value as separate arguments. */
static void add_options(const struct option *options, const struct option_value *values,
                        struct strings *line)
{
    for (size_t i = 0; options != NULL && options[i].name != NULL; i++) {
        const struct option_value *value = &values[i];

        if (!value->is_set)
            continue;
        if (options[i].kind == OPTION_FLAG)
            strings_addf(line, "--%s=%s", options[i].name, value->flag ? "true" : "false");
        else if (options[i].kind == OPTION_LIST)
            for (size_t j = 0; j < value->list.count; j++)
                strings_addf(line, "--%s=%s", options[i].name, value->list.items[j]);
        else
            strings_addf(line, "--%s=%s", options[i].name, value->text);
    }
}

int berth_run_image_program(struct berth *berth, const struct arguments *arguments,
                            const char *command)
{
    AUTO_CLEAR(strings) struct strings line = { 0 };
    auto_free char *path = NULL;
    struct error err = { 0 };
    int r;

    r = rootless_session_enter(&err);
    if (r == 0)
        r = process_find_helper("berth-image", &path, &err);
    if (r < 0)
        return berth_failed(&err, STATUS_FAILED);
    strings_add(&line, path);
    if (berth->data_path != NULL)
        strings_addf(&line, "--data=%s", berth->data_path);
    if (berth->run_path != NULL)
        strings_addf(&line, "--run=%s", berth->run_path);
    if (berth->is_debug)
        strings_add(&line, "--debug");
    strings_split(&line, command, ' ');
    add_options(arguments->command->options, arguments->values, &line);
    strings_add(&line, "--");
    for (size_t i = 0; i < arguments->word_count; i++)
        strings_add(&line, arguments->words[i]);

    execv(path, line.items);
    (void)error_errno(&err, "run '%s'", path);
    return berth_failed(&err, STATUS_FAILED);
}
