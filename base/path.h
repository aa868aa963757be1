#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* All use of untrusted paths: resolved once, by openat2(2), beneath a directory descriptor; then
 * only the descriptor is used. */

/**
 * openat2(2), with a lost race (EAGAIN) tried again up to 128 times, and path_walk() where the
 * kernel or a sandbox refuses the call.
 *
 * @flags    as in open(2); O_CLOEXEC is added
 * @mode     for O_CREAT
 * @resolve  RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, or RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
 *           RESOLVE_NO_XDEV
 *
 * Returns a descriptor, or -1 with errno.
 */
int path_open_resolved(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve);

/**
 * Opens a name inside a tree that berth owns (state, store): no symbolic link, no other file
 * system, nothing outside of @dir_fd (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV).
 *
 * @flags  as in open(2); O_CLOEXEC is added
 * @mode   for O_CREAT
 *
 * Returns 0; -ENOENT and -EEXIST are promised, all other codes are for people.
 */
int path_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                      struct error *err);

/**
 * Opens @path as a process chrooted to @root_fd would see it (RESOLVE_IN_ROOT |
 * RESOLVE_NO_MAGICLINKS): absolute links and ".." stay inside. A lost race (EAGAIN) is tried again
 * up to 128 times.
 *
 * Returns 0; -ENOENT, -ENOTDIR and -ELOOP are promised.
 */
int path_open_in_root(int root_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                      struct error *err);

/**
 * As `mkdir -p` inside a root: each missing component is made by mkdirat(2) with @mode, relative to
 * the descriptor of its parent, links resolved inside the root.
 *
 * @ret_fd  O_PATH descriptor of the last directory; may be NULL
 */
int path_make_directories(int root_fd, const char *path, mode_t mode, int *ret_fd,
                          struct error *err);

/**
 * As path_make_directories() for the parent, then an empty regular file unless something is there.
 *
 * @ret_fd  O_PATH descriptor of what is there then; may be NULL
 */
int path_make_file(int root_fd, const char *path, mode_t mode, int *ret_fd, struct error *err);

/**
 * Removes a file or a whole tree of any depth without following links or entering mount points.
 * What can be removed is removed, also when something else cannot.
 *
 * @name  below @dir_fd, not absolute
 *
 * Returns 0, also when nothing was there. -EBUSY: a mount point is in the tree.
 */
int path_remove_tree(int dir_fd, const char *name, struct error *err);

/** Whether @path is absolute, and free of "..", "." and doubled slashes (lexically). */
bool path_is_normal(const char *path);

/** Cleans a path lexically: "/a/./b//../c" becomes "/a/c", "/../a" becomes "/a". Caller frees. */
char *path_clean(const char *path);

/** "a/b" from "a" and "b", one slash between. Caller frees. */
char *path_join(const char *directory, const char *name);

/**
 * Makes a directory of the host and its parents as `mkdir -p`, and opens it. For paths that berth's
 * own configuration names.
 *
 * @mode    of the last one; parents get 0755
 * @ret_fd  readable directory; may be NULL
 */
int path_create_directory(const char *path, mode_t mode, int *ret_fd, struct error *err);

/**
 * Says whether a directory is the caller's, and nobody else may write into it.
 *
 * @what    in words: "XDG_RUNTIME_DIR"
 * @advice  what else to do, for the end of the sentence
 *
 * -EPERM: it is not.
 */
int path_check_private(const char *path, const char *what, const char *advice, struct error *err);

#endif
