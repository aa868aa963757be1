#ifndef ENGINE_JOINED_H
#define ENGINE_JOINED_H

#include "base/error.h"
#include "engine/engine_private.h"

/* --pid, --ipc and --network container:NAME: what a container has of another one. */

/**
 * Names become ids, since names can change: "container:web" in @mode to "container:<id>".
 *
 * -ENOENT: there is no such container. -EOPNOTSUPP: it is a microVM, whose namespaces are empty.
 */
int joined_resolve(struct engine *engine, const char *option, char **mode, struct error *err);

/** The host name of the container whose network is joined; NULL: none is. Caller frees. */
int joined_hostname(struct engine *engine, const struct settings *settings, char **ret_hostname,
                    struct error *err);

/** The options that would change files of the container whose network is joined: -EINVAL. */
int joined_check(const struct settings *settings, struct error *err);

/**
 * Gives a container the hosts and resolv.conf of the one whose network it joins: further names for
 * the same files, which stay when the other container is removed.
 *
 * @dir_fd  the container's directory, which has none of them
 */
int joined_share_files(struct engine *engine, const struct settings *settings, int dir_fd,
                       struct error *err);

#endif
