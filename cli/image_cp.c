#include "cli/berth.h"
#include "cli/image_program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* cp: which of the two words names a container, and what the other one is. */

struct cp_word {
    char *container; /* NULL: a path of the host, or "-" */
    const char *path;
};

/* As docker: "./a:b" and "/a:b" are paths of the host. */
static void parse_word(const char *text, struct cp_word *ret_word)
{
    const char *colon = strchr(text, ':');

    *ret_word = (struct cp_word){ .path = text };
    if (colon == NULL || colon == text || text[0] == '/' || text[0] == '.')
        return;
    ret_word->container = xstrndup(text, (size_t)(colon - text));
    ret_word->path = colon + 1;
}

static int check_words(const struct cp_word *source, const struct cp_word *target,
                       struct error *err)
{
    if (source->container != NULL && target->container != NULL)
        return error_set(err, EINVAL,
                         "copying between containers is not supported; copy to the "
                         "host first");
    if (source->container == NULL && target->container == NULL)
        return error_set(err, EINVAL, "SOURCE or TARGET has to be in a container: CONTAINER:PATH");
    if (*source->path == '\0' || *target->path == '\0')
        return error_set(err, EINVAL, "a path is empty; a container's root is CONTAINER:/");
    return 0;
}

static int check_terminal(bool is_from_container, struct error *err)
{
    if (isatty(is_from_container ? STDOUT_FILENO : STDIN_FILENO))
        return error_set(err, EINVAL, "standard %s is a terminal, no archive",
                         is_from_container ? "output" : "input");
    return 0;
}

static int copy(struct image_program *program, const struct arguments *arguments,
                const struct cp_word *source, const struct cp_word *target, struct error *err)
{
    bool is_from_container = source->container != NULL;
    const struct cp_word *inside = is_from_container ? source : target;
    const struct cp_word *outside = is_from_container ? target : source;
    bool is_archive = strcmp(outside->path, "-") == 0;
    const struct copy_options options = {
        .container_path = inside->path,
        .host_path = is_archive ? NULL : outside->path,
        .archive_fd = is_from_container ? STDOUT_FILENO : STDIN_FILENO,
        .is_from_container = is_from_container,
        .keeps_owners = arguments_flag(arguments, "archive"),
        .follows_links = arguments_flag(arguments, "follow-link"),
    };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    auto_free char *id = NULL;
    int r;

    r = is_archive ? check_terminal(is_from_container, err) : 0;
    if (r == 0)
        r = image_program_container(program, inside->container, &id, err);
    if (r == 0)
        r = engine_copy(program->engine, id, &options, &warnings, err);
    berth_warn(&warnings);
    return r;
}

int command_image_cp(const struct arguments *arguments, void *context)
{
    struct cp_word source, target;
    struct error err = { 0 };
    int r;

    parse_word(arguments->words[0], &source);
    parse_word(arguments->words[1], &target);
    r = check_words(&source, &target, &err);
    if (r == 0)
        r = copy(context, arguments, &source, &target, &err);
    free(source.container);
    free(target.container);
    return r < 0 ? image_program_failed("cp", &err) : 0;
}
