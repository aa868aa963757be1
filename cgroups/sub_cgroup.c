#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "cgroups/cgroup.h"
#include "cgroups/domain.h"

/* Places for one process that are not its container's own cgroup: groups below it, other ones in
 * each hierarchy if asked for, or where another process is. Paths are relative to the hierarchy. */

struct cgroup_places {
    struct cgroup_system *system; /* borrowed */
    char *base;                   /* the container's cgroup; NULL: none */
    char **paths;                 /* one for each hierarchy; NULL: the process stays where it is */
    size_t count;
    int clone_fd;
};

static struct cgroup_places *new_places(struct cgroup_system *system, const char *base)
{
    struct cgroup_places *places = xcalloc(1, sizeof(*places));

    places->system = system;
    places->clone_fd = -1;
    places->base = base != NULL ? xstrdup(base) : NULL;
    (void)cgroup_system_hierarchies(system, &places->count);
    places->paths = xcalloc(places->count + 1, sizeof(*places->paths));
    for (size_t i = 0; base != NULL && i < places->count; i++)
        places->paths[i] = xstrdup(base);
    return places;
}

void cgroup_places_free(struct cgroup_places *places)
{
    if (places == NULL)
        return;
    for (size_t i = 0; i < places->count; i++)
        free(places->paths[i]);
    free(places->paths);
    free(places->base);
    auto_close_cleanup(&places->clone_fd);
    free(places);
}

static int set_path(struct cgroup_places *places, size_t index, const char *sub, struct error *err)
{
    auto_free char *rooted = xasprintf("/%s/%s", places->base, sub);
    auto_free char *clean = path_clean(rooted);
    size_t length = strlen(places->base);

    if (strncmp(clean + 1, places->base, length) != 0 ||
        (clean[1 + length] != '\0' && clean[1 + length] != '/'))
        return error_set(err, EINVAL, "%s is not a sub cgroup path", sub);
    free(places->paths[index]);
    places->paths[index] = xstrdup(clean + 1);
    return 0;
}

/* A path for one controller, and so for those that share its hierarchy. */
static int set_controller(struct cgroup_places *places, const char *controller, const char *sub,
                          struct error *err)
{
    const struct cgroup_hierarchy *hierarchies =
        cgroup_system_hierarchies(places->system, &places->count);

    for (size_t i = 0; i < places->count; i++) {
        if (!hierarchies[i].is_v2 && hierarchies[i].fd >= 0 &&
            cgroup_list_contains(hierarchies[i].controllers, ',', controller))
            return set_path(places, i, sub, err);
    }
    return error_set(err, EINVAL, "unknown controller %s: no v1 hierarchy has it", controller);
}

static int set_controllers(struct cgroup_places *places, const char *argument,
                           struct strings *known, struct error *err)
{
    const char *colon = strchr(argument, ':');
    auto_free char *list = xstrndup(argument, (size_t)(colon - argument));
    struct strings names = { 0 };
    int r = 0;

    strings_split(&names, list, ',');
    for (size_t i = 0; i < names.count && r == 0; i++) {
        if (strings_contains(known, names.items[i]))
            r = error_set(err, EINVAL, "controller %s is specified multiple times", names.items[i]);
        else
            r = set_controller(places, names.items[i], colon + 1, err);
        strings_add(known, names.items[i]);
    }
    strings_clear(&names);
    return r;
}

int cgroup_places_plan(const struct cgroup *cgroup, const struct strings *arguments,
                       struct cgroup_places **ret_places, struct error *err)
{
    AUTO(cgroup_places) struct cgroup_places *places = NULL;
    struct strings known = { 0 };
    int r = 0;

    assert(cgroup != NULL);
    assert(ret_places != NULL);

    places = new_places(cgroup->system, cgroup->relative);
    for (size_t i = 0; i < arguments->count && r == 0; i++) {
        const char *argument = arguments->items[i];
        const char *colon = strchr(argument, ':');

        if (colon != NULL && strchr(colon + 1, ':') != NULL)
            r = error_set(err, EINVAL, "'%s' is neither PATH nor CONTROLLER[,CONTROLLER]:PATH",
                          argument);
        else if (colon != NULL)
            r = set_controllers(places, argument, &known, err);
        else if (arguments->count > 1)
            r = error_set(err, EINVAL, "'%s' lacks CONTROLLER:, as there are several", argument);
        for (size_t j = 0; colon == NULL && j < places->count && r == 0; j++)
            r = set_path(places, j, argument, err);
    }
    strings_clear(&known);
    if (r == 0)
        *ret_places = take_ptr(&places);
    return r;
}

/* The path in the line of /proc/PID/cgroup that belongs to a hierarchy, without its first slash;
 * caller frees. NULL: none. */
static char *find_line(const char *text, const struct cgroup_hierarchy *hierarchy)
{
    for (const char *line = text; *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        const char *names = memchr(line, ':', (size_t)(end - line));
        const char *path = names != NULL ? memchr(names + 1, ':', (size_t)(end - names - 1)) : NULL;

        if (path != NULL && strlen(hierarchy->controllers) == (size_t)(path - names - 1) &&
            memcmp(hierarchy->controllers, names + 1, (size_t)(path - names - 1)) == 0 &&
            path + 1 < end)
            return xstrndup(path + 2, (size_t)(end - path - 2));
        line = *end == '\0' ? end : end + 1;
    }
    return NULL;
}

int cgroup_places_of(struct cgroup_system *system, pid_t pid, struct cgroup_places **ret_places,
                     struct error *err)
{
    auto_free char *file = xasprintf("/proc/%d/cgroup", (int)pid);
    const struct cgroup_hierarchy *hierarchies;
    struct cgroup_places *places;
    auto_free char *text = NULL;
    int r;

    r = file_read_kernel(AT_FDCWD, file, &text, err);
    if (r < 0)
        return r;
    places = new_places(system, NULL);
    hierarchies = cgroup_system_hierarchies(system, &places->count);
    for (size_t i = 0; i < places->count; i++)
        places->paths[i] = find_line(text, &hierarchies[i]);
    *ret_places = places;
    return 0;
}

int cgroup_places_clone_fd(struct cgroup_places *places)
{
    const struct cgroup_hierarchy *hierarchies =
        cgroup_system_hierarchies(places->system, &places->count);

    for (size_t i = 0; places->clone_fd < 0 && i < places->count; i++) {
        if (hierarchies[i].is_v2 && hierarchies[i].fd >= 0 && places->paths[i] != NULL)
            places->clone_fd =
                openat(hierarchies[i].fd, places->paths[i][0] != '\0' ? places->paths[i] : ".",
                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    return places->clone_fd;
}

static int enter_place(const struct cgroup_places *places, const struct cgroup_hierarchy *hierarchy,
                       const char *path, struct error *err)
{
    auto_free char *file = path_join(path, hierarchy->is_v2 ? "cgroup.procs" : "tasks");
    auto_close int fd = openat(hierarchy->fd, file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    int code = errno;

    if (fd >= 0 && write(fd, "0", 1) == 1)
        return 0;
    code = fd >= 0 ? errno : code;
    /* A hierarchy without limits need not have every group. */
    if (code == ENOENT && cgroup_system_is_extra(places->system, hierarchy))
        return 0;
    return error_set(err, code,
                     "--cgroup: adding pid %d to cgroup /sys/fs/cgroup/%s%s%s/cgroup.procs: %s",
                     getpid(), hierarchy->mount_name, hierarchy->mount_name[0] != '\0' ? "/" : "",
                     path, code == ENOENT ? "no such file or directory" : strerror(code));
}

int cgroup_places_explain_refusal(const struct cgroup_places *places, int r, struct error *err)
{
    size_t count = 0;
    const struct cgroup_hierarchy *hierarchies = cgroup_system_hierarchies(places->system, &count);

    for (size_t i = 0; i < count && (r == -EBUSY || r == -EOPNOTSUPP); i++) {
        auto_free char *reason = NULL;

        if (!hierarchies[i].is_v2 || hierarchies[i].fd < 0 || places->paths[i] == NULL)
            continue;
        reason = domain_refusal(&hierarchies[i], places->paths[i]);
        if (reason != NULL)
            return error_set(err, -r, "enter cgroup /%s: %s", places->paths[i], reason);
    }
    return r;
}

int cgroup_places_enter_child(const struct cgroup_places *places, bool is_cloned_into,
                              struct error *err)
{
    size_t count = 0;
    const struct cgroup_hierarchy *hierarchies = cgroup_system_hierarchies(places->system, &count);
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++) {
        if (hierarchies[i].fd < 0 || places->paths[i] == NULL ||
            (hierarchies[i].is_v2 && is_cloned_into))
            continue;
        r = enter_place(places, &hierarchies[i], places->paths[i], err);
    }
    return r;
}

const char *cgroup_places_path(const struct cgroup_places *places, size_t index)
{
    return index < places->count ? places->paths[index] : NULL;
}
