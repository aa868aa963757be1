#include "cli/berth.h"

#include <stdio.h>

#include "base/auto.h"
#include "cli/limit_options.h"

/* `cgroup create`, `update`, `rm`: groups of containers and their limits. */

static int change_limits(struct settings *settings, void *context, struct error *err)
{
    return limit_options_parse(context, settings, err);
}

/* What create and update do with one group. */
typedef int group_action(struct engine *engine, const char *name, settings_change *change,
                         void *context, struct strings *ret_warnings, struct error *err);

static int limit_group(const struct arguments *arguments, struct berth *berth, group_action *action)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    struct engine *engine = NULL;
    struct error err = { 0 };

    if (berth_engine(berth, &engine, &err) < 0 ||
        action(engine, arguments->words[0], change_limits, (void *)arguments, &warnings, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    berth_warn(&warnings);
    puts(arguments->words[0]);
    return 0;
}

int command_cgroup_create(const struct arguments *arguments, void *context)
{
    return limit_group(arguments, context, engine_group_create);
}

int command_cgroup_update(const struct arguments *arguments, void *context)
{
    return limit_group(arguments, context, engine_group_update);
}

int command_cgroup_rm(const struct arguments *arguments, void *context)
{
    int status = 0;

    for (size_t i = 0; i < arguments->word_count; i++) {
        struct engine *engine = NULL;
        struct error err = { 0 };

        if (berth_engine(context, &engine, &err) < 0 ||
            engine_group_remove(engine, arguments->words[i], &err) < 0)
            status = berth_failed(&err, STATUS_FAILED);
        else
            puts(arguments->words[i]);
    }
    return status;
}
