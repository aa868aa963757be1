#include "unionfs/unionfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "unionfs/erofs_tree.h"

/* What a stack of layers shows, as a directory of its own. Nobody else works in it, and paths come
 * from the tree that was read: each of their directories was made here, and is one in its layer. */

#define COPY_BYTES_MAX (1u << 30) /* of one copy_file_range(2) */

struct copying {
    const int *layer_fds;
    const struct erofs_tree *tree;
    int to_fd;
    bool *is_made; /* by node: the file has a name already */
};

static int copy_range(int from_fd, int to_fd, off_t from, off_t to, struct error *err)
{
    char buffer[65536];

    while (from < to) {
        size_t wanted = (size_t)(to - from);
        off_t at = from;
        ssize_t count;
        int r;

        /* By reference where the file system can do that. */
        count = copy_file_range(from_fd, &from, to_fd, &at,
                                wanted < COPY_BYTES_MAX ? wanted : COPY_BYTES_MAX, 0);
        if (count > 0)
            continue;
        if (count < 0 && errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP)
            return error_errno(err, "copy");
        count = pread(from_fd, buffer, wanted < sizeof(buffer) ? wanted : sizeof(buffer), from);
        if (count <= 0)
            return count < 0 ? error_errno(err, "read") : error_set(err, EIO, "it is too short");
        if (lseek(to_fd, from, SEEK_SET) < 0)
            return error_errno(err, "go on");
        r = fd_write_all(to_fd, buffer, (size_t)count, "the copy", err);
        if (r < 0)
            return r;
        from += count;
    }
    return 0;
}

/* Holes stay holes. */
static int copy_bytes(int from_fd, int to_fd, uint64_t size, struct error *err)
{
    off_t at = 0, end = (off_t)size;

    if (ftruncate(to_fd, end) < 0)
        return error_errno(err, "set the size");
    while (at < end) {
        off_t data = lseek(from_fd, at, SEEK_DATA);
        off_t hole;
        int r;

        if (data < 0 && errno == ENXIO)
            return 0; /* a hole to the end */
        hole = data < 0 ? end : lseek(from_fd, data, SEEK_HOLE);
        if (data < 0 || hole < 0 || hole > end) {
            data = data < 0 ? at : data;
            hole = end;
        }
        r = copy_range(from_fd, to_fd, data, hole, err);
        if (r < 0)
            return r;
        at = hole;
    }
    return 0;
}

static int set_attributes(const char *path, const struct erofs_node *node, struct error *err)
{
    for (size_t i = 0; i < node->attribute_count; i++) {
        const struct erofs_attribute *attribute = &node->attributes[i];

        if (lsetxattr(path, attribute->name, attribute->value, attribute->size, 0) < 0)
            return error_errno(err, "set the attribute '%s'", attribute->name);
    }
    return 0;
}

/* Of what is not a directory; directories get theirs when all is in them. The owner first: chown(2)
 * clears set-id bits and capabilities. */
static int set_metadata(int dir_fd, const char *name, const struct erofs_node *node,
                        struct error *err)
{
    const struct timespec times[2] = { node->time, node->time };
    char path[FD_PATH_MAX + NAME_MAX + 2];
    int r;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir_fd, name);
    if (fchownat(dir_fd, name, node->uid, node->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "set the owner");
    if (!S_ISLNK(node->mode) && fchmodat(dir_fd, name, node->mode & 07777, 0) < 0)
        return error_errno(err, "set the mode");
    r = set_attributes(path, node, err);
    if (r < 0)
        return r;
    /* No layer says anything of a root without a time (snapshot.c). */
    if ((node->time.tv_sec != 0 || node->time.tv_nsec != 0 || !S_ISDIR(node->mode)) &&
        utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "set the times");
    return 0;
}

static int copy_file(const struct copying *copying, uint32_t index, int dir_fd, const char *name,
                     struct error *err)
{
    const struct erofs_node *node = &copying->tree->nodes[index];
    auto_free char *path = erofs_tree_path(copying->tree, index);
    auto_close int from_fd = -1;
    auto_close int to_fd = -1;

    from_fd = openat(copying->layer_fds[node->layer], path,
                     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from_fd < 0)
        return error_errno(err, "open");
    to_fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to_fd < 0)
        return error_errno(err, "create");
    return copy_bytes(from_fd, to_fd, node->size, err);
}

/* One more name of a file that is there already, by its first one. */
static int link_file(const struct copying *copying, uint32_t index, int dir_fd, const char *name,
                     struct error *err)
{
    auto_free char *first = erofs_tree_path(copying->tree, index);

    if (linkat(copying->to_fd, first, dir_fd, name, 0) < 0)
        return error_errno(err, "make it a link of '/%s'", first);
    return 0;
}

static int copy_entry(const struct copying *copying, const struct erofs_entry *entry, int dir_fd,
                      struct error *err)
{
    const struct erofs_node *node = &copying->tree->nodes[entry->node];
    int r = 0;

    if (S_ISDIR(node->mode))
        return mkdirat(dir_fd, entry->name, 0700) < 0 ? error_errno(err, "make the directory") : 0;
    if (copying->is_made[entry->node])
        return link_file(copying, entry->node, dir_fd, entry->name, err);
    copying->is_made[entry->node] = true;
    if (S_ISREG(node->mode))
        r = copy_file(copying, entry->node, dir_fd, entry->name, err);
    else if (S_ISLNK(node->mode))
        r = symlinkat(node->target, dir_fd, entry->name) < 0 ? error_errno(err, "make the link")
                                                             : 0;
    else if (mknodat(dir_fd, entry->name, node->mode, node->device) < 0)
        r = error_errno(err, "make the special file");
    return r < 0 ? r : set_metadata(dir_fd, entry->name, node, err);
}

static int open_made(const struct copying *copying, uint32_t index, int *ret_fd, struct error *err)
{
    auto_free char *path = erofs_tree_path(copying->tree, index);

    *ret_fd = openat(copying->to_fd, *path == '\0' ? "." : path,
                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "open the directory '/%s'", path);
    return 0;
}

static int fill_directory(const struct copying *copying, uint32_t index, struct error *err)
{
    const struct erofs_node *node = &copying->tree->nodes[index];
    auto_close int dir_fd = -1;
    int r;

    r = open_made(copying, index, &dir_fd, err);
    for (uint32_t i = 0; r == 0 && i < node->entry_count; i++) {
        const struct erofs_entry *entry = &copying->tree->entries[node->first_entry + i];

        r = copy_entry(copying, entry, dir_fd, err);
        if (r < 0) {
            auto_free char *path = erofs_tree_path(copying->tree, index);

            return error_prefix(err, r, "copy '%s/%s' of the image", path, entry->name);
        }
    }
    return r;
}

static int finish_directory(const struct copying *copying, uint32_t index, struct error *err)
{
    auto_close int dir_fd = -1;
    int r;

    r = open_made(copying, index, &dir_fd, err);
    if (r == 0)
        r = set_metadata(dir_fd, ".", &copying->tree->nodes[index], err);
    return r < 0 ? error_prefix(err, r, "copy a directory of the image") : 0;
}

static int copy_tree(const struct copying *copying, struct error *err)
{
    const struct erofs_tree *tree = copying->tree;
    int r = 0;

    /* Directories come breadth first: each is there when its turn has come. */
    for (size_t i = 0; r == 0 && i < tree->node_count; i++)
        if (S_ISDIR(tree->nodes[i].mode))
            r = fill_directory(copying, (uint32_t)i, err);
    for (size_t i = tree->node_count; r == 0 && i > 0; i--)
        if (S_ISDIR(tree->nodes[i - 1].mode))
            r = finish_directory(copying, (uint32_t)i - 1, err);
    return r;
}

int copied_root_create(const int *layer_fds, size_t layer_count, int to_fd, struct error *err)
{
    struct erofs_tree tree = { 0 };
    struct copying copying = { .layer_fds = layer_fds, .tree = &tree, .to_fd = to_fd };
    int r;

    assert(layer_fds != NULL);

    r = erofs_tree_read(layer_fds, layer_count, &tree, err);
    if (r < 0)
        return r;
    copying.is_made = xcalloc(tree.node_count, sizeof(*copying.is_made));
    r = copy_tree(&copying, err);
    free(copying.is_made);
    erofs_tree_clear(&tree);
    return r;
}
