#ifndef RUNTIME_TMPFS_COPY_UP_H
#define RUNTIME_TMPFS_COPY_UP_H

#include "base/error.h"

/**
 * Copies what a directory of the image holds into the tmpfs that will cover it (option tmpcopyup):
 * directories, files and links with owner, mode and times; names that exist in the tmpfs stay.
 *
 * @source_fd  the directory, O_PATH is enough
 * @tmpfs_fd   detached or attached
 */
int tmpfs_copy_up(int source_fd, int tmpfs_fd, struct error *err);

#endif
