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

/**
 * A file of the container whose network is joined.
 *
 * @name      "hosts" or "resolv.conf"
 * @ret_text  caller frees
 */
int joined_file(struct engine *engine, const struct settings *settings, const char *name,
                char **ret_text, struct error *err);

#endif
