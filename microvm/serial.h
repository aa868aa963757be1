#ifndef MICROVM_SERIAL_H
#define MICROVM_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/* A 16550A without input: what a kernel writes its early messages to. No system calls. */

#define SERIAL_REGISTERS 8

struct serial {
    uint8_t interrupt_enable;
    uint8_t line_control;
    uint8_t modem_control;
    uint8_t scratch;
    uint16_t divisor;
    bool has_fifo;
    bool is_interrupt_pending; /* "transmitter empty", not yet seen by the driver */
};

/** Reads a register, 0 to 7. */
uint8_t serial_read(struct serial *serial, unsigned reg);

/**
 * Writes a register.
 *
 * @ret_byte       what was sent, when the result is true
 * @ret_interrupt  set to true when an interrupt is due now, else left alone
 *
 * Returns whether a byte was sent.
 */
bool serial_write(struct serial *serial, unsigned reg, uint8_t value, uint8_t *ret_byte,
                  bool *ret_interrupt);

#endif
