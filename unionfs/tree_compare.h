#ifndef UNIONFS_TREE_COMPARE_H
#define UNIONFS_TREE_COMPARE_H

#include "base/error.h"

/**
 * Compares two trees that nobody changes: names, kinds, modes, owners, sizes, times, numbers of
 * names of a file, devices, targets of links, extended attributes and contents.
 *
 * -EBADMSG: they differ; the sentence says where: "'etc/passwd' has another content".
 */
int tree_compare(int expected_fd, int found_fd, struct error *err);

#endif
