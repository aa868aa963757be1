#ifndef BASE_INODE_TABLE_H
#define BASE_INODE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/auto.h"

/* What is known of files with several names, by device and inode number. Inode numbers are the file
 * system's: who can choose them makes it slow. */

/** A hash table that is at most half full. Starts as { 0 }. */
struct inode_table {
    struct inode_entry *items;
    size_t count, capacity;
};
void inode_table_clear(struct inode_table *table); /* leaves { 0 } */

/** Keeps @value for a file; false: there is one already, and it stays. A file of number 0, which
 * some file systems of FUSE give to all, is not known again. */
bool inode_table_add(struct inode_table *table, const struct stat *status, size_t value);
/** Gives the value of a file; false: there is none. */
bool inode_table_find(const struct inode_table *table, const struct stat *status,
                      size_t *ret_value);

#endif
