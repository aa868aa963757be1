#ifndef RUNTIME_USER_NAMESPACE_H
#define RUNTIME_USER_NAMESPACE_H

#include <sys/types.h>

#include "base/error.h"

/** Writes the id maps of the new user namespace that @pid is in. @proc_fd: by procfs_open(). */
typedef int user_namespace_map(int proc_fd, pid_t pid, void *context, struct error *err);

/** Makes a user namespace by way of a short-lived child; it lasts as long as the descriptor. */
int user_namespace_open(user_namespace_map *map, void *context, int *ret_fd, struct error *err);

#endif
