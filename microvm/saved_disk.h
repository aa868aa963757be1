#ifndef MICROVM_SAVED_DISK_H
#define MICROVM_SAVED_DISK_H

#include "base/error.h"

/**
 * Makes @to_fd, a regular file, the same as @from_fd: with its blocks where the file system can
 * share them, else a copy with its holes.
 */
int saved_disk_copy(int from_fd, int to_fd, struct error *err);

/**
 * Puts a saved disk in the place of a container's.
 *
 * -EBUSY: somebody has it open, such as a microVM that uses it. -EINVAL: the saved one is no
 * regular file.
 */
int saved_disk_restore(const char *from_path, const char *to_path, struct error *err);

#endif
