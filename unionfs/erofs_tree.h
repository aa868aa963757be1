#ifndef UNIONFS_EROFS_TREE_H
#define UNIONFS_EROFS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"

/* A tree in memory that becomes one EROFS file: everything of it but the contents of files. */

#define EROFS_NODES_MAX 4000000u
/* Bytes of all extended attributes, which are all in memory until the file is written. */
#define EROFS_ATTRIBUTES_MAX (64u << 20)

struct erofs_attribute {
    char *name; /* "user.comment" */
    void *value;
    size_t size;
};

/* A file of any kind, whatever number of names it has. Node 0 is the root. */
struct erofs_node {
    mode_t mode;
    uid_t uid;
    gid_t gid;
    dev_t device;   /* of a device */
    uint32_t links; /* names; of a directory 2 and one for each directory in it */
    uint64_t size;  /* of a regular file */
    bool is_sparse;
    struct timespec time;
    char *target;                       /* of a symbolic link; else NULL */
    struct erofs_attribute *attributes; /* in the order of their names */
    size_t attribute_count;

    /* Names in a directory: entries[first_entry] and so on. */
    uint32_t first_entry, entry_count;

    /* Where its content is: the file @name in the directory of node @parent in layer @layer. */
    uint32_t parent;
    uint32_t layer;
    const char *name; /* an entry's; of the root "" */

    /* Where it comes to lie; set by erofs_plan(). */
    uint64_t position; /* of the inode, in bytes */
    uint64_t block;    /* the first of its content */
    uint64_t bytes;    /* of its content; directories and links have some too */
    bool is_inline;    /* the content's last, incomplete block stands behind the inode */
};

struct erofs_entry {
    char *name;
    uint32_t node;
};

struct erofs_tree {
    struct erofs_node *nodes;
    size_t node_count, node_capacity;
    struct erofs_entry *entries; /* a directory's together, in the order of their bytes */
    size_t entry_count, entry_capacity;
};

void erofs_tree_clear(struct erofs_tree *tree);

/** Adds a node of no names; its number. */
uint32_t erofs_tree_add_node(struct erofs_tree *tree, const struct erofs_node *node);
/** Adds a name to the directory that the last names were added to; @name is taken. */
void erofs_tree_add_entry(struct erofs_tree *tree, uint32_t directory, char *name, uint32_t node);
/** "etc/passwd" of a node by its first name, "" for the root. Caller frees. */
char *erofs_tree_path(const struct erofs_tree *tree, uint32_t node);

/**
 * Reads what a stack of layers shows, as overlayfs merges it: the topmost layer that has a name
 * decides what it is, directories are merged down to an opaque one, whiteouts hide. Directories
 * come breadth first, names in the order of their bytes, so the same layers give the same tree.
 *
 * @layer_fds  fs/ of the layers, topmost first
 *
 * See: kernel, overlayfs.rst, "whiteouts and opaque directories".
 */
int erofs_tree_read(const int *layer_fds, size_t layer_count, struct erofs_tree *ret_tree,
                    struct error *err);

#endif
