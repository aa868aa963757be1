#include "cli/berth.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/process.h"
#include "cli/limit_options.h"
#include "cli/run_values.h"

/* Commands that change containers one after the other: every name is tried, every failure is one
 * line, and any failure makes the exit status 1. */

/* What a command does with one container. */
typedef int container_action(struct engine *engine, const char *id,
                             const struct arguments *arguments, struct error *err);

static int for_each_container(const struct arguments *arguments, struct berth *berth,
                              container_action *action)
{
    int status = 0;

    for (size_t i = 0; i < arguments->word_count; i++) {
        auto_free char *id = NULL;
        struct error err = { 0 };
        int r;

        r = berth_find(berth, arguments->words[i], &id, &err);
        if (r == 0)
            r = action(berth->engine, id, arguments, &err);
        if (r < 0)
            status = berth_failed(&err, STATUS_FAILED);
        else
            puts(arguments->words[i]);
        (void)fflush(stdout); /* `stop a b` tells about a while b still ends */
    }
    return status;
}

/* --- stop and restart ------------------------------------------------------------------------- */

/* --timeout or docker's older --time; UINT32_MAX: the container's own. */
static int parse_timeout(const struct arguments *arguments, uint32_t *ret_timeout,
                         struct error *err)
{
    const char *text = arguments_text(arguments, "timeout");
    int64_t seconds = 0;
    int r;

    if (text == NULL)
        text = arguments_text(arguments, "time");
    if (text == NULL) {
        *ret_timeout = UINT32_MAX;
        return 0;
    }
    r = text_parse_i64(text, "--timeout", -1, INT_MAX, &seconds, err);
    if (r < 0)
        return r;
    /* -1 waits as long as it takes: more than a century. */
    *ret_timeout = seconds < 0 ? UINT32_MAX - 1 : (uint32_t)seconds;
    return 0;
}

static int stop_one(struct engine *engine, const char *id, const struct arguments *arguments,
                    struct error *err)
{
    uint32_t timeout = 0;
    int r = parse_timeout(arguments, &timeout, err);

    if (r < 0)
        return r;
    return engine_stop(engine, id, arguments_text(arguments, "signal"), timeout, err);
}

int command_stop(const struct arguments *arguments, void *context)
{
    return for_each_container(arguments, context, stop_one);
}

static int restart_one(struct engine *engine, const char *id, const struct arguments *arguments,
                       struct error *err)
{
    uint32_t timeout = 0;
    int r = parse_timeout(arguments, &timeout, err);

    if (r < 0)
        return r;
    return engine_restart(engine, id, arguments_text(arguments, "signal"), timeout, err);
}

int command_restart(const struct arguments *arguments, void *context)
{
    return for_each_container(arguments, context, restart_one);
}

/* --- kill, pause, unpause --------------------------------------------------------------------- */

static int kill_one(struct engine *engine, const char *id, const struct arguments *arguments,
                    struct error *err)
{
    const char *text = arguments_text(arguments, "signal");
    int number = SIGKILL;
    int r = text_is_empty(text) ? 0 : process_parse_signal(text, &number, err);

    if (r < 0)
        return r;
    return engine_kill(engine, id, number, err);
}

int command_kill(const struct arguments *arguments, void *context)
{
    return for_each_container(arguments, context, kill_one);
}

static int pause_one(struct engine *engine, const char *id, const struct arguments *arguments,
                     struct error *err)
{
    (void)arguments;
    return engine_pause(engine, id, err);
}

int command_pause(const struct arguments *arguments, void *context)
{
    return for_each_container(arguments, context, pause_one);
}

static int unpause_one(struct engine *engine, const char *id, const struct arguments *arguments,
                       struct error *err)
{
    (void)arguments;
    return engine_unpause(engine, id, err);
}

int command_unpause(const struct arguments *arguments, void *context)
{
    return for_each_container(arguments, context, unpause_one);
}

/* --- checkpoint and restore ------------------------------------------------------------------- */

static int checkpoint_one(struct engine *engine, const char *id, const struct arguments *arguments,
                          struct error *err)
{
    return engine_checkpoint(engine, id, arguments_flag(arguments, "leave-running"), err);
}

int command_checkpoint(const struct arguments *arguments, void *context)
{
    return for_each_container(arguments, context, checkpoint_one);
}

static int restore_one(struct engine *engine, const char *id, const struct arguments *arguments,
                       struct error *err)
{
    return engine_restore(engine, id, arguments_flag(arguments, "keep"), err);
}

int command_restore(const struct arguments *arguments, void *context)
{
    return for_each_container(arguments, context, restore_one);
}

/* --- update ----------------------------------------------------------------------------------- */

static int change_settings(struct settings *settings, void *context, struct error *err)
{
    const struct arguments *arguments = context;
    const char *restart = arguments_text(arguments, "restart");
    int r = text_is_empty(restart) ? 0 : run_value_restart(settings, restart, err);

    if (r == 0)
        r = limit_options_parse(arguments, settings, err);
    return r < 0 ? r : limit_options_check_machine(arguments, settings, err);
}

static int update_one(struct engine *engine, const char *id, const struct arguments *arguments,
                      struct error *err)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    int r = engine_update(engine, id, change_settings, (void *)arguments, &warnings, err);

    berth_warn(&warnings);
    return r;
}

int command_update(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    if (limit_options_check_any(arguments, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    return for_each_container(arguments, context, update_one);
}

/* --- rm, rename, wait ------------------------------------------------------------------------- */

int command_rm(const struct arguments *arguments, void *context)
{
    struct berth *berth = context;
    bool is_forced = arguments_flag(arguments, "force");
    int status = 0;

    for (size_t i = 0; i < arguments->word_count; i++) {
        auto_free char *id = NULL;
        struct error err = { 0 };
        int r;

        r = berth_find(berth, arguments->words[i], &id, &err);
        if (r == -ENOENT && is_forced) {
            /* It shall be gone and it is: said, but no failure, as with docker. */
            (void)berth_failed(&err, 0);
            continue;
        }
        if (r == 0)
            r = engine_remove(berth->engine, id, is_forced, arguments_flag(arguments, "volumes"),
                              &err);
        if (r < 0)
            status = berth_failed(&err, STATUS_FAILED);
        else
            puts(arguments->words[i]);
    }
    return status;
}

int command_rename(const struct arguments *arguments, void *context)
{
    struct berth *berth = context;
    auto_free char *id = NULL;
    struct error err = { 0 };

    if (berth_find(berth, arguments->words[0], &id, &err) < 0 ||
        engine_rename(berth->engine, id, arguments->words[1], &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    return 0;
}

int command_wait(const struct arguments *arguments, void *context)
{
    const char *condition = arguments_text(arguments, "condition");
    struct berth *berth = context;
    int status = 0;

    for (size_t i = 0; i < arguments->word_count; i++) {
        auto_free char *id = NULL;
        struct error err = { 0 };
        int exit_status = 0;

        if (berth_find(berth, arguments->words[i], &id, &err) < 0 ||
            engine_wait(berth->engine, id, condition, &exit_status, &err) < 0)
            status = berth_failed(&err, STATUS_FAILED);
        else
            printf("%d\n", exit_status);
        (void)fflush(stdout);
    }
    return status;
}
