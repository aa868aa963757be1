#ifndef ENGINE_LOCAL_TERMINAL_H
#define ENGINE_LOCAL_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "base/error.h"

/* The terminal and the signals of a command while it stands between a user and a container. */

struct local_terminal {
    struct termios saved;
    bool is_raw;
};

/** Switches standard input to raw mode, if it is a terminal; every key goes to the container then.
 */
int local_terminal_make_raw(struct local_terminal *terminal, struct error *err);
/** Undoes it; nothing where it was not done. */
void local_terminal_restore(struct local_terminal *terminal);
/** Size of the terminal on standard input or output; -ENOTTY: neither is one. */
int local_terminal_size(uint16_t *ret_rows, uint16_t *ret_columns);

/**
 * A signalfd for what a command passes on.
 *
 * @forwards  all signals that can be caught, but for those that a shell's job control, SIGCHLD and
 *            SIGPIPE need; else only what has to be handled: SIGWINCH, SIGCHLD, and those that end
 * the command while its terminal is raw
 */
int local_signals_open(bool forwards, bool has_terminal, int *ret_fd, struct error *err);

#endif
