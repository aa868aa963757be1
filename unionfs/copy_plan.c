#include "unionfs/copy_plan.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "base/text.h"

int copy_plan(bool source_is_directory, bool is_contents, enum copy_target target, bool has_slash,
              const char *target_path, enum copy_way *ret_way, struct error *err)
{
    assert(ret_way != NULL);

    switch (target) {
    case COPY_DIRECTORY:
        *ret_way = source_is_directory && is_contents ? COPY_OVER : COPY_INTO;
        return 0;
    case COPY_FILE:
        if (has_slash)
            return error_set(err, ENOTDIR, "'%s' is no directory", target_path);
        if (source_is_directory)
            return error_set(err, EISDIR, "a directory cannot be copied over the file '%s'",
                             target_path);
        *ret_way = COPY_AS;
        return 0;
    default:
        if (has_slash && !source_is_directory)
            return error_set(err, ENOENT,
                             "there is no directory '%s'; without the slash it is a file's new "
                             "name",
                             target_path);
        *ret_way = COPY_AS;
        return 0;
    }
}

/* Behind the last slash that something follows. */
static const char *last_part(const char *path, size_t *ret_length)
{
    size_t end = strlen(path);
    size_t begin;

    while (end > 0 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--)
        ;
    *ret_length = end - begin;
    return path + begin;
}

bool copy_is_contents(const char *path)
{
    size_t length;
    const char *last = last_part(path, &length);

    return length == 0 || (length == 1 && *last == '.') ||
           (length == 2 && last[0] == '.' && last[1] == '.');
}

bool copy_needs_directory(const char *path)
{
    return copy_is_contents(path) || text_ends(path, "/");
}

char *copy_base_name(const char *path)
{
    size_t length;
    const char *last = last_part(path, &length);

    return copy_is_contents(path) ? xstrdup(".") : xstrndup(last, length);
}
