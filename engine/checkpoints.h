#ifndef ENGINE_CHECKPOINTS_H
#define ENGINE_CHECKPOINTS_H

#include <stdbool.h>

#include "base/error.h"
#include "engine/engine.h"

/* A container's checkpoint: what ran in it, by CRIU or, of a microVM, the machine. Whole it is
 * DATA/containers/<id>/checkpoint, one that is being written or removed .../checkpoint.new. Making
 * and using one needs .../checkpoint.lock. */

/** Whether the container has a whole one. */
bool checkpoints_has_one(const struct engine *engine, const char *id);

/** Makes a container that goes on from its checkpoint, in its monitor; as container_restore().
 * @prepare  as in checkpoint_options; @context is passed to it */
int checkpoints_restore(struct engine *engine, const struct container_options *options,
                        int (*prepare)(void *context, pid_t pid, struct error *err), void *context,
                        struct container **ret_container, struct error *err);

#endif
