#ifndef ENGINE_MONITOR_H
#define ENGINE_MONITOR_H

#include "base/error.h"

struct engine;

/**
 * The life of a monitor: starts the container, stays with it, writes its log and its end.
 *
 * @starter_fd, @claim_fd  given away; the first message on @starter_fd is START
 *
 * Returns 0 when the container ran; errors were told to the starter.
 */
int monitor_run(struct engine *engine, const char *id, int starter_fd, int claim_fd,
                struct error *err);

#endif
