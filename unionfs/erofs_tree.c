#include "unionfs/erofs_tree.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/inode_table.h"
#include "unionfs/layer_mark.h"
#include "unionfs/layer_path.h"
#include "unionfs/snapshot_root.h"
#include "unionfs/unionfs.h"

/* Layers are read as they are, without a mount: less work for the kernel, and names of one file are
 * known by its inode number, which an overlay does not show. */

/* --- the tree --------------------------------------------------------------------------------- */

void erofs_tree_clear(struct erofs_tree *tree)
{
    for (size_t i = 0; i < tree->node_count; i++) {
        struct erofs_node *node = &tree->nodes[i];

        for (size_t k = 0; k < node->attribute_count; k++) {
            free(node->attributes[k].name);
            free(node->attributes[k].value);
        }
        free(node->attributes);
        free(node->target);
    }
    for (size_t i = 0; i < tree->entry_count; i++)
        free(tree->entries[i].name);
    free(tree->nodes);
    free(tree->entries);
    *tree = (struct erofs_tree){ 0 };
}

uint32_t erofs_tree_add_node(struct erofs_tree *tree, const struct erofs_node *node)
{
    if (tree->node_count == tree->node_capacity) {
        tree->node_capacity = tree->node_capacity == 0 ? 1024 : tree->node_capacity * 2;
        tree->nodes = xrealloc(tree->nodes, tree->node_capacity, sizeof(*tree->nodes));
    }
    tree->nodes[tree->node_count] = *node;
    return (uint32_t)tree->node_count++;
}

void erofs_tree_add_entry(struct erofs_tree *tree, uint32_t directory, char *name, uint32_t node)
{
    struct erofs_node *parent = &tree->nodes[directory];

    if (tree->entry_count == tree->entry_capacity) {
        tree->entry_capacity = tree->entry_capacity == 0 ? 1024 : tree->entry_capacity * 2;
        tree->entries = xrealloc(tree->entries, tree->entry_capacity, sizeof(*tree->entries));
    }
    if (parent->entry_count++ == 0)
        parent->first_entry = (uint32_t)tree->entry_count;
    tree->entries[tree->entry_count++] = (struct erofs_entry){ .name = name, .node = node };
    if (S_ISDIR(tree->nodes[node].mode))
        parent->links++;
    else
        tree->nodes[node].links++;
}

char *erofs_tree_path(const struct erofs_tree *tree, uint32_t node)
{
    size_t length = 0;
    char *path;

    for (uint32_t at = node; at != 0; at = tree->nodes[at].parent)
        length += strlen(tree->nodes[at].name) + 1;
    path = xcalloc(length + 1, 1);
    length -= length > 0; /* no slash behind the last name */
    path[length] = '\0';
    for (uint32_t at = node; at != 0; at = tree->nodes[at].parent) {
        size_t part = strlen(tree->nodes[at].name);

        length -= part;
        memcpy(path + length, tree->nodes[at].name, part);
        if (length > 0)
            path[--length] = '/';
    }
    return path;
}

/* --- reading layers --------------------------------------------------------------------------- */

/* The layers that a directory is merged of, topmost first; in the reader's list. */
struct merged {
    size_t first, count;
};

/* A name in one of the layers of a directory. */
struct found {
    char *name;
    uint32_t rank; /* of the layer among those of the directory */
};
struct founds {
    struct found *items;
    size_t count, capacity;
};

struct reader {
    const int *layer_fds;
    struct erofs_tree *tree;
    struct merged *merged; /* by node */
    size_t merged_capacity;
    uint32_t *layers; /* what struct merged speaks of */
    size_t layer_count, layer_capacity;
    struct inode_table linked; /* files with several names: their nodes */
    char *attribute_names;
    char *attribute_value;
    size_t attribute_bytes; /* of all that were kept */
};

static void founds_clear(struct founds *founds)
{
    for (size_t i = 0; i < founds->count; i++)
        free(founds->items[i].name);
    free(founds->items);
    *founds = (struct founds){ 0 };
}

/* Open directories: the same one in each of its layers. */
struct folders {
    int *fds;
    size_t count;
};

static void folders_clear(struct folders *folders)
{
    for (size_t i = 0; i < folders->count; i++)
        (void)close(folders->fds[i]); /* only read */
    free(folders->fds);
}

static void reader_clear(struct reader *reader)
{
    inode_table_clear(&reader->linked);
    free(reader->merged);
    free(reader->layers);
    free(reader->attribute_names);
    free(reader->attribute_value);
}

static void add_merged_layer(struct reader *reader, uint32_t layer)
{
    if (reader->layer_count == reader->layer_capacity) {
        reader->layer_capacity = reader->layer_capacity == 0 ? 1024 : reader->layer_capacity * 2;
        reader->layers = xrealloc(reader->layers, reader->layer_capacity, sizeof(*reader->layers));
    }
    reader->layers[reader->layer_count++] = layer;
}

/* What is merged into a directory is said from here on by add_merged_layer(). */
static void begin_merged(struct reader *reader, uint32_t node)
{
    if (node >= reader->merged_capacity) {
        reader->merged_capacity = ((size_t)node + 1) * 2;
        reader->merged = xrealloc(reader->merged, reader->merged_capacity, sizeof(*reader->merged));
    }
    reader->merged[node].first = reader->layer_count;
}

static void end_merged(struct reader *reader, uint32_t node)
{
    reader->merged[node].count = reader->layer_count - reader->merged[node].first;
}

/* --- extended attributes ---------------------------------------------------------------------- */

static int compare_attributes(const void *a, const void *b)
{
    const struct erofs_attribute *left = a, *right = b;

    return strcmp(left->name, right->name);
}

static int count_attribute(struct reader *reader, const char *key, size_t size, struct error *err)
{
    reader->attribute_bytes += sizeof(struct erofs_attribute) + strlen(key) + 1 + size;
    if (reader->attribute_bytes <= EROFS_ATTRIBUTES_MAX)
        return 0;
    return error_set(err, E2BIG, "the image's files have more than %u MiB of extended attributes",
                     EROFS_ATTRIBUTES_MAX >> 20);
}

static int read_attributes(struct reader *reader, int dir_fd, const char *name,
                           struct erofs_node *node, struct error *err)
{
    char path[FD_PATH_MAX + NAME_MAX + 2];
    ssize_t length;

    /* There is no call for "name in directory" before Linux 6.13. */
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir_fd, name);
    length = llistxattr(path, reader->attribute_names, XATTR_LIST_MAX);
    if (length < 0 && errno != ENOTSUP)
        return error_errno(err, "list the attributes of '%s'", name);
    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(reader->attribute_names + at) + 1) {
        const char *key = reader->attribute_names + at;
        ssize_t size;
        int r;

        if (!unpack_keeps_attribute(key))
            continue;
        size = lgetxattr(path, key, reader->attribute_value, XATTR_SIZE_MAX);
        if (size < 0)
            return error_errno(err, "read the attribute '%s' of '%s'", key, name);
        r = count_attribute(reader, key, (size_t)size, err);
        if (r < 0)
            return r;
        node->attributes =
            xrealloc(node->attributes, node->attribute_count + 1, sizeof(*node->attributes));
        node->attributes[node->attribute_count++] = (struct erofs_attribute){
            .name = xstrdup(key),
            .value = xmemdup(reader->attribute_value, (size_t)size),
            .size = (size_t)size,
        };
    }
    if (node->attribute_count > 1)
        qsort(node->attributes, node->attribute_count, sizeof(*node->attributes),
              compare_attributes);
    return 0;
}

/* --- one directory ---------------------------------------------------------------------------- */

static int compare_found(const void *a, const void *b)
{
    const struct found *left = a, *right = b;
    int r = strcmp(left->name, right->name);

    if (r != 0)
        return r;
    return left->rank == right->rank ? 0 : left->rank < right->rank ? -1 : 1;
}

static int add_names(int fd, uint32_t rank, const char *path, struct founds *founds,
                     struct error *err)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (directory == NULL)
        return error_errno(err, "read the directory '/%s'", path);
    while ((entry = readdir(directory)) != NULL) {
        if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
            continue;
        if (founds->count == founds->capacity) {
            founds->capacity = founds->capacity == 0 ? 64 : founds->capacity * 2;
            founds->items = xrealloc(founds->items, founds->capacity, sizeof(*founds->items));
        }
        founds->items[founds->count++] =
            (struct found){ .name = xstrdup(entry->d_name), .rank = rank };
    }
    (void)closedir(directory); /* only read */
    return 0;
}

/* Opens a directory in each of its layers, and lists what is in them. */
static int open_folders(struct reader *reader, uint32_t node, const char *path,
                        struct folders *folders, struct founds *founds, struct error *err)
{
    const struct merged *merged = &reader->merged[node];

    folders->fds = xcalloc(merged->count, sizeof(*folders->fds));
    for (size_t i = 0; i < merged->count; i++) {
        int fd =
            openat(reader->layer_fds[reader->layers[merged->first + i]], *path == '\0' ? "." : path,
                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int r;

        if (fd < 0)
            return error_errno(err, "open the directory '/%s'", path);
        folders->fds[folders->count++] = fd;
        r = add_names(fd, (uint32_t)i, path, founds, err);
        if (r < 0)
            return r;
    }
    if (founds->count > 1)
        qsort(founds->items, founds->count, sizeof(*founds->items), compare_found);
    return 0;
}

static bool is_opaque(int dir_fd, const char *name)
{
    auto_close int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 && layer_mark_is_opaque(fd);
}

/* The layers of a directory that was found in @count of those of its parent: down to one that is
 * opaque, or has something else by that name. */
static int merge_directory(struct reader *reader, uint32_t parent, const struct folders *folders,
                           const struct found *found, size_t count, uint32_t node,
                           struct error *err)
{
    size_t first = reader->merged[parent].first;
    struct stat status;

    begin_merged(reader, node);
    for (size_t i = 0; i < count; i++) {
        int fd = folders->fds[found[i].rank];

        if (i > 0 && fstatat(fd, found[i].name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            return error_errno(err, "look at '%s'", found[i].name);
        if (i > 0 && !S_ISDIR(status.st_mode))
            break;
        add_merged_layer(reader, reader->layers[first + found[i].rank]);
        if (i + 1 < count && is_opaque(fd, found[i].name))
            break;
    }
    end_merged(reader, node);
    return 0;
}

static int read_target(int dir_fd, const char *name, struct erofs_node *node, struct error *err)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(dir_fd, name, target, sizeof(target));

    if (length < 0 || length == sizeof(target))
        return error_errno(err, "read the link '%s'", name);
    node->target = xstrndup(target, (size_t)length);
    return 0;
}

static struct erofs_node describe(const struct stat *status)
{
    return (struct erofs_node){
        .mode = status->st_mode,
        .uid = status->st_uid,
        .gid = status->st_gid,
        .device = S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode) ? status->st_rdev : 0,
        .links = S_ISDIR(status->st_mode) ? 2 : 0,
        .size = S_ISREG(status->st_mode) ? (uint64_t)status->st_size : 0,
        .is_sparse = S_ISREG(status->st_mode) && status->st_blocks * 512 < status->st_size,
        .time = status->st_mtim,
    };
}

/* Adds what the topmost layer has by this name. @ret_node: its number. */
static int add_node(struct reader *reader, uint32_t parent, int dir_fd, const struct found *found,
                    const struct stat *status, uint32_t *ret_node, struct error *err)
{
    struct erofs_node node = describe(status);
    int r;

    if (reader->tree->node_count == EROFS_NODES_MAX)
        return error_set(err, EFBIG, "the image has more than %u files", EROFS_NODES_MAX);
    node.parent = parent;
    node.layer = reader->layers[reader->merged[parent].first + found->rank];
    node.name = found->name;
    r = read_attributes(reader, dir_fd, found->name, &node, err);
    if (r == 0 && S_ISLNK(status->st_mode))
        r = read_target(dir_fd, found->name, &node, err);
    *ret_node = erofs_tree_add_node(reader->tree, &node); /* the tree's, to be released */
    return r;
}

/* One name, with what each layer has by it: the topmost decides. */
static int add_name(struct reader *reader, uint32_t parent, const struct folders *folders,
                    struct found *found, size_t count, struct error *err)
{
    int dir_fd = folders->fds[found->rank];
    struct stat status;
    size_t linked;
    uint32_t node = 0;
    int r = 0;

    if (fstatat(dir_fd, found->name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "look at '%s'", found->name);
    if (layer_mark_is_whiteout(dir_fd, found->name, &status))
        return 0;
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 &&
        inode_table_find(&reader->linked, &status, &linked)) {
        erofs_tree_add_entry(reader->tree, parent, take_ptr(&found->name), (uint32_t)linked);
        return 0;
    }
    r = add_node(reader, parent, dir_fd, found, &status, &node, err);
    if (r == 0 && S_ISDIR(status.st_mode))
        r = merge_directory(reader, parent, folders, found, count, node, err);
    else if (r == 0 && status.st_nlink > 1)
        (void)inode_table_add(&reader->linked, &status, node);
    if (r == 0)
        erofs_tree_add_entry(reader->tree, parent, take_ptr(&found->name), node);
    return r;
}

static int read_directory(struct reader *reader, uint32_t node, struct error *err)
{
    auto_free char *path = erofs_tree_path(reader->tree, node);
    AUTO_CLEAR(folders) struct folders folders = { 0 };
    AUTO_CLEAR(founds) struct founds founds = { 0 };
    size_t count;
    int r;

    if (strlen(path) >= LAYER_PATH_MAX)
        return error_set(err, ENAMETOOLONG, "'/%.200s...' is longer than any path", path);
    r = open_folders(reader, node, path, &folders, &founds, err);
    for (size_t i = 0; r == 0 && i < founds.count; i += count) {
        for (count = 1; i + count < founds.count &&
                        text_equal(founds.items[i].name, founds.items[i + count].name);)
            count++;
        r = add_name(reader, node, &folders, &founds.items[i], count, err);
        if (r < 0)
            return error_prefix(err, r, "in '/%s'", path);
    }
    return r;
}

/* Mode, owner and time of the root are what a container's root gets (snapshot.c). */
static int add_root(struct reader *reader, size_t layer_count, struct error *err)
{
    struct erofs_node root = describe(&(struct stat){ .st_mode = S_IFDIR | SNAPSHOT_ROOT_MODE });
    bool is_told = false;
    uint32_t node;

    for (size_t i = 0; i < layer_count && !is_told; i++) {
        struct stat status;

        if (fstat(reader->layer_fds[i], &status) < 0)
            return error_errno(err, "look at layer %zu", i);
        is_told = snapshot_root_is_told(&status);
        if (is_told)
            root = describe(&status);
    }
    root.name = "";
    node = erofs_tree_add_node(reader->tree, &root);
    begin_merged(reader, node);
    for (size_t i = 0; i < layer_count; i++)
        add_merged_layer(reader, (uint32_t)i);
    end_merged(reader, node);
    return 0;
}

int erofs_tree_read(const int *layer_fds, size_t layer_count, struct erofs_tree *ret_tree,
                    struct error *err)
{
    AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
    AUTO_CLEAR(reader) struct reader reader = { .layer_fds = layer_fds, .tree = &tree };
    int r;

    assert(layer_count > 0);
    assert(ret_tree != NULL);

    reader.attribute_names = xcalloc(1, XATTR_LIST_MAX);
    reader.attribute_value = xcalloc(1, XATTR_SIZE_MAX);
    r = add_root(&reader, layer_count, err);
    for (uint32_t i = 0; r == 0 && i < tree.node_count; i++) {
        if (S_ISDIR(tree.nodes[i].mode))
            r = read_directory(&reader, i, err);
    }
    if (r < 0)
        return r;
    *ret_tree = tree;
    tree = (struct erofs_tree){ 0 };
    return 0;
}
