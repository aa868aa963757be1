#include "unionfs/unionfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "unionfs/copy_plan.h"

#define LINKS_MAX 40 /* as in path_resolution(7) */

/* --- where a path leads ----------------------------------------------------------------------- */

struct place {
    int parent_fd;
    char *parent, *base;
    bool exists;
    struct stat status; /* if it exists */
};

static void place_clear(struct place *place)
{
    auto_close_cleanup(&place->parent_fd);
    free(place->parent);
    free(place->base);
    *place = (struct place){ .parent_fd = -1 };
}

/* "a/b/" is b in a; "a/b/." and ".." are "." in themselves. */
static void split_path(const char *path, char **ret_parent, char **ret_base)
{
    auto_free char *base = copy_base_name(path);
    size_t length = strlen(path);

    if (strcmp(base, ".") == 0) {
        *ret_parent = xstrdup(path);
        *ret_base = take_ptr(&base);
        return;
    }
    while (length > 0 && path[length - 1] == '/')
        length--;
    length -= strlen(base);
    *ret_parent = length == 0 ? xstrdup(".") : xstrndup(path, length);
    *ret_base = take_ptr(&base);
}

/* @root_fd: -1 for a path of the host. */
static int place_open(int root_fd, const char *path, struct place *place, struct error *err)
{
    split_path(path, &place->parent, &place->base);
    place->parent_fd = root_fd < 0
                           ? open(place->parent, O_PATH | O_DIRECTORY | O_CLOEXEC)
                           : path_open_resolved(root_fd, place->parent, O_PATH | O_DIRECTORY, 0,
                                                RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (place->parent_fd < 0)
        return error_errno(err, "open the directory '%s'", place->parent);
    place->exists =
        fstatat(place->parent_fd, place->base, &place->status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!place->exists && errno != ENOENT)
        return error_errno(err, "look at '%s'", path);
    return 0;
}

/* The path that a link at @place means. Caller frees. */
static char *link_path(const struct place *place)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(place->parent_fd, place->base, target, sizeof(target) - 1);

    if (length < 0)
        return NULL;
    target[length] = '\0';
    return target[0] == '/' ? xstrdup(target) : path_join(place->parent, target);
}

static int place_find(int root_fd, const char *path, bool follows, struct place *ret_place,
                      struct error *err)
{
    auto_free char *at = xstrdup(path);

    for (int links = 0; links < LINKS_MAX; links++) {
        AUTO_CLEAR(place) struct place place = { .parent_fd = -1 };
        char *next;
        int r;

        r = place_open(root_fd, at, &place, err);
        if (r < 0)
            return r;
        next = place.exists && follows && S_ISLNK(place.status.st_mode) ? link_path(&place) : NULL;
        if (next == NULL) {
            *ret_place = place;
            place = (struct place){ .parent_fd = -1 };
            return 0;
        }
        free(at);
        at = next;
    }
    return error_set(err, ELOOP, "'%s' leads through more than %d links", path, LINKS_MAX);
}

/* --- the sending end -------------------------------------------------------------------------- */

static int write_bytes(const void *bytes, size_t length, void *context, struct error *err)
{
    return fd_write_all(*(const int *)context, bytes, length, "the copy", err);
}

static int send_place(const struct copy_end *end, const struct place *place, int fd,
                      struct strings *warnings, struct error *err)
{
    /* The other end replaces the name, or leaves it out. */
    auto_free char *name = end->other != NULL && copy_is_contents(end->path)
                               ? xstrdup("contents")
                               : copy_base_name(end->path);
    const struct pack_options options = { .sink = write_bytes,
                                          .context = &fd,
                                          .prefix = name,
                                          .latest = INT64_MAX,
                                          .warnings = warnings };
    struct change_source source = { .skips_kernel_files = true };
    auto_close int dir_fd = -1;

    if (!S_ISDIR(place->status.st_mode))
        return pack_file(place->parent_fd, place->base, &options, err);
    dir_fd = openat(place->parent_fd, place->base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, "open the directory '%s'", end->path);
    source.upper_fd = dir_fd;
    return pack_changes(&source, &options, err);
}

int copy_send(int root_fd, const struct copy_end *end, int fd, struct strings *ret_warnings,
              struct error *err)
{
    AUTO_CLEAR(place) struct place place = { .parent_fd = -1 };
    bool is_directory = copy_needs_directory(end->path);
    int r;

    assert(end != NULL);

    r = place_find(root_fd, end->path, end->follows || is_directory, &place, err);
    if (r < 0)
        return r;
    if (!place.exists)
        return error_set(err, ENOENT, "there is no '%s' %s", end->path,
                         end->is_host ? "on the host" : "in the container");
    if (is_directory && !S_ISDIR(place.status.st_mode))
        return error_set(err, ENOTDIR, "'%s' is no directory", end->path);
    return send_place(end, &place, fd, ret_warnings, err);
}

/* --- the receiving end ------------------------------------------------------------------------ */

struct receiver {
    const struct copy_end *end;
    const struct place *place;
};

static int open_target(const struct place *place, int *ret_fd, char **ret_path, struct error *err)
{
    *ret_fd = openat(place->parent_fd, place->base, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "open the directory '%s'", place->base);
    *ret_path = path_join(place->parent, place->base);
    return 0;
}

/* The name that things get is the one that was asked for, whatever the other end calls them: it may
 * be in the hands of a guest. */
static int choose_place(const char *name, bool is_directory, void *context, int *ret_fd,
                        char **ret_path, char **ret_name, struct error *err)
{
    const struct receiver *receiver = context;
    const struct place *place = receiver->place;
    const struct copy_end *end = receiver->end;
    enum copy_target target = !place->exists                   ? COPY_NOTHING
                              : S_ISDIR(place->status.st_mode) ? COPY_DIRECTORY
                                                               : COPY_FILE;
    enum copy_way way;
    int r;

    (void)name;
    if (end->other == NULL) {
        if (target != COPY_DIRECTORY)
            return error_set(err, ENOTDIR, "'%s' is no directory, which an archive needs",
                             end->path);
        return open_target(place, ret_fd, ret_path, err);
    }
    if (copy_is_contents(end->other) && !is_directory)
        return error_set(err, EBADMSG, "the other end has no directory '%s'", end->other);
    r = copy_plan(is_directory, copy_is_contents(end->other), target,
                  copy_needs_directory(end->path), end->path, &way, err);
    if (r < 0)
        return r;
    if (way != COPY_AS) {
        *ret_name = way == COPY_INTO ? copy_base_name(end->other) : xstrdup("");
        return open_target(place, ret_fd, ret_path, err);
    }
    *ret_fd = fcntl(place->parent_fd, F_DUPFD_CLOEXEC, 3);
    if (*ret_fd < 0)
        return error_errno(err, "keep the directory '%s'", place->parent);
    *ret_path = xstrdup(place->parent);
    *ret_name = xstrdup(place->base);
    return 0;
}

int copy_receive(int root_fd, const struct copy_end *end, const struct extract_input *input,
                 struct strings *ret_warnings, struct error *err)
{
    AUTO_CLEAR(place) struct place place = { .parent_fd = -1 };
    struct receiver receiver = { .end = end, .place = &place };
    const struct extract_options options = {
        .input = input,
        .root_fd = root_fd,
        .is_safe = end->is_host && !end->keeps_owners,
        .has_owner = !end->keeps_owners && end->other != NULL,
        .uid = geteuid(),
        .gid = getegid(),
        .warnings = ret_warnings,
    };
    int r;

    assert(input != NULL);

    (void)umask(0);
    r = place_find(root_fd, end->path, true, &place, err);
    return r < 0 ? r : extract_archive(&options, choose_place, &receiver, err);
}
