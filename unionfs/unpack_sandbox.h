#ifndef UNIONFS_UNPACK_SANDBOX_H
#define UNIONFS_UNPACK_SANDBOX_H

#include "base/error.h"

/**
 * Takes from berth-unpack what it does not need, before it reads the first hostile byte: all
 * capabilities but those for making files, all paths but those below @root_fd (Landlock), all
 * system calls but those of unpacking (seccomp), most memory.
 *
 * A kernel without Landlock or seccomp is not an error: the tree is made by descriptors and safe
 * names anyway. In a build with sanitizers memory and system calls stay as they are.
 */
int unpack_sandbox_enter(int root_fd, struct error *err);

#endif
