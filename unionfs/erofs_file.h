#ifndef UNIONFS_EROFS_FILE_H
#define UNIONFS_EROFS_FILE_H

#include "unionfs/unionfs.h"

/* Layers, which nobody changes, as one EROFS file. */

/**
 * Writes what the layers show into the empty file @fd. The same layers give the same bytes. Holes
 * in files stay holes; the caller syncs.
 *
 * @layer_fds  fs/ of the layers, topmost first
 * @watch      may be NULL
 */
int erofs_file_write(int fd, const int *layer_fds, size_t layer_count,
                     const struct erofs_watch *watch, struct error *err);

/**
 * Whether erofs_file_write() would write just this file.
 *
 * @with_contents  of files too, else only all that is said of them
 *
 * -EBADMSG: it would not; the sentence says where they differ.
 */
int erofs_file_compare(int fd, const int *layer_fds, size_t layer_count, bool with_contents,
                       struct error *err);

#endif
