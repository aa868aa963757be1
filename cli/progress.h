#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"

/* One live line on standard error while something long goes on: a bar where the total is known,
 * else a spinner and the bytes so far. Nothing at all when standard error is no terminal. */

struct progress;

/** @is_quiet  the user wants none */
struct progress *progress_open(bool is_quiet);
/** Wipes the line. */
void progress_free(struct progress *progress);
DEFINE_AUTO(progress)

/**
 * Shows how far a step is, at most ten times a second; a new step at once.
 *
 * @done, @total  bytes; both 0: only the step is shown, total 0: unknown
 * @context       the struct progress; so it fits engine_progress
 */
void progress_update(const char *step, uint64_t done, uint64_t total, void *context);

/** Wipes the line, so that something can be printed; the next update shows it again. */
void progress_hide(struct progress *progress);

/** The line's text, at most @columns wide; pure. Caller frees. */
char *progress_format(const char *step, uint64_t done, uint64_t total, uint64_t elapsed_ms,
                      unsigned columns, bool has_color);

#endif
