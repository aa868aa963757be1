#include "cli/berth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "cli/prune_option.h"

/* prune, with docker's questions and answers. */

struct prune {
    struct engine *engine;
    struct prune_filter filter;
    uint64_t freed_bytes;
};

static void prune_clear(struct prune *prune)
{
    prune_filter_clear(&prune->filter);
}

/* --- asking ----------------------------------------------------------------------------------- */

static int confirm(const struct arguments *arguments, const char *warning, struct error *err)
{
    char answer[64] = "";

    if (arguments_flag(arguments, "force"))
        return 0;
    if (!isatty(STDIN_FILENO))
        return error_set(err, EINVAL,
                         "%s asks before it removes anything, and standard input is no terminal; "
                         "use --force to remove without a question",
                         arguments->command->name);
    printf("%sAre you sure you want to continue? [y/N] ", warning);
    (void)fflush(stdout);
    if (fgets(answer, sizeof(answer), stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y') ||
        strchr("\n", answer[1]) == NULL)
        return error_set(err, ECANCELED, "nothing is removed");
    return 0;
}

/* --- doing ------------------------------------------------------------------------------------ */

static void print_lines(const char *title, const struct prune_result *result)
{
    if (result->lines.count > 0)
        printf("%s\n", title);
    for (size_t i = 0; i < result->lines.count; i++)
        puts(result->lines.items[i]);
    if (result->lines.count > 0)
        putchar('\n');
    berth_warn(&result->warnings);
}

/* Prints what is gone also when something failed in the end. */
static int finish(struct prune *prune, const char *title, struct prune_result *result, int r)
{
    print_lines(title, result);
    prune->freed_bytes += result->freed_bytes;
    prune_result_clear(result);
    return r;
}

static int prune_containers(struct prune *prune, struct error *err)
{
    struct prune_result result = { 0 };
    int r = engine_prune_containers(prune->engine, &prune->filter, &result, err);

    return finish(prune, "Deleted Containers:", &result, r);
}

static int prune_images(struct prune *prune, bool is_all, struct error *err)
{
    struct prune_result result = { 0 };
    int r = engine_prune_images(prune->engine, &prune->filter, is_all, &result, err);

    return finish(prune, "Deleted Images:", &result, r);
}

static int prune_volumes(struct prune *prune, bool is_all, struct error *err)
{
    struct prune_result result = { 0 };
    int r = engine_prune_volumes(prune->engine, &prune->filter, is_all, &result, err);

    return finish(prune, "Deleted Volumes:", &result, r);
}

static int prune_warm(struct prune *prune, struct error *err)
{
    struct prune_result result = { 0 };
    int r = engine_prune_warm(prune->engine, &result, err);

    return finish(prune, "", &result, r); /* they have no names */
}

static int prune_open(struct prune *prune, const struct arguments *arguments, void *context,
                      const char *warning, struct error *err)
{
    int r = prune_filter_parse(arguments_list(arguments, "filter"), (int64_t)time(NULL),
                               &prune->filter, err);

    if (r == 0)
        r = confirm(arguments, warning, err);
    return r < 0 ? r : berth_engine(context, &prune->engine, err);
}

static int prune_end(const struct prune *prune, int r, const struct error *err)
{
    auto_free char *freed = text_format_size(prune->freed_bytes);

    if (prune->engine != NULL)
        printf("Total reclaimed space: %s\n", freed);
    return r < 0 ? berth_failed(err, STATUS_FAILED) : 0;
}

int command_container_prune(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(prune) struct prune prune = { 0 };
    struct error err = { 0 };
    int r;

    r = prune_open(&prune, arguments, context,
                   "WARNING! This will remove all stopped containers.\n", &err);
    if (r == 0)
        r = prune_containers(&prune, &err);
    return prune_end(&prune, r, &err);
}

int command_image_prune(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(prune) struct prune prune = { 0 };
    bool is_all = arguments_flag(arguments, "all");
    struct error err = { 0 };
    int r;

    r = prune_open(&prune, arguments, context,
                   is_all ? "WARNING! This will remove all images without at least one container "
                            "associated to them.\n"
                          : "WARNING! This will remove all dangling images.\n",
                   &err);
    if (r == 0)
        r = prune_images(&prune, is_all, &err);
    return prune_end(&prune, r, &err);
}

static int check_no_age(const struct prune *prune, const char *advice, struct error *err)
{
    return prune->filter.has_until
               ? error_set(err, EINVAL, "--filter until is not for volumes; %s", advice)
               : 0;
}

int command_volume_prune(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(prune) struct prune prune = { 0 };
    bool is_all = arguments_flag(arguments, "all");
    struct error err = { 0 };
    int r;

    r = prune_open(&prune, arguments, context,
                   is_all ? "WARNING! This will remove all local volumes not used by at least one "
                            "container.\n"
                          : "WARNING! This will remove anonymous local volumes not used by at "
                            "least one container.\n",
                   &err);
    if (r == 0)
        r = check_no_age(&prune, "give label= or label!=", &err);
    if (r == 0)
        r = prune_volumes(&prune, is_all, &err);
    return prune_end(&prune, r, &err);
}

static char *system_warning(bool is_all, bool with_volumes)
{
    return xasprintf(
        "WARNING! This will remove:\n"
        "  - all stopped containers\n"
        "%s"
        "  - all %s\n"
        "  - machines saved for run --warm\n"
        "  - parts of downloads, and what killed commands left\n\n",
        with_volumes ? "  - all anonymous volumes not used by at least one container\n" : "",
        is_all ? "images without at least one container associated to them" : "dangling images");
}

int command_system_prune(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(prune) struct prune prune = { 0 };
    bool is_all = arguments_flag(arguments, "all");
    bool with_volumes = arguments_flag(arguments, "volumes");
    auto_free char *warning = system_warning(is_all, with_volumes);
    struct error err = { 0 };
    int r;

    r = prune_open(&prune, arguments, context, warning, &err);
    if (r == 0 && with_volumes)
        r = check_no_age(&prune, "leave out --volumes", &err);
    if (r == 0) /* first, since they keep volumes and images */
        r = prune_containers(&prune, &err);
    if (r == 0 && with_volumes)
        r = prune_volumes(&prune, false, &err);
    if (r == 0)
        r = prune_images(&prune, is_all, &err);
    if (r == 0)
        r = prune_warm(&prune, &err);
    return prune_end(&prune, r, &err);
}
