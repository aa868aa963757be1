#ifndef ENGINE_CLAIM_H
#define ENGINE_CLAIM_H

#include <stdint.h>

#include "base/error.h"

struct engine;

/* The claim on a container: an exclusive lock on RUN/@monitors/<id>.lock. Who holds it may start,
 * change or remove the container; a monitor holds it for its whole life, so "the claim is held"
 * means "the container runs, or is being made or removed". The lock ends with its process. A lock
 * file that nobody holds was left by a dead process: engine_repair() takes over.
 *
 * The lock belongs to the open file, so it can be handed from the CLI to the monitor. */

#define CLAIM_WAIT_MS 10000 /* so long a command waits for another one that has the claim */
/* Where a monitor may come to have it: no event tells of the one and the other. */
#define CLAIM_STEP_MS 20

/**
 * Takes the claim.
 *
 * @timeout_ms  0: one try
 *
 * -EAGAIN, -ETIMEDOUT: another process holds it.
 */
int claim_take(struct engine *engine, const char *id, uint32_t timeout_ms, int *ret_fd,
               struct error *err);
/** 1: held by another process, 0: not, negative: error. */
int claim_is_held(struct engine *engine, const char *id, struct error *err);
/** Removes lock file and socket, then releases: *fd is -1 afterwards. Nothing on -1. */
void claim_drop(struct engine *engine, const char *id, int *fd);
/** Waits, without an end, until the present holder released it. */
int claim_wait_free(struct engine *engine, const char *id, struct error *err);

/** Listens on / connects to the socket beside the lock. -ENOENT, -ECONNREFUSED: no monitor listens.
 */
int claim_listen(struct engine *engine, const char *id, int *ret_fd, struct error *err);
int claim_connect(struct engine *engine, const char *id, int *ret_fd, struct error *err);

#endif
