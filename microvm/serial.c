#include "microvm/serial.h"

#include <assert.h>
#include <stddef.h>

/* Registers and bits as in the data sheet of the PC16550D, chapter 8. */
enum {
    REG_DATA,
    REG_INTERRUPT_ENABLE,
    REG_INTERRUPT_ID, /* written: FIFO control */
    REG_LINE_CONTROL,
    REG_MODEM_CONTROL,
    REG_LINE_STATUS,
    REG_MODEM_STATUS,
    REG_SCRATCH,
};
#define ENABLE_TRANSMITTER_EMPTY 0x02
#define ID_NONE                  0x01
#define ID_TRANSMITTER_EMPTY     0x02
#define ID_FIFO                  0xc0
#define FIFO_ENABLE              0x01
#define LINE_DIVISOR             0x80
#define MODEM_LOOP               0x10
#define STATUS_TRANSMITTER_EMPTY 0x60
#define MODEM_PRESENT            0xb0 /* carrier, ready, clear to send */

static bool has_divisor(const struct serial *serial)
{
    return (serial->line_control & LINE_DIVISOR) != 0;
}

/* In a loop the outputs come back as inputs; drivers recognise the chip by it. */
static uint8_t modem_status(const struct serial *serial)
{
    const uint8_t out = serial->modem_control;

    if (!(out & MODEM_LOOP))
        return MODEM_PRESENT;
    return (uint8_t)((out & 0x02) << 3 | (out & 0x01) << 5 | (out & 0x0c) << 4);
}

static uint8_t take_interrupt(struct serial *serial)
{
    const uint8_t fifo = serial->has_fifo ? ID_FIFO : 0;
    const uint8_t id = serial->is_interrupt_pending ? ID_TRANSMITTER_EMPTY : ID_NONE;

    serial->is_interrupt_pending = false;
    return fifo | id;
}

uint8_t serial_read(struct serial *serial, unsigned reg)
{
    assert(serial != NULL);

    switch (reg) {
    case REG_DATA:
        return has_divisor(serial) ? (uint8_t)serial->divisor : 0;
    case REG_INTERRUPT_ENABLE:
        return has_divisor(serial) ? (uint8_t)(serial->divisor >> 8) : serial->interrupt_enable;
    case REG_INTERRUPT_ID:
        return take_interrupt(serial);
    case REG_LINE_CONTROL:
        return serial->line_control;
    case REG_MODEM_CONTROL:
        return serial->modem_control;
    case REG_LINE_STATUS:
        return STATUS_TRANSMITTER_EMPTY;
    case REG_MODEM_STATUS:
        return modem_status(serial);
    default:
        return serial->scratch;
    }
}

/* The transmitter is always empty again; one interrupt is enough until the driver has looked. */
static void raise_interrupt(struct serial *serial, bool *ret_interrupt)
{
    if (!(serial->interrupt_enable & ENABLE_TRANSMITTER_EMPTY) || serial->is_interrupt_pending)
        return;
    serial->is_interrupt_pending = true;
    *ret_interrupt = true;
}

bool serial_write(struct serial *serial, unsigned reg, uint8_t value, uint8_t *ret_byte,
                  bool *ret_interrupt)
{
    assert(serial != NULL);
    assert(ret_byte != NULL);
    assert(ret_interrupt != NULL);

    switch (reg) {
    case REG_DATA:
        if (has_divisor(serial)) {
            serial->divisor = (serial->divisor & 0xff00) | value;
            return false;
        }
        raise_interrupt(serial, ret_interrupt);
        if (serial->modem_control & MODEM_LOOP)
            return false;
        *ret_byte = value;
        return true;
    case REG_INTERRUPT_ENABLE:
        if (has_divisor(serial)) {
            serial->divisor = (uint16_t)(value << 8 | (serial->divisor & 0xff));
            return false;
        }
        serial->interrupt_enable = value & 0x0f;
        if (!(value & ENABLE_TRANSMITTER_EMPTY))
            serial->is_interrupt_pending = false;
        raise_interrupt(serial, ret_interrupt);
        return false;
    case REG_INTERRUPT_ID:
        serial->has_fifo = (value & FIFO_ENABLE) != 0;
        return false;
    case REG_LINE_CONTROL:
        serial->line_control = value;
        return false;
    case REG_MODEM_CONTROL:
        serial->modem_control = value & 0x1f;
        return false;
    case REG_SCRATCH:
        serial->scratch = value;
        return false;
    default:
        return false; /* status registers are read only */
    }
}
