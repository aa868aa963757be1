#include "unionfs/layer_follow.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/path.h"
#include "unionfs/directory_table.h"
#include "unionfs/layer_path.h"

#define LINK_HOPS_MAX 40

/* --- where a link leads ----------------------------------------------------------------------- */

/* The last component of what was resolved so far goes. */
static void drop_last(struct text *result)
{
    char *slash = result->data == NULL ? NULL : strrchr(result->data, '/');

    result->length = slash == NULL ? 0 : (size_t)(slash - result->data);
    if (result->data != NULL)
        result->data[result->length] = '\0';
}

/* What the layer itself has at a path without links. */
enum own {
    OWN_NOTHING, /* or a directory without an entry, for which the layers below may have a link */
    OWN_DIRECTORY,
    OWN_LINK,
    OWN_OTHER, /* a file, or a whiteout */
};

/* Orphans are known by their inode numbers, which follow them when they are moved. */
static int note_orphan(struct directory_table *orphans, int fd, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_errno(err, "look at a directory");
    if (directory_table_find(orphans, st.st_ino) == NULL)
        (void)directory_table_add(orphans, st.st_ino, "");
    return 0;
}

static int note_orphans(const struct layer_view *view, const struct strings *names,
                        struct directory_table *orphans, struct error *err)
{
    for (size_t i = 0; i < names->count; i++) {
        auto_free char *path = layer_path_unescape(names->items[i]);
        auto_close int fd = -1;
        int r =
            path_open_beneath(view->own_fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &fd, NULL);

        r = r < 0 ? 0 : note_orphan(orphans, fd, err); /* whoever wants it gets the error */
        if (r < 0)
            return r;
    }
    return 0;
}

/* Root works here, and the layer's links may say anything: @path is opened beneath its directory,
 * and none of its components may be a link but the last. */
static enum own look_at_own(const struct layer_view *view, const struct directory_table *orphans,
                            const char *path, int *ret_link_fd)
{
    auto_close int fd = -1;
    struct stat st;
    int r = path_open_beneath(view->own_fd, path, O_PATH | O_NOFOLLOW, 0, &fd, NULL);

    if (r == -ENOENT)
        return OWN_NOTHING;
    if (r < 0 || fstat(fd, &st) < 0)
        return OWN_OTHER;
    if (S_ISDIR(st.st_mode))
        return directory_table_find(orphans, st.st_ino) != NULL ? OWN_NOTHING : OWN_DIRECTORY;
    if (!S_ISLNK(st.st_mode))
        return OWN_OTHER;
    *ret_link_fd = take_fd(&fd);
    return OWN_LINK;
}

static bool is_own_directory(const struct layer_view *view, const struct directory_table *orphans,
                             const char *path)
{
    auto_close int link_fd = -1;

    return look_at_own(view, orphans, path, &link_fd) == OWN_DIRECTORY;
}

/* The target of the link at @path, of the layer or of those below; NULL: no link. */
static int find_link(const struct layer_view *view, const struct directory_table *orphans,
                     const char *path, char **ret_target, struct error *err)
{
    char target[LAYER_PATH_MAX];
    auto_close int link_fd = -1;
    ssize_t length;

    switch (look_at_own(view, orphans, path, &link_fd)) {
    case OWN_NOTHING:
        *ret_target = view_read_link(view, path);
        return 0;
    case OWN_DIRECTORY:
        return 0;
    case OWN_OTHER:
        return error_set(err, ENOTDIR, "it leads to '%s', which is not a directory", path);
    case OWN_LINK:
        break;
    }
    length = readlinkat(link_fd, "", target, sizeof(target));
    if (length < 0 || (size_t)length == sizeof(target))
        return error_set(err, EINVAL, "it leads to the link '%s', which cannot be read", path);
    *ret_target = xstrndup(target, (size_t)length);
    return 0;
}

/* One component further: a link's target goes before the rest of the path. */
static int resolve_component(const struct layer_view *view, const struct directory_table *orphans,
                             const char *component, struct text *result, char **rest,
                             unsigned *hops, struct error *err)
{
    size_t before = result->length;
    auto_free char *target = NULL;
    char *longer;
    int r;

    if (text_equal(component, "."))
        return 0;
    if (text_equal(component, "..")) {
        drop_last(result);
        return 0;
    }
    text_addf(result, "%s%s", before > 0 ? "/" : "", component);
    if (result->length >= LAYER_PATH_MAX)
        return error_set(err, ENAMETOOLONG, "it leads to a path that is too long");
    r = find_link(view, orphans, result->data, &target, err);
    if (r < 0 || target == NULL)
        return r;
    if (++*hops > LINK_HOPS_MAX)
        return error_set(err, ELOOP, "the links below it lead nowhere");
    result->length = target[0] == '/' ? 0 : before;
    result->data[result->length] = '\0';
    longer = xasprintf("%s/%s", target, *rest);
    free(*rest);
    *rest = longer;
    return 0;
}

/* Follows links inside the root, as the layers show them. @ret_path: "" is the root. */
static int resolve(const struct layer_view *view, const struct directory_table *orphans,
                   const char *path, char **ret_path, struct error *err)
{
    auto_free char *rest = xstrdup(path);
    struct text result = { 0 };
    unsigned hops = 0;
    int r = 0;

    while (r == 0 && *rest != '\0') {
        size_t length = strcspn(rest, "/");
        auto_free char *component = xstrndup(rest, length);
        char *behind = xstrdup(rest + length + strspn(rest + length, "/"));

        free(rest);
        rest = behind;
        if (length > 0)
            r = resolve_component(view, orphans, component, &result, &rest, &hops, err);
    }
    if (r < 0) {
        text_clear(&result);
        return r;
    }
    *ret_path = text_take(&result);
    return 0;
}

/* --- moving ----------------------------------------------------------------------------------- */

/* Opens one directory below @parent_fd, and makes it where there is none: 1. */
static int open_or_make(int parent_fd, const char *name, int *ret_fd, struct error *err)
{
    bool is_new = mkdirat(parent_fd, name, 0755) == 0;

    if (!is_new && errno != EEXIST)
        return error_errno(err, "make '%s'", name);
    *ret_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "open '%s'", name);
    if (is_new && fchmod(*ret_fd, 0755) < 0) /* whatever the umask is */
        return error_errno(err, "set the mode of '%s'", name);
    return is_new;
}

/* Opens a directory of the layer, and makes it and its parents as orphans: each below the
 * descriptor of the one before, so that no link leads out. */
static int make_orphan(const struct layer_view *view, const char *path, struct strings *names,
                       struct directory_table *orphans, int *ret_fd, struct error *err)
{
    auto_close int fd = openat(view->own_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_errno(err, "open the layer");
    for (const char *at = path; *at != '\0';) {
        size_t length = strcspn(at, "/");
        auto_free char *name = xstrndup(at, length);
        auto_close int parent_fd = take_fd(&fd);
        int r = open_or_make(parent_fd, name, &fd, err);

        if (r < 0)
            return r;
        at += length;
        if (r > 0) {
            auto_free char *prefix = xstrndup(path, (size_t)(at - path));

            strings_take(names, layer_path_escape(prefix));
            r = note_orphan(orphans, fd, err);
            if (r < 0)
                return r;
        }
        at += strspn(at, "/");
    }
    *ret_fd = take_fd(&fd);
    return 0;
}

static int merge_directory(int from_fd, int to_fd, struct error *err);

static int merge_entry(int from_fd, int to_fd, const char *name, struct error *err)
{
    auto_close int from = -1;
    auto_close int to = -1;
    int r;

    if (renameat2(from_fd, name, to_fd, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EEXIST)
        return error_errno(err, "move '%s'", name);
    from = openat(from_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    to = openat(to_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0 || to < 0) {
        if (renameat(from_fd, name, to_fd, name) < 0)
            return error_errno(err, "move '%s' over another", name);
        return 0;
    }
    r = merge_directory(from, to, err);
    if (r == 0 && unlinkat(from_fd, name, AT_REMOVEDIR) < 0)
        r = error_errno(err, "remove '%s'", name);
    return r;
}

/* The directories were made by berth-unpack, and are not deeper than it allows. */
static int merge_directory(int from_fd, int to_fd, struct error *err)
{
    int fd = openat(from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct timespec times[2];
    struct stat st;
    int r = 0;

    if (directory == NULL || fstat(to_fd, &st) < 0)
        return error_errno(err, "read the directory");
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    while (r == 0 && (entry = readdir(directory)) != NULL) {
        if (!text_equal(entry->d_name, ".") && !text_equal(entry->d_name, ".."))
            r = merge_entry(from_fd, to_fd, entry->d_name, err);
    }
    (void)closedir(directory); /* only read */
    if (r == 0 && futimens(to_fd, times) < 0)
        r = error_errno(err, "set the times");
    return r;
}

/* Removes the empty directory; its parent keeps its times. */
static int remove_directory(const struct layer_view *view, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    auto_free char *parent = slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path));
    auto_close int fd = -1;
    struct timespec times[2];
    struct stat st;
    int r;

    r = path_open_beneath(view->own_fd, parent, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0 || unlinkat(fd, slash == NULL ? path : slash + 1, AT_REMOVEDIR) < 0)
        return error_errno(err, "remove '%s'", path);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    if (futimens(fd, times) < 0)
        return error_errno(err, "set the times of '%s'", parent);
    return 0;
}

/* Orphans at or below @from begin with @to from now on. The list is sorted, so they are close. One
 * that the layer has there too, with an entry, becomes "". */
static void rename_below(const struct layer_view *view, const struct directory_table *orphans,
                         struct strings *names, size_t first, const char *from, const char *to)
{
    auto_free char *old = layer_path_escape(from);
    auto_free char *new = layer_path_escape(to);
    size_t length = strlen(old);

    for (size_t i = first; i < names->count && text_starts(names->items[i], old); i++) {
        const char *rest = names->items[i] + length;
        auto_free char *path = NULL;
        char *name;

        if (*rest != '/' && *rest != '\0')
            continue;
        name = xasprintf("%s%s", new, *new == '\0' && *rest == '/' ? rest + 1 : rest);
        path = layer_path_unescape(name);
        if (is_own_directory(view, orphans, path))
            name[0] = '\0';
        free(names->items[i]);
        names->items[i] = name;
    }
}

/* One orphan: moved when the layers below have a link in its place. */
static int follow(const struct layer_view *view, struct unpack_report *report, size_t index,
                  struct directory_table *orphans, struct error *err)
{
    auto_free char *path = layer_path_unescape(report->orphans.items[index]);
    auto_free char *link = view_read_link(view, path);
    auto_free char *target = NULL;
    auto_close int from_fd = -1;
    auto_close int to_fd = -1;
    size_t length = strlen(path);
    struct error reason = { 0 };
    int r = 0;

    if (link == NULL)
        return 0;
    if (directory_table_count(orphans) == 0) /* the first link, mostly there is none */
        r = note_orphans(view, &report->orphans, orphans, err);
    if (r == 0)
        r = resolve(view, orphans, path, &target, err);
    if (r < 0)
        return r;
    if (strncmp(target, path, length) == 0 && (target[length] == '/' || target[length] == '\0'))
        return 0; /* into itself: the directory replaces the link */
    r = path_open_beneath(view->own_fd, path, O_RDONLY | O_DIRECTORY, 0, &from_fd, &reason);
    /* Another name came to lead here by a link: all that is below was moved with that. */
    if (r == -ENOENT)
        rename_below(view, orphans, &report->orphans, index, path, target);
    if (r < 0)
        return r == -ENOENT ? 0 : error_set(err, -r, "%s", reason.message);
    r = make_orphan(view, target, &report->orphans, orphans, &to_fd, err);
    if (r < 0)
        return r;
    rename_below(view, orphans, &report->orphans, index, path, target);
    r = merge_directory(from_fd, to_fd, err);
    if (r == 0)
        r = remove_directory(view, path, err);
    return r;
}

/* Sorts the names, and drops those that became "" or the same as others. */
static void tidy(struct strings *names)
{
    size_t kept = 0;

    strings_sort(names);
    for (size_t i = 0; i < names->count; i++) {
        if (names->items[i][0] == '\0' ||
            (kept > 0 && text_equal(names->items[i], names->items[kept - 1])))
            free(names->items[i]);
        else
            names->items[kept++] = names->items[i];
    }
    if (names->count > 0)
        names->items[kept] = NULL;
    names->count = kept;
}

/* Where the directories with whiteouts are, now that no orphan stands in the place of a link. */
static int find_whiteouts(const struct layer_view *view, struct strings *whiteouts,
                          struct error *err)
{
    AUTO(directory_table) struct directory_table *none = directory_table_open();

    for (size_t i = 0; i < whiteouts->count; i++) {
        auto_free char *path = layer_path_unescape(whiteouts->items[i]);
        auto_free char *target = NULL;
        int r = resolve(view, none, path, &target, err);

        if (r < 0)
            return error_prefix(err, r, "whiteouts in '%s'", path);
        free(whiteouts->items[i]);
        whiteouts->items[i] = layer_path_escape(target);
    }
    tidy(whiteouts);
    return 0;
}

int layer_follow(const struct layer_view *view, struct unpack_report *report, struct error *err)
{
    AUTO(directory_table) struct directory_table *orphans = directory_table_open();

    assert(view != NULL);
    assert(report != NULL);

    /* The list grows behind, by directories that no link of the layers below stands for. */
    for (size_t i = 0; i < report->orphans.count; i++) {
        auto_free char *name = xstrdup(report->orphans.items[i]);
        int r = *name == '\0' ? 0 : follow(view, report, i, orphans, err);

        if (r < 0)
            return error_prefix(err, r, "follow the link '%s' of a layer below", name);
    }
    tidy(&report->orphans);
    if (directory_table_count(orphans) == 0)
        return 0;
    return find_whiteouts(view, &report->whiteouts, err);
}
