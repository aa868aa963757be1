#ifndef UNIONFS_DIRECTORY_TABLE_H
#define UNIONFS_DIRECTORY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "base/auto.h"

struct tree_attribute;

/* What is known of one directory of a layer in the making. */
struct directory {
    ino_t inode;
    char *path;        /* by which it was made; "" for the root */
    unsigned depth;    /* of directories above it, where it really is; 0 for the root */
    bool has_entry;    /* the tar told its metadata: mode, times and attributes below */
    bool has_whiteout; /* something in it hides a name */
    bool is_orphan;    /* made as a parent only, and may exist in a layer below */
    mode_t mode;
    uid_t uid; /* as it is on disk; 0 until an entry says otherwise */
    gid_t gid;
    struct timespec times[2];
    struct tree_attribute *attributes; /* owned */
    size_t attribute_count;
};

/** Replaces the attributes by a copy. */
void directory_set_attributes(struct directory *directory, const struct tree_attribute *attributes,
                              size_t count);

/* Directories by inode number, in the order in which they were made. */
struct directory_table;
struct directory_table *directory_table_open(void);
void directory_table_free(struct directory_table *table);
DEFINE_AUTO(directory_table)

/** Adds; the pointer is valid until the directory is removed. */
struct directory *directory_table_add(struct directory_table *table, ino_t inode, const char *path);
struct directory *directory_table_find(const struct directory_table *table, ino_t inode);
void directory_table_remove(struct directory_table *table, ino_t inode); /* missing is fine */
size_t directory_table_count(const struct directory_table *table);       /* with removed ones */
/** NULL: removed. */
const struct directory *directory_table_at(const struct directory_table *table, size_t index);

#endif
