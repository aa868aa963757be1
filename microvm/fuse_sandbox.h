#ifndef MICROVM_FUSE_SANDBOX_H
#define MICROVM_FUSE_SANDBOX_H

#include <stddef.h>

#include "base/error.h"

/**
 * Takes from berth-fs what it does not need before it reads the first request: all capabilities but
 * those for acting as any owner, all paths but those below @root_fd (Landlock), all system calls
 * but those on files, of which none makes a process.
 *
 * @fdinfo_fd            may be read below, too; -1: none
 * @ret_descriptors_max  how many files may be open, the hard limit
 */
int fuse_sandbox_enter(int root_fd, int fdinfo_fd, size_t *ret_descriptors_max, struct error *err);

#endif
