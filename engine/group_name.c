#include "engine/group_name.h"

#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "base/text.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Files of v1 without a dot in their names. */
static const char *const kernel_files[] = { "tasks", "notify_on_release", "release_agent" };

static int check_part(const char *part, const char *text, struct error *err)
{
    size_t length = strlen(part);

    if (length == 0)
        return error_set(err, EINVAL, "cgroup name '%s': a part of it is empty", text);
    if (length > GROUP_PART_MAX)
        return error_set(err, EINVAL, "cgroup name '%s': a part has more than %d bytes", text,
                         GROUP_PART_MAX);
    if (strspn(part, LETTERS "_-") != length || strspn(part, LETTERS) == 0)
        return error_set(err, EINVAL,
                         "cgroup name '%s': give letters, digits, '_' and '-', as production/web",
                         text);
    for (size_t i = 0; i < ARRAY_SIZE(kernel_files); i++)
        if (strcmp(part, kernel_files[i]) == 0)
            return error_set(err, EINVAL, "cgroup name '%s': the kernel has a file '%s'", text,
                             part);
    return 0;
}

int group_name_parse(const char *text, char **ret_name, struct error *err)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };
    size_t length = strlen(text);
    auto_free char *name = NULL;

    if (text[0] == '/')
        return error_set(err, EINVAL,
                         "cgroup name '%s': it is below berth's own cgroup, give it without the "
                         "first slash",
                         text);
    name = xstrndup(text, length > 1 && text[length - 1] == '/' ? length - 1 : length);
    if (strlen(name) > GROUP_NAME_MAX)
        return error_set(err, EINVAL, "cgroup name '%s': it has more than %d bytes", text,
                         GROUP_NAME_MAX);
    strings_split(&parts, name, '/');
    for (size_t i = 0; i < parts.count; i++) {
        int r = check_part(parts.items[i], text, err);

        if (r < 0)
            return r;
    }
    *ret_name = take_ptr(&name);
    return 0;
}

static void replace(char *text, char from, char to)
{
    for (char *p = strchr(text, from); p != NULL; p = strchr(p, from))
        *p = to;
}

char *group_name_encode(const char *name)
{
    char *file = xasprintf("%s" GROUP_EXTENSION, name);

    replace(file, '/', '+');
    return file;
}

char *group_name_decode(const char *file)
{
    auto_free char *text = NULL;
    char *name = NULL;

    if (!text_ends(file, GROUP_EXTENSION) || strchr(file, '/') != NULL)
        return NULL;
    text = xstrndup(file, strlen(file) - strlen(GROUP_EXTENSION));
    replace(text, '+', '/');
    if (text_ends(text, "/") || group_name_parse(text, &name, NULL) < 0)
        return NULL;
    return name;
}

char *group_name_parent(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash == NULL ? NULL : xstrndup(name, (size_t)(slash - name));
}

char *group_name_path(const char *name)
{
    return xasprintf(BERTH_CGROUP "/%s", name);
}
