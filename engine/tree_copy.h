#ifndef ENGINE_TREE_COPY_H
#define ENGINE_TREE_COPY_H

#include "base/error.h"

/**
 * Copies what is in the directory @from_fd into the directory @to_fd, with owners, modes, times,
 * extended attributes and special files; and gives @to_fd owner and mode of @from_fd. Follows no
 * link and works by descriptors only, so what a container does meanwhile cannot lead it outside.
 * Hard links become separate files. What exists already in @to_fd is an error.
 */
int tree_copy(int from_fd, int to_fd, struct error *err);

#endif
