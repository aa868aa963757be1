#ifndef RUNTIME_NOTIFY_H
#define RUNTIME_NOTIFY_H

#include "runtime/runtime.h"

/* The creator's half of the notify proxy; the starter's is in runtime.h. */

#define NOTIFY_DIRECTORY "notify" /* in RUN/<id> */

/** Adds mount and NOTIFY_SOCKET to a spec, which must have a process. */
void notify_change_spec(const char *run_path, const char *id, struct spec *spec);
/** The directory in RUN/<id> that is mounted. */
int notify_make_directory(int container_fd, struct error *err);

/**
 * Adds to @ret_text the lines of a datagram that may pass; pure.
 *
 * @ret_is_ready  READY=1 is among them
 */
void notify_plan_filter(const char *bytes, struct text *ret_text, bool *ret_is_ready);

#endif
