#ifndef RUNTIME_MOUNT_NAMESPACE_H
#define RUNTIME_MOUNT_NAMESPACE_H

#include "base/error.h"
#include "base/process.h"

/**
 * Calls a function in another mount namespace, by a thread: what it opens and changes is the
 * caller's, whose own namespace, root and directory stay, and so do its rights.
 *
 * @namespace_fd  of the namespace, or a pidfd of a process in it
 * @root_fd       a directory there, the root for the function
 */
int mount_namespace_call(int namespace_fd, int root_fd, process_function *function, void *context,
                         struct error *err);

/**
 * The same in a new copy of the caller's mount namespace, made for a user namespace: flags of its
 * mounts are locked there, and stay so in copies of them (mount_namespaces(7)).
 *
 * @user_pidfd  a process in the user namespace
 */
int mount_namespace_call_locked(int user_pidfd, process_function *function, void *context,
                                struct error *err);

#endif
