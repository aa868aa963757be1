#ifndef ENGINE_MONITOR_H
#define ENGINE_MONITOR_H

#include <stdbool.h>

#include "base/error.h"

struct engine;

/**
 * The life of a monitor: starts the container, stays with it, writes its log and its end.
 *
 * @is_restored             it goes on from its checkpoint; a restart of it begins anew
 * @starter_fd, @claim_fd  given away; the first message on @starter_fd is START
 *
 * Returns 0 when the container ran; errors were told to the starter.
 */
int monitor_run(struct engine *engine, const char *id, bool is_restored, int starter_fd,
                int claim_fd, struct error *err);

#endif
