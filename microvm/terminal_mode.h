#ifndef MICROVM_TERMINAL_MODE_H
#define MICROVM_TERMINAL_MODE_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

/* A terminal whose bytes all belong to another one, in a guest. */
struct terminal_mode {
    bool is_raw; /* it was changed */
    struct termios before;
};

/** Makes @fd raw; does nothing when it is no terminal. */
void terminal_mode_set_raw(struct terminal_mode *mode, int fd);
void terminal_mode_restore(const struct terminal_mode *mode, int fd);
/** False: no terminal, or it has no size. */
bool terminal_mode_size(int fd, uint32_t *ret_rows, uint32_t *ret_columns);

#endif
