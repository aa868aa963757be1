#include "unionfs/tree.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/path.h"
#include "unionfs/directory_table.h"
#include "unionfs/layer_mark.h"

/* How the tree stays inside its root: names are clean (layer_path.h); the parent is resolved by
 * openat2(2) in the root, so that a symbolic link of the layer, whatever it says, leads to a place
 * inside; and the last component is only ever created (O_EXCL), never followed.
 *
 * Parents stay open in a small cache, since tars list a directory's children together. The cache
 * is by name, so it is dropped whenever a directory or a symbolic link is replaced.
 *
 * Directories get what later children or modes could disturb (set-id bits, attributes, times) at
 * the end. What is known of them is kept by inode number, which follows them whatever name, link
 * or "a/../b" was used to reach them. */

#define CACHE_SIZE    64
#define LINK_HOPS_MAX 40

/* Memory for what is kept of directories; 1,000,000 with names of 200 bytes fit. */
#define KEPT_BYTES_MAX (256ull << 20)

struct cached_parent {
    int fd; /* O_PATH; -1: unused */
    uint32_t hash;
    uint64_t last_use;
    char *path;
};

struct tree {
    int root_fd;
    uint64_t entries_left;
    uint64_t kept_bytes;
    uint64_t use_count;
    bool hides_all;
    bool is_hiding; /* parents are wanted for a whiteout: none is made where one of them is gone */
    struct cached_parent cache[CACHE_SIZE];
    struct directory_table *directories;
};

struct tree *tree_open(int root_fd, uint64_t entries_max)
{
    struct tree *tree = xcalloc(1, sizeof(*tree));

    tree->root_fd = root_fd;
    tree->entries_left = entries_max;
    for (size_t i = 0; i < CACHE_SIZE; i++)
        tree->cache[i].fd = -1;
    tree->directories = directory_table_open();
    return tree;
}

/* --- the cache of parents --------------------------------------------------------------------- */

static uint32_t path_hash(const char *path)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (; *path != '\0'; path++)
        hash = (hash ^ (uint8_t)*path) * 16777619u;
    return hash;
}

static void cache_drop(struct cached_parent *cached)
{
    if (cached->fd >= 0)
        (void)close(cached->fd); /* O_PATH: nothing to lose */
    free(cached->path);
    *cached = (struct cached_parent){ .fd = -1 };
}

static void cache_clear(struct tree *tree)
{
    for (size_t i = 0; i < CACHE_SIZE; i++)
        cache_drop(&tree->cache[i]);
}

static int cache_find(struct tree *tree, const char *path)
{
    uint32_t hash = path_hash(path);

    for (size_t i = 0; i < CACHE_SIZE; i++) {
        struct cached_parent *cached = &tree->cache[i];

        if (cached->fd >= 0 && cached->hash == hash && strcmp(cached->path, path) == 0) {
            cached->last_use = ++tree->use_count;
            return cached->fd;
        }
    }
    return -1;
}

/* Takes the descriptor; the longest unused one makes room. */
static void cache_add(struct tree *tree, const char *path, int fd)
{
    struct cached_parent *oldest = &tree->cache[0];

    for (size_t i = 0; i < CACHE_SIZE; i++) {
        struct cached_parent *cached = &tree->cache[i];

        if (cached->fd < 0 || cached->last_use < oldest->last_use)
            oldest = cached;
        if (cached->fd < 0)
            break;
    }
    cache_drop(oldest);
    *oldest = (struct cached_parent){
        .fd = fd, .hash = path_hash(path), .last_use = ++tree->use_count, .path = xstrdup(path)
    };
}

void tree_free(struct tree *tree)
{
    if (tree == NULL)
        return;
    cache_clear(tree);
    directory_table_free(tree->directories);
    free(tree);
}

/* --- small steps ------------------------------------------------------------------------------ */

static int count_entry(struct tree *tree, struct error *err)
{
    if (tree->entries_left == 0)
        return error_set(err, E2BIG, "is one more than a layer may have");
    tree->entries_left--;
    return 0;
}

static int count_kept(struct tree *tree, size_t bytes, struct error *err)
{
    tree->kept_bytes += bytes;
    if (tree->kept_bytes > KEPT_BYTES_MAX)
        return error_set(err, E2BIG, "is one more directory than there is memory for");
    return 0;
}

static int set_opaque(int parent_fd, const char *base, struct error *err)
{
    auto_close int fd = openat(parent_fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return error_errno(err, "open the directory");
    return layer_mark_opaque(fd, err);
}

/* Removes a tree and forgets its directories. @fd is closed. */
static int empty_directory(struct tree *tree, int fd, unsigned depth, struct error *err)
{
    DIR *directory = fdopendir(fd);
    struct dirent *entry;
    int r = 0;

    if (directory == NULL) {
        r = error_errno(err, "read the replaced directory");
        (void)close(fd);
        return r;
    }
    while (r == 0 && (entry = readdir(directory)) != NULL) {
        if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
            continue;
        int child = -1;

        if (entry->d_type == DT_DIR && depth < LAYER_DEPTH_MAX)
            child = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child >= 0) {
            r = empty_directory(tree, child, depth + 1, err);
            directory_table_remove(tree->directories, entry->d_ino);
        }
        if (r == 0 && unlinkat(fd, entry->d_name, child >= 0 ? AT_REMOVEDIR : 0) < 0)
            r = error_errno(err, "remove the replaced '%s'", entry->d_name);
    }
    (void)closedir(directory); /* only read */
    return r;
}

/* Removes what an earlier entry made of this name. It may be a part of what leads to a cached
 * parent: @parent_fd has to be opened again. */
static int replace(struct tree *tree, int parent_fd, const char *base, const struct stat *st,
                   struct error *err)
{
    int fd, r;

    if (!S_ISDIR(st->st_mode)) {
        if (unlinkat(parent_fd, base, 0) < 0)
            return error_errno(err, "replace an earlier entry");
        layer_mark_drop_whiteout(parent_fd, base);
        if (S_ISLNK(st->st_mode))
            cache_clear(tree);
        return 0;
    }
    fd = openat(parent_fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open the replaced directory");
    r = empty_directory(tree, fd, 0, err);
    if (r < 0)
        return r;
    directory_table_remove(tree->directories, st->st_ino);
    if (unlinkat(parent_fd, base, AT_REMOVEDIR) < 0)
        return error_errno(err, "replace an earlier directory");
    cache_clear(tree);
    return 0;
}

static int parent_open(struct tree *tree, const char *path, unsigned hops, int *ret_fd,
                       struct error *err);

/* After EEXIST: removes the other entry, so that the caller tries once more. @parent_fd is opened
 * anew. */
static int make_room(struct tree *tree, const struct layer_path *path, int *parent_fd,
                     struct error *err)
{
    struct stat st;
    int r;

    if (fstatat(*parent_fd, path->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "look at an earlier entry");
    r = replace(tree, *parent_fd, path->base, &st, err);
    if (r < 0)
        return r;
    return parent_open(tree, path->parent, 0, parent_fd, err);
}

/* Names are not deeper than that, but a link can lead deep down each time, and to another link. */
static int next_depth(const struct tree *tree, int parent_fd, unsigned *ret_depth,
                      struct error *err)
{
    const struct directory *parent;
    struct stat st;

    if (fstat(parent_fd, &st) < 0)
        return error_errno(err, "look at the directory above");
    parent = directory_table_find(tree->directories, st.st_ino);
    *ret_depth = parent == NULL ? 1 : parent->depth + 1; /* the root may have no entry */
    if (*ret_depth > LAYER_DEPTH_MAX)
        return error_set(err, ENAMETOOLONG, "is deeper than %d directories", LAYER_DEPTH_MAX);
    return 0;
}

/* Makes one directory, opens it into the cache and notes it. @path: as in the cache. */
static int directory_create(struct tree *tree, int parent_fd, const char *base, const char *path,
                            mode_t mode, struct directory **ret_directory, struct error *err)
{
    auto_close int fd = -1;
    unsigned depth = 0;
    struct stat st;
    int r;

    r = next_depth(tree, parent_fd, &depth, err);
    if (r < 0)
        return r;
    /* Without set-id bits: children would inherit the group. */
    if (mkdirat(parent_fd, base, mode & 01777) < 0)
        return error_errno(err, "make the directory");
    fd = openat(parent_fd, base, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(err, "open the new directory");
    r = count_kept(tree, sizeof(struct directory) + strlen(path) + 1, err);
    if (r < 0)
        return r;
    *ret_directory = directory_table_add(tree->directories, st.st_ino, path);
    (*ret_directory)->depth = depth;
    cache_add(tree, path, take_fd(&fd));
    return 0;
}

/* --- parents ---------------------------------------------------------------------------------- */

/* A parent that is a symbolic link of this layer to a directory that is not there (it may be in a
 * layer below): makes the target, inside the root. */
static int parent_open_link(struct tree *tree, int above_fd, const struct layer_path *path,
                            unsigned hops, int *ret_fd, struct error *err)
{
    char target[LAYER_PATH_MAX];
    auto_free char *joined = NULL;
    auto_free char *clean = NULL;
    ssize_t length = readlinkat(above_fd, path->base, target, sizeof(target) - 1);

    if (length < 0)
        return error_errno(err, "read the link '%s'", path->base);
    if (hops == LINK_HOPS_MAX)
        return error_set(err, ELOOP, "is below too many symbolic links");
    target[length] = '\0';

    /* As chroot(2) would see it: ".." at the root stays at the root. */
    joined = xasprintf("/%s/%s", target[0] == '/' ? "" : path->parent, target);
    clean = path_clean(joined);
    if (strlen(clean) >= LAYER_PATH_MAX)
        return error_set(err, ENAMETOOLONG, "is longer than %d bytes", LAYER_PATH_MAX - 1);
    return parent_open(tree, clean + 1, hops + 1, ret_fd, err);
}

/* Makes a parent that has no entry (yet). */
static int parent_create(struct tree *tree, const char *text, unsigned hops, int *ret_fd,
                         struct error *err)
{
    auto_free struct layer_path *path = xcalloc(1, sizeof(*path));
    struct directory *directory;
    struct stat st;
    bool was_whiteout = false;
    int above_fd, r;

    r = layer_path_parse(text, path, err);
    if (r < 0)
        return r;
    r = parent_open(tree, path->parent, hops, &above_fd, err);
    if (r < 0)
        return r;
    if (fstatat(above_fd, path->base, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISLNK(st.st_mode))
            return parent_open_link(tree, above_fd, path, hops, ret_fd, err);
        was_whiteout = layer_mark_is_whiteout(above_fd, path->base, &st);
        if (!was_whiteout || tree->is_hiding)
            return error_set(err, ENOTDIR, "is below '%s', which is not a directory", text);
        r = replace(tree, above_fd, path->base, &st, err);
        if (r < 0)
            return r;
    }
    r = count_entry(tree, err);
    if (r < 0)
        return r;
    r = directory_create(tree, above_fd, path->base, text, 0755, &directory, err);
    if (r < 0)
        return r;
    /* Below a whiteout of this layer nothing can be inherited. */
    directory->is_orphan = !was_whiteout;
    if (was_whiteout) {
        r = set_opaque(above_fd, path->base, err);
        if (r < 0)
            return r;
    }
    *ret_fd = cache_find(tree, text);
    return 0;
}

/* Gives a directory of the tree, borrowed until the next call that adds or removes something. */
static int parent_open(struct tree *tree, const char *path, unsigned hops, int *ret_fd,
                       struct error *err)
{
    int fd, r;

    if (*path == '\0') {
        *ret_fd = tree->root_fd;
        return 0;
    }
    fd = cache_find(tree, path);
    if (fd < 0) {
        r = path_open_in_root(tree->root_fd, path, O_PATH | O_DIRECTORY, 0, &fd, err);
        if (r == -ENOENT || r == -ENOTDIR)
            return parent_create(tree, path, hops, ret_fd, err);
        if (r < 0)
            return r;
        cache_add(tree, path, fd);
    }
    *ret_fd = fd;
    return 0;
}

/* Common to all that is new: its parent, and one entry more. */
static int entry_begin(struct tree *tree, const struct layer_path *path, int *ret_parent_fd,
                       struct error *err)
{
    int r;

    if (*path->base == '\0')
        return error_set(err, EINVAL, "is the layer's root, which can only be a directory");
    r = count_entry(tree, err);
    if (r < 0)
        return r;
    return parent_open(tree, path->parent, 0, ret_parent_fd, err);
}

/* --- entries ---------------------------------------------------------------------------------- */

static int keep_metadata(struct tree *tree, struct directory *directory,
                         const struct tree_metadata *metadata, struct error *err)
{
    directory->has_entry = true;
    directory->is_orphan = false;
    directory->mode = metadata->mode;
    directory->uid = metadata->uid;
    directory->gid = metadata->gid;
    directory->times[0] = metadata->times[0];
    directory->times[1] = metadata->times[1];
    for (size_t i = 0; i < metadata->attribute_count; i++) {
        const struct tree_attribute *attribute = &metadata->attributes[i];
        int r = count_kept(tree, strlen(attribute->name) + attribute->size, err);

        if (r < 0)
            return r;
    }
    directory_set_attributes(directory, metadata->attributes, metadata->attribute_count);
    return 0;
}

/* An ordinary user has one id, if he has no subordinate ones. */
static int owner_failed(const struct tree_metadata *metadata, struct error *err)
{
    if (errno != EINVAL)
        return error_errno(err, "set the owner");
    return error_set(err, EINVAL,
                     "set the owner %u:%u: no such ids in this user namespace; the user needs a "
                     "range of subordinate ids in /etc/subuid and /etc/subgid, and newuidmap "
                     "(Debian's package uidmap)",
                     metadata->uid, metadata->gid);
}

/* The root is in the table under the path "". */
static int root_add(struct tree *tree, const struct tree_metadata *metadata, struct error *err)
{
    struct directory *directory;
    struct stat st;

    if (fstat(tree->root_fd, &st) < 0)
        return error_errno(err, "look at the root");
    directory = directory_table_find(tree->directories, st.st_ino);
    if (directory == NULL)
        directory = directory_table_add(tree->directories, st.st_ino, "");
    if ((metadata->uid != directory->uid || metadata->gid != directory->gid) &&
        fchown(tree->root_fd, metadata->uid, metadata->gid) < 0)
        return owner_failed(metadata, err);
    return keep_metadata(tree, directory, metadata, err);
}

/* A directory where something is already. @ret_directory: NULL when it has to be made. */
static int directory_reuse(struct tree *tree, const struct layer_path *path, int *parent_fd,
                           const struct tree_metadata *metadata, bool *ret_is_opaque,
                           struct directory **ret_directory, struct error *err)
{
    struct directory *directory;
    struct stat st;

    *ret_is_opaque = false;
    *ret_directory = NULL;
    if (fstatat(*parent_fd, path->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "look at an earlier entry");
    if (!S_ISDIR(st.st_mode)) {
        /* In the order of the tar, the earlier file hid what layers below have here. */
        *ret_is_opaque = true;
        return make_room(tree, path, parent_fd, err);
    }
    directory = directory_table_find(tree->directories, st.st_ino);
    if (directory == NULL)
        return error_set(err, EIO, "is a directory that this layer did not make");
    if (fchmodat(*parent_fd, path->base, metadata->mode & 01777, 0) < 0)
        return error_errno(err, "set the mode");
    *ret_directory = directory;
    return 0;
}

int tree_add_directory(struct tree *tree, const struct layer_path *path,
                       const struct tree_metadata *metadata, struct error *err)
{
    char text[LAYER_PATH_MAX];
    struct directory *directory = NULL;
    bool is_opaque = false;
    int parent_fd, r;

    assert(tree != NULL);
    assert(path != NULL);

    if (*path->base == '\0')
        return root_add(tree, metadata, err);
    r = entry_begin(tree, path, &parent_fd, err);
    if (r < 0)
        return r;
    (void)layer_path_format(path, text);
    r = directory_create(tree, parent_fd, path->base, text, metadata->mode, &directory, err);
    if (r == -EEXIST) {
        r = directory_reuse(tree, path, &parent_fd, metadata, &is_opaque, &directory, err);
        if (r == 0 && directory == NULL)
            r = directory_create(tree, parent_fd, path->base, text, metadata->mode, &directory,
                                 err);
    }
    if (r < 0)
        return r;

    if ((metadata->uid != directory->uid || metadata->gid != directory->gid) &&
        fchownat(parent_fd, path->base, metadata->uid, metadata->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return owner_failed(metadata, err);
    if (is_opaque) {
        r = set_opaque(parent_fd, path->base, err);
        if (r < 0)
            return r;
    }
    return keep_metadata(tree, directory, metadata, err);
}

int tree_add_file(struct tree *tree, const struct layer_path *path,
                  const struct tree_metadata *metadata, int *ret_fd, struct error *err)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int parent_fd, fd, r;

    assert(tree != NULL);
    assert(ret_fd != NULL);

    r = entry_begin(tree, path, &parent_fd, err);
    if (r < 0)
        return r;
    fd = openat(parent_fd, path->base, flags, metadata->mode & 0777);
    if (fd < 0 && errno == EEXIST) {
        r = make_room(tree, path, &parent_fd, err);
        if (r < 0)
            return r;
        fd = openat(parent_fd, path->base, flags, metadata->mode & 0777);
    }
    if (fd < 0)
        return error_errno(err, "make the file");
    *ret_fd = fd;
    return 0;
}

static int set_attributes(int fd, const struct tree_attribute *attributes, size_t count,
                          struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct tree_attribute *attribute = &attributes[i];

        if (fsetxattr(fd, attribute->name, attribute->value, attribute->size, 0) == 0)
            continue;
        /* A file system without attributes of that kind keeps the file all the same. */
        if (errno != ENOTSUP)
            return error_errno(err, "set the attribute '%s'", attribute->name);
    }
    return 0;
}

int tree_finish_file(int fd, const struct tree_metadata *metadata, struct error *err)
{
    int r;

    if ((metadata->uid != 0 || metadata->gid != 0) && fchown(fd, metadata->uid, metadata->gid) < 0)
        return owner_failed(metadata, err);
    if ((metadata->mode & 07000) != 0 && fchmod(fd, metadata->mode & 07777) < 0)
        return error_errno(err, "set the mode");
    r = set_attributes(fd, metadata->attributes, metadata->attribute_count, err);
    if (r < 0)
        return r;
    if (futimens(fd, metadata->times) < 0)
        return error_errno(err, "set the times");
    return 0;
}

/* Owner, set-id bits and times of what cannot be opened: links and nodes. */
static int finish_by_name(int parent_fd, const char *base, bool has_mode,
                          const struct tree_metadata *metadata, struct error *err)
{
    if ((metadata->uid != 0 || metadata->gid != 0) &&
        fchownat(parent_fd, base, metadata->uid, metadata->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return owner_failed(metadata, err);
    if (has_mode && (metadata->mode & 07000) != 0 &&
        fchmodat(parent_fd, base, metadata->mode & 07777, 0) < 0)
        return error_errno(err, "set the mode");
    if (utimensat(parent_fd, base, metadata->times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "set the times");
    return 0;
}

int tree_add_symlink(struct tree *tree, const struct layer_path *path, const char *target,
                     const struct tree_metadata *metadata, struct error *err)
{
    int parent_fd, r;

    assert(tree != NULL);
    assert(target != NULL);

    r = entry_begin(tree, path, &parent_fd, err);
    if (r < 0)
        return r;
    r = symlinkat(target, parent_fd, path->base);
    if (r < 0 && errno == EEXIST) {
        r = make_room(tree, path, &parent_fd, err);
        if (r < 0)
            return r;
        r = symlinkat(target, parent_fd, path->base);
    }
    if (r < 0)
        return error_errno(err, "make the symbolic link");
    return finish_by_name(parent_fd, path->base, false, metadata, err);
}

int tree_add_node(struct tree *tree, const struct layer_path *path, mode_t type, dev_t device,
                  const struct tree_metadata *metadata, struct error *err)
{
    mode_t mode = type | (metadata->mode & 0777);
    int parent_fd, r;

    assert(tree != NULL);

    r = entry_begin(tree, path, &parent_fd, err);
    if (r < 0)
        return r;
    r = mknodat(parent_fd, path->base, mode, device);
    if (r < 0 && errno == EEXIST) {
        r = make_room(tree, path, &parent_fd, err);
        if (r < 0)
            return r;
        r = mknodat(parent_fd, path->base, mode, device);
    }
    if (r < 0)
        return error_errno(err, "make the node %u:%u", major(device), minor(device));
    return finish_by_name(parent_fd, path->base, true, metadata, err);
}

/* What a hard link means: something of this layer that is no directory. Its parent stays borrowed.
 */
static int link_target_find(struct tree *tree, const struct layer_path *target, int *ret_parent_fd,
                            struct stat *ret_st, struct error *err)
{
    char text[LAYER_PATH_MAX];
    int fd, r;

    (void)layer_path_format(target, text);
    fd = *target->parent == '\0' ? tree->root_fd : cache_find(tree, target->parent);
    if (fd < 0) {
        /* Not parent_open(): a link must not make directories. */
        r = path_open_in_root(tree->root_fd, target->parent, O_PATH | O_DIRECTORY, 0, &fd, err);
        if (r == -ENOENT || r == -ENOTDIR)
            return error_set(err, ENOENT, "is a hard link to '%s', which is not in this layer",
                             text);
        if (r < 0)
            return error_prefix(err, r, "is a hard link to '%s'", text);
        cache_add(tree, target->parent, fd);
    }
    if (*target->base == '\0' || fstatat(fd, target->base, ret_st, AT_SYMLINK_NOFOLLOW) < 0 ||
        layer_mark_is_whiteout(fd, target->base, ret_st))
        return error_set(err, ENOENT, "is a hard link to '%s', which is not in this layer", text);
    if (S_ISDIR(ret_st->st_mode))
        return error_set(err, EPERM, "is a hard link to the directory '%s'", text);
    *ret_parent_fd = fd;
    return 0;
}

int tree_add_link(struct tree *tree, const struct layer_path *path, const struct layer_path *target,
                  struct error *err)
{
    auto_close int target_fd = -1;
    struct stat st, existing;
    int parent_fd, found_fd, r;

    assert(tree != NULL);
    assert(target != NULL);

    r = link_target_find(tree, target, &found_fd, &st, err);
    if (r < 0)
        return r;
    /* Its own copy: opening the link's parent may push this one out of the cache. */
    target_fd = fcntl(found_fd, F_DUPFD_CLOEXEC, 3);
    if (target_fd < 0)
        return error_errno(err, "keep the link's target");
    r = entry_begin(tree, path, &parent_fd, err);
    if (r < 0)
        return r;

    /* By its parent's descriptor and without following: nobody else works in this tree. */
    r = linkat(target_fd, target->base, parent_fd, path->base, 0);
    if (r < 0 && errno == EEXIST) {
        if (fstatat(parent_fd, path->base, &existing, AT_SYMLINK_NOFOLLOW) == 0 &&
            existing.st_ino == st.st_ino)
            return 0;
        r = make_room(tree, path, &parent_fd, err);
        if (r < 0)
            return r;
        r = linkat(target_fd, target->base, parent_fd, path->base, 0);
    }
    if (r < 0)
        return error_errno(err, "make the hard link");
    return 0;
}

static int note_whiteout(struct tree *tree, int parent_fd, struct error *err)
{
    struct directory *directory;
    struct stat st;

    if (fstat(parent_fd, &st) < 0)
        return error_errno(err, "look at the directory of the whiteout");
    directory = directory_table_find(tree->directories, st.st_ino);
    if (directory != NULL)
        directory->has_whiteout = true;
    return 0;
}

/* Whether a directory without an entry was made for whiteouts only. The descriptor is closed. */
static bool has_only_whiteouts(struct tree *tree, int fd)
{
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool has_only = directory != NULL;

    while (has_only && (entry = readdir(directory)) != NULL) {
        const struct directory *known;
        struct stat st;

        if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
            continue;
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            has_only = false;
        else if (S_ISDIR(st.st_mode))
            has_only =
                (known = directory_table_find(tree->directories, st.st_ino)) != NULL &&
                !known->has_entry &&
                has_only_whiteouts(tree, openat(fd, entry->d_name,
                                                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        else
            has_only = layer_mark_is_whiteout(fd, entry->d_name, &st);
    }
    if (directory != NULL)
        (void)closedir(directory); /* only read */
    return has_only;
}

/* A whiteout where this layer has a directory: that one stays, but for one that whiteouts below it
 * have brought about. */
static int hide_directory(struct tree *tree, const struct layer_path *path, int parent_fd,
                          ino_t inode, struct error *err)
{
    struct directory *directory = directory_table_find(tree->directories, inode);

    if (directory != NULL && !directory->has_entry &&
        has_only_whiteouts(
            tree, openat(parent_fd, path->base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))) {
        int r = make_room(tree, path, &parent_fd, err);

        if (r < 0)
            return r;
        r = layer_mark_whiteout(parent_fd, path->base, err);
        return r < 0 ? r : note_whiteout(tree, parent_fd, err);
    }
    if (directory != NULL)
        directory->is_orphan = false;
    return set_opaque(parent_fd, path->base, err);
}

int tree_add_whiteout(struct tree *tree, const struct layer_path *path, struct error *err)
{
    struct stat st;
    int parent_fd, r;

    assert(tree != NULL);

    tree->is_hiding = true;
    r = entry_begin(tree, path, &parent_fd, err);
    tree->is_hiding = false;
    if (r == -ENOTDIR)
        return 0; /* this layer has something else above it, so the lower name is hidden anyway */
    if (r < 0)
        return r;
    r = layer_mark_whiteout(parent_fd, path->base, err);
    if (r == 0)
        return note_whiteout(tree, parent_fd, err);
    if (r != -EEXIST)
        return r;
    if (fstatat(parent_fd, path->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "look at an earlier entry");
    if (!S_ISDIR(st.st_mode))
        return 0; /* what is there hides the lower name already */
    return hide_directory(tree, path, parent_fd, st.st_ino, err);
}

int tree_add_opaque(struct tree *tree, const char *parent, struct error *err)
{
    int fd, r;

    assert(tree != NULL);
    assert(parent != NULL);

    if (*parent == '\0') {
        tree->hides_all = true;
        return 0;
    }
    tree->is_hiding = true;
    r = parent_open(tree, parent, 0, &fd, err);
    tree->is_hiding = false;
    if (r == -ENOTDIR)
        return 0;
    if (r < 0)
        return r;
    return set_opaque(fd, ".", err);
}

/* --- the end ---------------------------------------------------------------------------------- */

static int directory_finish(const struct tree *tree, const struct directory *directory,
                            struct error *err)
{
    const char *path = *directory->path == '\0' ? "." : directory->path;
    auto_close int fd = -1;
    struct stat st;
    int r;

    r = path_open_in_root(tree->root_fd, path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r == -ENOENT || r == -ENOTDIR)
        return 0; /* reached by a symbolic link that is gone; unusual enough */
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return error_errno(err, "look at '%s'", path);
    if (st.st_ino != directory->inode)
        return 0;
    if (directory->has_entry && (st.st_mode & 07777) != directory->mode &&
        fchmod(fd, directory->mode) < 0)
        return error_errno(err, "set the mode of '%s'", path);
    r = set_attributes(fd, directory->attributes, directory->attribute_count, err);
    if (r < 0)
        return error_prefix(err, r, "'%s'", path);
    if (futimens(fd, directory->times) < 0)
        return error_errno(err, "set the times of '%s'", path);
    return 0;
}

int tree_finish(struct tree *tree, struct error *err)
{
    struct stat st;

    assert(tree != NULL);

    if (fstat(tree->root_fd, &st) < 0)
        return error_errno(err, "look at the root");
    if (directory_table_find(tree->directories, st.st_ino) == NULL) {
        /* Times of 0 say that the root has no entry: see snapshot.c. */
        (void)directory_table_add(tree->directories, st.st_ino, "");
        if (fchmod(tree->root_fd, 0755) < 0)
            return error_errno(err, "set the mode of the root");
    }
    for (size_t i = directory_table_count(tree->directories); i > 0; i--) {
        const struct directory *directory = directory_table_at(tree->directories, i - 1);
        int r;

        if (directory == NULL)
            continue;
        r = directory_finish(tree, directory, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void tree_list_orphans(const struct tree *tree, struct strings *ret_paths)
{
    for (size_t i = 0; i < directory_table_count(tree->directories); i++) {
        const struct directory *directory = directory_table_at(tree->directories, i);

        if (directory != NULL && directory->is_orphan)
            strings_add(ret_paths, directory->path);
    }
    strings_sort(ret_paths);
}

void tree_list_whiteouts(const struct tree *tree, struct strings *ret_paths)
{
    for (size_t i = 0; i < directory_table_count(tree->directories); i++) {
        const struct directory *directory = directory_table_at(tree->directories, i);

        if (directory != NULL && directory->has_whiteout && *directory->path != '\0')
            strings_add(ret_paths, directory->path);
    }
    strings_sort(ret_paths);
}

bool tree_hides_all(const struct tree *tree)
{
    return tree->hides_all;
}
