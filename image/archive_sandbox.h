#ifndef IMAGE_ARCHIVE_SANDBOX_H
#define IMAGE_ARCHIVE_SANDBOX_H

#include "base/error.h"

/**
 * Gives up everything that berth-archive does not need, before it reads the first hostile byte:
 * root (it becomes nobody), all capabilities, all paths (Landlock), the right to open or to write
 * any file, most memory, all system calls but reading, writing and those for memory (seccomp).
 *
 * A kernel without Landlock or seccomp is not an error: a word to the debug log. In a build with
 * sanitizers memory and system calls stay as they are.
 */
int archive_sandbox_enter(struct error *err);

#endif
