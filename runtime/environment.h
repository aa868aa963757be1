#ifndef RUNTIME_ENVIRONMENT_H
#define RUNTIME_ENVIRONMENT_H

#include <sys/types.h>

#include "base/text.h"

/** Adds the variables of @given, checked before, to *ret_env; of those with the same name the last,
 * at its place, as runc does. */
void environment_plan(const struct strings *given, struct strings *ret_env);

/**
 * Adds what only the process itself can know, in its root, which is also its working directory:
 * HOME from its /etc/passwd unless it has a value, and for sockets that are passed on LISTEN_FDS
 * and LISTEN_PID (sd_listen_fds(3)) with its pid as it sees it.
 *
 * @listen_fds  descriptors from 3 on; 0: none
 */
void environment_complete_child(struct strings *env, uid_t uid, unsigned listen_fds);

#endif
