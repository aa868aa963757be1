#ifndef RUNTIME_PROCFS_H
#define RUNTIME_PROCFS_H

#include <stdbool.h>

#include "base/error.h"

/**
 * A private procfs, detached from every tree, made in the calling process's pid namespace
 * (subset=pid where @is_full is false): the only /proc that writes go to. Opened beneath and
 * checked to be procfs.
 *
 * Where the caller may not make one (a user namespace that does not own its pid namespace), the
 * root of the /proc in sight takes its place, if it is one.
 */
int procfs_open(bool is_full, int *ret_fd, struct error *err);

/** Writes @value with one write(2); @path is relative, nothing may be mounted on the way, no links.
 */
int procfs_write(int proc_fd, const char *path, const char *value, struct error *err);

#endif
