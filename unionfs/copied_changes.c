#include "unionfs/unionfs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "unionfs/erofs_tree.h"
#include "unionfs/layer_mark.h"
#include "unionfs/layer_path.h"

/* Whatever a container does to a file sets the time of its last change (ctime), which it cannot set
 * itself: what has an earlier one than the copy is not looked at further. The container may run
 * meanwhile and do its worst, so its directories are opened one by one, by name and without
 * following a link. */

#define BLOCK_BYTES 65536

struct comparing {
    const int *layer_fds;
    const struct erofs_tree *tree;
    struct timespec made;
    struct text path; /* of the directory, for messages */
    unsigned depth;
};

/* A directory of the root, of the image (if it is one there), and of the upper (once it is made).
 */
struct place {
    struct place *parent; /* NULL: the root itself */
    const char *name;
    const struct erofs_node *node; /* NULL: the image has no such directory */
    int fd, upper_fd;
    struct stat status;
};

/* --- what differs ----------------------------------------------------------------------------- */

static bool is_earlier(const struct timespec *time, const struct timespec *other)
{
    return time->tv_sec != other->tv_sec ? time->tv_sec < other->tv_sec
                                         : time->tv_nsec < other->tv_nsec;
}

/* Times of directories change with what is in them; nothing depends on them. */
static bool has_same_status(const struct erofs_node *node, const struct stat *status)
{
    bool is_device = S_ISCHR(node->mode) || S_ISBLK(node->mode);

    return node->mode == status->st_mode && node->uid == status->st_uid &&
           node->gid == status->st_gid && (!is_device || node->device == status->st_rdev) &&
           (!S_ISREG(node->mode) || node->size == (uint64_t)status->st_size) &&
           (S_ISDIR(node->mode) || (node->time.tv_sec == status->st_mtim.tv_sec &&
                                    node->time.tv_nsec == status->st_mtim.tv_nsec));
}

static bool has_value(const char *path, const struct erofs_attribute *attribute)
{
    auto_free char *value = xcalloc(1, XATTR_SIZE_MAX);
    ssize_t size = lgetxattr(path, attribute->name, value, XATTR_SIZE_MAX);

    return size == (ssize_t)attribute->size && memcmp(value, attribute->value, (size_t)size) == 0;
}

static bool has_same_attributes(const struct erofs_node *node, int dir_fd, const char *name)
{
    auto_free char *names = xcalloc(1, XATTR_LIST_MAX);
    char path[FD_PATH_MAX + NAME_MAX + 2];
    size_t count = 0;
    ssize_t length;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir_fd, name);
    length = llistxattr(path, names, XATTR_LIST_MAX);
    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1)
        count += unpack_keeps_attribute(names + at);
    for (size_t i = 0; i < node->attribute_count; i++) {
        if (!has_value(path, &node->attributes[i]))
            return false;
    }
    return count == node->attribute_count;
}

static bool has_same_target(const struct erofs_node *node, int dir_fd, const char *name)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(dir_fd, name, target, sizeof(target));

    return length == (ssize_t)strlen(node->target) &&
           memcmp(target, node->target, (size_t)length) == 0;
}

static bool has_same_bytes(const struct comparing *comparing, uint32_t index, int dir_fd,
                           const char *name)
{
    const struct erofs_node *node = &comparing->tree->nodes[index];
    auto_free char *path = erofs_tree_path(comparing->tree, index);
    auto_free char *left = xcalloc(1, BLOCK_BYTES), *right = xcalloc(1, BLOCK_BYTES);
    auto_close int image_fd = openat(comparing->layer_fds[node->layer], path,
                                     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    auto_close int own_fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    off_t at = 0;

    while (image_fd >= 0 && own_fd >= 0) {
        ssize_t length = pread(image_fd, left, BLOCK_BYTES, at);

        if (length < 0 || pread(own_fd, right, BLOCK_BYTES, at) != length ||
            memcmp(left, right, (size_t)length) != 0)
            return false;
        if (length == 0)
            return true;
        at += length;
    }
    return false;
}

/* Something that is not a directory, in the image and here. */
static bool is_same(const struct comparing *comparing, uint32_t index, int dir_fd, const char *name,
                    const struct stat *status)
{
    const struct erofs_node *node = &comparing->tree->nodes[index];

    if (!has_same_status(node, status))
        return false;
    if (is_earlier(&status->st_ctim, &comparing->made))
        return true;
    return has_same_attributes(node, dir_fd, name) &&
           (!S_ISLNK(node->mode) || has_same_target(node, dir_fd, name)) &&
           (!S_ISREG(node->mode) || has_same_bytes(comparing, index, dir_fd, name));
}

/* --- the upper -------------------------------------------------------------------------------- */

static void copy_attributes(int from_fd, int to_fd)
{
    auto_free char *names = xcalloc(1, XATTR_LIST_MAX);
    auto_free char *value = xcalloc(1, XATTR_SIZE_MAX);
    ssize_t length = flistxattr(from_fd, names, XATTR_LIST_MAX);

    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t size = unpack_keeps_attribute(names + at)
                           ? fgetxattr(from_fd, names + at, value, XATTR_SIZE_MAX)
                           : -1;

        /* The same file system holds it already: it goes wrong only when the disk is full, and then
         * the next thing fails as well. */
        if (size >= 0)
            (void)fsetxattr(to_fd, names + at, value, (size_t)size, 0);
    }
}

static int take_metadata(const struct place *place, struct error *err)
{
    const struct timespec times[2] = { place->status.st_atim, place->status.st_mtim };

    if (fchown(place->upper_fd, place->status.st_uid, place->status.st_gid) < 0 ||
        fchmod(place->upper_fd, place->status.st_mode & 07777) < 0)
        return error_errno(err, "set owner and mode of a directory");
    copy_attributes(place->fd, place->upper_fd);
    if (futimens(place->upper_fd, times) < 0)
        return error_errno(err, "set the times of a directory");
    return 0;
}

/* Makes the directory in the upper, and those above it, unless they are there. */
static int need_upper(struct place *place, struct error *err)
{
    int r;

    if (place->upper_fd >= 0)
        return 0;
    r = need_upper(place->parent, err);
    if (r < 0)
        return r;
    if (mkdirat(place->parent->upper_fd, place->name, 0700) < 0)
        return error_errno(err, "make the directory '%s'", place->name);
    place->upper_fd = openat(place->parent->upper_fd, place->name,
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return place->upper_fd < 0 ? error_errno(err, "open the directory '%s'", place->name) : 0;
}

static int add_whiteout(struct place *place, const char *name, struct error *err)
{
    int r = need_upper(place, err);

    return r < 0 ? r : layer_mark_whiteout(place->upper_fd, name, err);
}

static int add_file(struct place *place, const char *name, struct error *err)
{
    int r = need_upper(place, err);

    if (r < 0)
        return r;
    if (linkat(place->fd, name, place->upper_fd, name, 0) < 0 && errno != ENOENT)
        return error_errno(err, "give '%s' one more name", name);
    return 0; /* or it was removed just now */
}

/* --- the walk --------------------------------------------------------------------------------- */

static int walk(struct comparing *comparing, struct place *place, struct error *err);

/* @index: of what the image has by this name; UINT32_MAX: nothing. */
static int compare_directory(struct comparing *comparing, struct place *parent, const char *name,
                             uint32_t index, struct error *err)
{
    const struct erofs_node *node = index == UINT32_MAX ? NULL : &comparing->tree->nodes[index];
    struct place place = { .parent = parent, .name = name, .upper_fd = -1 };
    size_t length = comparing->path.length;
    int r;

    place.node = node != NULL && S_ISDIR(node->mode) ? node : NULL;
    place.fd = openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (place.fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return 0; /* removed or replaced just now */
    if (place.fd < 0)
        return error_errno(err, "open the directory '%s'", name);
    text_addf(&comparing->path, "/%s", name);
    r = fstat(place.fd, &place.status) < 0 ? error_errno(err, "look at '%s'", name) : 0;
    if (r == 0 && (place.node == NULL || !has_same_status(place.node, &place.status) ||
                   !has_same_attributes(place.node, place.fd, ".")))
        r = need_upper(&place, err);
    if (r == 0)
        r = walk(comparing, &place, err);
    if (r == 0 && place.upper_fd >= 0)
        r = take_metadata(&place, err);
    comparing->path.length = length;
    comparing->path.data[length] = '\0';
    auto_close_cleanup(&place.fd);
    auto_close_cleanup(&place.upper_fd);
    return r;
}

static int compare_entry(struct comparing *comparing, struct place *place, const char *name,
                         uint32_t index, struct error *err)
{
    struct stat status;

    if (fstatat(place->fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_errno(err, "look at '%s'", name);
    if (S_ISDIR(status.st_mode))
        return compare_directory(comparing, place, name, index, err);
    if (index != UINT32_MAX && is_same(comparing, index, place->fd, name, &status))
        return 0;
    return add_file(place, name, err);
}

static int list_names(const struct comparing *comparing, int dir_fd, struct strings *names,
                      struct error *err)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (directory == NULL)
        return error_errno(err, "read the directory '%s/'", comparing->path.data);
    while ((entry = readdir(directory)) != NULL)
        if (!text_equal(entry->d_name, ".") && !text_equal(entry->d_name, ".."))
            strings_add(names, entry->d_name);
    (void)closedir(directory); /* only read */
    strings_sort(names);
    return 0;
}

/* Both lists are in the order of their bytes. */
static int walk(struct comparing *comparing, struct place *place, struct error *err)
{
    const struct erofs_entry *entries =
        place->node == NULL ? NULL : &comparing->tree->entries[place->node->first_entry];
    size_t count = place->node == NULL ? 0 : place->node->entry_count;
    AUTO_CLEAR(strings) struct strings names = { 0 };
    size_t i = 0, k = 0;
    int r;

    if (comparing->depth >= LAYER_DEPTH_MAX)
        return error_set(err, ELOOP, "'%.200s...' is more than %d directories deep",
                         comparing->path.data, LAYER_DEPTH_MAX);
    comparing->depth++;
    r = list_names(comparing, place->fd, &names, err);
    while (r == 0 && (i < names.count || k < count)) {
        int order = i == names.count ? 1
                    : k == count     ? -1
                                     : strcmp(names.items[i], entries[k].name);

        r = order > 0 ? add_whiteout(place, entries[k].name, err)
                      : compare_entry(comparing, place, names.items[i],
                                      order < 0 ? UINT32_MAX : entries[k].node, err);
        i += order <= 0;
        k += order >= 0;
    }
    comparing->depth--;
    return r;
}

int copied_root_changes(const int *layer_fds, size_t layer_count, int root_fd,
                        const struct timespec *made, int upper_fd, struct error *err)
{
    struct erofs_tree tree = { 0 };
    struct comparing comparing = { .layer_fds = layer_fds, .tree = &tree, .made = *made };
    struct place place = { .name = "", .fd = root_fd, .upper_fd = upper_fd };
    int r;

    assert(layer_fds != NULL);

    r = erofs_tree_read(layer_fds, layer_count, &tree, err);
    if (r == 0 && fstat(root_fd, &place.status) < 0)
        r = error_errno(err, "look at the container's root");
    if (r == 0) {
        text_add(&comparing.path, "");
        place.node = &tree.nodes[0];
        r = walk(&comparing, &place, err);
    }
    if (r == 0)
        r = take_metadata(&place, err);
    text_clear(&comparing.path);
    erofs_tree_clear(&tree);
    return r;
}
