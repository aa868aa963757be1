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

struct progress_amount {
    uint64_t done, total;      /* bytes; total 0: unknown */
    uint64_t from, elapsed_ms; /* done when the step began, and since then */
};
/** The line's text, at most @columns wide; pure. Caller frees. */
char *progress_format(const char *step, const struct progress_amount *amount, unsigned columns,
                      bool has_color);

/* What other live output needs to know. */
bool progress_has_terminal(void); /* standard error is one, and does more than lines */
bool progress_has_color(void);    /* NO_COLOR is not set */
void progress_terminal_size(unsigned *ret_columns, unsigned *ret_rows);
uint64_t progress_now_ms(void);

#endif
