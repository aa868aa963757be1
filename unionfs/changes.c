#include "unionfs/unionfs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "unionfs/layer_mark.h"
#include "unionfs/layer_path.h"
#include "unionfs/whiteout.h"

#define MQUEUE_SUPER_MAGIC 0x19800202 /* in no header */

/* A container may run while its upper directory is walked, and do its worst: so each directory is
 * opened by one name, without following a link, and nothing but its descriptor is used then. The
 * layers below never change; they are asked by path, once it is known that each of the path's
 * directories is a real one in that layer. */

struct walk {
    const struct change_source *source;
    change_function *function;
    void *context;
    struct text path; /* of the entry that is looked at */
    unsigned depth;
};

/* One directory of the upper, and which layers below show through in it. */
struct level {
    int fd;
    dev_t device;
    size_t *lowers; /* indexes into lower_fds; topmost first */
    size_t lower_count;
    bool hides_below;
};

/* A name in a directory: of the upper, or of a layer below. */
struct name_item {
    char *name;
    size_t rank;      /* 0: the upper; else of the layer, topmost first */
    bool is_whiteout; /* of the upper: by a mark of another name */
};
struct name_items {
    struct name_item *items;
    size_t count, capacity;
};

static void name_items_clear(struct name_items *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i].name);
    free(names->items);
}

static void level_clear(struct level *level)
{
    auto_close_cleanup(&level->fd);
    free(level->lowers);
}

static void directory_cleanup(DIR **directory)
{
    if (*directory != NULL)
        (void)closedir(*directory); /* only read */
}

/* --- what overlayfs reads into a file --------------------------------------------------------- */

static bool attribute_is(const struct walk *walk, int dir_fd, const char *name, const char *what,
                         char wanted)
{
    const char *prefix = walk->source->has_user_attributes ? "user" : "trusted";
    auto_free char *attribute = xasprintf("%s.overlay.%s", prefix, what);
    auto_free char *path = xasprintf("/proc/self/fd/%d/%s", dir_fd, name);
    char value[2];
    ssize_t length = lgetxattr(path, attribute, value, sizeof(value));

    return wanted == '\0' ? length >= 0 : length == 1 && value[0] == wanted;
}

static bool is_opaque(const struct walk *walk, int dir_fd, const char *name)
{
    auto_close int fd = -1;

    if (attribute_is(walk, dir_fd, name, "opaque", 'y'))
        return true;
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && (layer_mark_is_opaque(fd) ||
                       (walk->source->has_whiteout_names &&
                        faccessat(fd, WHITEOUT_OPAQUE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0));
}

/* In an upper directory of fuse-overlayfs, whose containers can make no such names. Moves @name on
 * to what a whiteout hides; false: it means nothing by itself. */
static bool read_whiteout_name(const char **name, bool *ret_is_whiteout)
{
    switch (whiteout_parse(*name, name, NULL)) {
    case WHITEOUT_NONE:
        return true;
    case WHITEOUT_NAME:
        *ret_is_whiteout = true;
        return true;
    default:
        return false;
    }
}

/* A device 0:0; or, where devices cannot be made, an empty file with a mark. */
static bool is_whiteout(const struct walk *walk, int dir_fd, const char *name,
                        const struct stat *status)
{
    if (layer_mark_is_whiteout(dir_fd, name, status))
        return true;
    return S_ISREG(status->st_mode) && status->st_size == 0 &&
           attribute_is(walk, dir_fd, name, "whiteout", '\0');
}

/* --- the layers below ------------------------------------------------------------------------- */

/* Whether the layers below show something at the walk's path. @next: which of them have a
 * directory there, as far as they show; may be NULL. */
static bool is_below(const struct walk *walk, const struct level *level, struct level *next)
{
    const char *path = walk->path.data;
    bool found = false;

    for (size_t i = 0; i < level->lower_count; i++) {
        int fd = walk->source->lower_fds[level->lowers[i]];
        struct stat status;

        if (fstatat(fd, path, &status, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT)
                continue;
            return found; /* a name too long for any layer */
        }
        if (is_whiteout(walk, fd, path, &status))
            return found;
        found = true;
        if (!S_ISDIR(status.st_mode) || next == NULL)
            return found;
        next->lowers[next->lower_count++] = level->lowers[i];
        if (is_opaque(walk, fd, path))
            return found;
    }
    return found;
}

/* --- names ------------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    const struct name_item *left = a, *right = b;
    int r = strcmp(left->name, right->name);

    if (r != 0)
        return r;
    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    return right->is_whiteout - left->is_whiteout; /* what is hidden, and there */
}

static int add_names(const struct walk *walk, int dir_fd, const char *path, size_t rank,
                     struct name_items *names, struct error *err)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    __attribute__((cleanup(directory_cleanup))) DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (directory == NULL)
        return error_errno(err, "read the directory '/%s'", walk->path.data);
    while ((entry = readdir(directory)) != NULL) {
        const char *name = entry->d_name;
        bool is_named = false;
        struct name_item *item;
        struct stat status;

        if (text_equal(name, ".") || text_equal(name, ".."))
            continue;
        if (rank == 0 && walk->source->has_whiteout_names && !read_whiteout_name(&name, &is_named))
            continue;
        if (names->count == names->capacity) {
            names->capacity = names->capacity == 0 ? 64 : names->capacity * 2;
            names->items = xrealloc(names->items, names->capacity, sizeof(*names->items));
        }
        item = &names->items[names->count++];
        *item = (struct name_item){ .name = xstrdup(name), .rank = rank, .is_whiteout = is_named };
        if (rank > 0 && fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            item->is_whiteout = is_whiteout(walk, fd, entry->d_name, &status);
    }
    return 0;
}

/* Names of the upper; where it hides what is below, those of the layers as well. Sorted. */
static int list_names(const struct walk *walk, const struct level *level, struct name_items *names,
                      struct error *err)
{
    int r;

    r = add_names(walk, level->fd, ".", 0, names, err);
    for (size_t i = 0; r == 0 && level->hides_below && i < level->lower_count; i++)
        r = add_names(walk, walk->source->lower_fds[level->lowers[i]],
                      walk->path.length == 0 ? "." : walk->path.data, i + 1, names, err);
    if (names->count > 1)
        qsort(names->items, names->count, sizeof(*names->items), compare_names);
    return r;
}

/* --- what a runtime made to mount something on ------------------------------------------------ */

static bool has_mount_point(const struct walk *walk, bool is_parent)
{
    const struct strings *points = walk->source->mount_points;
    const struct text *path = &walk->path;

    for (size_t i = 0; points != NULL && i < points->count; i++) {
        if (is_parent
                ? text_starts(points->items[i], path->data) && points->items[i][path->length] == '/'
                : text_equal(points->items[i], path->data))
            return true;
    }
    return false;
}

static int look_at(int dir_fd, const char *name, struct stat *ret_status, struct error *err)
{
    if (fstatat(dir_fd, name, ret_status, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return errno == ENOENT ? 0 : error_errno(err, "look at '%s'", name);
}

static bool is_empty_directory(const struct walk *walk, int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    __attribute__((cleanup(directory_cleanup))) DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    size_t count = 0;

    while (directory != NULL && (entry = readdir(directory)) != NULL)
        count += !walk->source->has_whiteout_names || !text_starts(entry->d_name, WHITEOUT_PREFIX);
    return count == 2; /* "." and ".." */
}

static bool is_mount_point(const struct walk *walk, const struct level *level, const char *name,
                           const struct stat *status)
{
    bool is_empty = S_ISREG(status->st_mode)
                        ? status->st_size == 0
                        : S_ISDIR(status->st_mode) && is_empty_directory(walk, level->fd, name);

    return is_empty && has_mount_point(walk, false) && !is_below(walk, level, NULL);
}

static void path_add(struct walk *walk, const char *name)
{
    text_addf(&walk->path, "%s%s", walk->path.length > 0 ? "/" : "", name);
}

static void path_cut(struct walk *walk, size_t length)
{
    walk->path.length = length;
    walk->path.data[length] = '\0';
}

/* Whether a directory is there only for mount points in it: as the topmost layer has it, or as a
 * runtime makes one. */
static int holds_mount_points_only(struct walk *walk, const struct level *level,
                                   const struct stat *status, struct error *err)
{
    AUTO_CLEAR(name_items) struct name_items names = { 0 };
    size_t length = walk->path.length;
    struct stat below = { .st_mode = 0755 };
    int r;

    if (level->lower_count > 0 && fstatat(walk->source->lower_fds[level->lowers[0]],
                                          walk->path.data, &below, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "look at '/%s' in a layer below", walk->path.data);
    if (level->hides_below || ((status->st_mode ^ below.st_mode) & 07777) != 0 ||
        status->st_uid != below.st_uid || status->st_gid != below.st_gid)
        return 0;
    r = add_names(walk, level->fd, ".", 0, &names, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < names.count; i++) {
        bool is_one;

        path_add(walk, names.items[i].name);
        r = look_at(level->fd, names.items[i].name, &below, err);
        is_one = r > 0 && is_mount_point(walk, level, names.items[i].name, &below);
        path_cut(walk, length);
        if (r < 0)
            return r;
        if (!is_one)
            return 0;
    }
    return names.count > 0;
}

/* What the kernel makes up when it is read. */
static bool is_kernel_file_system(int fd)
{
    static const uint64_t magics[] = {
        PROC_SUPER_MAGIC,   SYSFS_MAGIC,        CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
        DEBUGFS_MAGIC,      TRACEFS_MAGIC,      SECURITYFS_MAGIC,   BPF_FS_MAGIC,
        DEVPTS_SUPER_MAGIC, MQUEUE_SUPER_MAGIC,
    };
    struct statfs status;

    if (fstatfs(fd, &status) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        if ((uint64_t)status.f_type == magics[i])
            return true;
    }
    return false;
}

/* --- the walk --------------------------------------------------------------------------------- */

static int walk_directory(struct walk *walk, const struct level *level, struct error *err);

static int tell(const struct walk *walk, struct change *change, struct error *err)
{
    change->path = walk->path.data;
    return walk->function(change, walk->context, err);
}

static int walk_child_directory(struct walk *walk, const struct level *level, struct change *change,
                                struct error *err)
{
    AUTO_CLEAR(level) struct level next = { .fd = -1 };
    int r;

    next.lowers = xcalloc(level->lower_count + 1, sizeof(*next.lowers));
    change->kind = is_below(walk, level, &next) ? CHANGE_MODIFIED : CHANGE_ADDED;
    next.fd = openat(level->fd, change->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next.fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return 0; /* it was removed or replaced just now */
    if (next.fd < 0 || fstat(next.fd, &change->status) < 0)
        return error_errno(err, "open the directory '/%s'", walk->path.data);
    next.hides_below =
        next.lower_count > 0 && (level->hides_below || is_opaque(walk, level->fd, change->name));
    if (has_mount_point(walk, true)) {
        r = holds_mount_points_only(walk, &next, &change->status, err);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    next.device = change->status.st_dev;
    change->hides_below = next.hides_below;
    change->fd = next.fd;
    r = tell(walk, change, err);
    if (r < 0 || (walk->source->skips_kernel_files && next.device != level->device &&
                  is_kernel_file_system(next.fd)))
        return r;
    return walk_directory(walk, &next, err);
}

static int walk_entry(struct walk *walk, const struct level *level, const struct name_item *item,
                      struct error *err)
{
    struct change change = {
        .parent_fd = level->fd, .name = item->name, .fd = -1, .is_below_hidden = level->hides_below
    };
    int r;

    if (item->rank > 0) {
        change.parent_fd = -1;
        change.kind = CHANGE_DELETED;
        return item->is_whiteout ? 0 : tell(walk, &change, err);
    }
    r = item->is_whiteout ? 1 : look_at(level->fd, item->name, &change.status, err);
    if (r <= 0)
        return r;
    if (item->is_whiteout || is_whiteout(walk, level->fd, item->name, &change.status)) {
        change.kind = CHANGE_DELETED;
        return is_below(walk, level, NULL) ? tell(walk, &change, err) : 0;
    }
    if (is_mount_point(walk, level, item->name, &change.status))
        return 0;
    if (S_ISDIR(change.status.st_mode))
        return walk_child_directory(walk, level, &change, err);
    change.kind = is_below(walk, level, NULL) ? CHANGE_MODIFIED : CHANGE_ADDED;
    return tell(walk, &change, err);
}

static int walk_directory(struct walk *walk, const struct level *level, struct error *err)
{
    AUTO_CLEAR(name_items) struct name_items names = { 0 };
    size_t length = walk->path.length;
    int r;

    if (walk->depth >= LAYER_DEPTH_MAX)
        return error_set(err, ELOOP, "'/%.200s...' is more than %d directories deep",
                         walk->path.data, LAYER_DEPTH_MAX);
    walk->depth++;
    r = list_names(walk, level, &names, err);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        /* The topmost one that has a name decides what it is. */
        if (i > 0 && text_equal(names.items[i].name, names.items[i - 1].name))
            continue;
        path_add(walk, names.items[i].name);
        r = walk_entry(walk, level, &names.items[i], err);
        path_cut(walk, length);
    }
    walk->depth--;
    return r;
}

int changes_walk(const struct change_source *source, change_function *function, void *context,
                 struct error *err)
{
    AUTO_CLEAR(level) struct level top = { .fd = -1 };
    struct walk walk = { .source = source, .function = function, .context = context };
    struct change root = { .kind = CHANGE_MODIFIED, .parent_fd = -1, .name = "" };
    int r;

    assert(source != NULL);
    assert(function != NULL);

    /* Overlayfs does not look at an opaque mark of the root: nothing hides what is below there. */
    top.lowers = xcalloc(source->lower_count + 1, sizeof(*top.lowers));
    for (size_t i = 0; i < source->lower_count; i++)
        top.lowers[top.lower_count++] = i;
    top.fd = openat(source->upper_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top.fd < 0 || fstat(top.fd, &root.status) < 0)
        return error_errno(err, "open the writable directory");
    root.fd = top.fd;
    top.device = root.status.st_dev;
    text_add(&walk.path, "");
    r = tell(&walk, &root, err);
    if (r == 0)
        r = walk_directory(&walk, &top, err);
    text_clear(&walk.path);
    return r;
}
