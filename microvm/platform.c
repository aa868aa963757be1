#include "microvm/platform.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "microvm/layout.h"

/* Of the keyboard controller: pulses the reset line (Intel 8042). */
#define KEYBOARD_RESET 0xfe
/* The sleep control register (ACPI 6.4, 4.8.3.7): type in bits 2 to 4, enable in bit 5. */
#define SLEEP_POWER_OFF (LAYOUT_SLEEP_TYPE << 2 | 1 << 5)

void platform_start(struct platform *platform, int console_fd, int serial_irq_fd)
{
    assert(platform != NULL);
    *platform = (struct platform){ .serial_irq_fd = serial_irq_fd };
    (void)pthread_mutex_init(&platform->mutex, NULL);
    console_log_start(&platform->console, console_fd);
}

/* The registers as they stand in a file. */
struct saved_serial {
    uint8_t interrupt_enable;
    uint8_t line_control;
    uint8_t modem_control;
    uint8_t scratch;
    uint16_t divisor;
    uint8_t has_fifo;
    uint8_t is_interrupt_pending;
};

void platform_save(struct platform *platform, struct state_writer *writer)
{
    const struct serial *serial = &platform->serial;
    struct saved_serial saved;

    (void)pthread_mutex_lock(&platform->mutex);
    saved = (struct saved_serial){ .interrupt_enable = serial->interrupt_enable,
                                   .line_control = serial->line_control,
                                   .modem_control = serial->modem_control,
                                   .scratch = serial->scratch,
                                   .divisor = serial->divisor,
                                   .has_fifo = serial->has_fifo,
                                   .is_interrupt_pending = serial->is_interrupt_pending };
    (void)pthread_mutex_unlock(&platform->mutex);
    state_put_mark(writer, "uart");
    state_put(writer, &saved, sizeof(saved));
}

/* All values of these registers are possible ones. */
int platform_restore(struct platform *platform, struct state_reader *reader, struct error *err)
{
    struct saved_serial saved;
    int r;

    r = state_take_mark(reader, "uart", err);
    if (r == 0)
        r = state_take(reader, &saved, sizeof(saved), err);
    if (r == 0)
        platform->serial =
            (struct serial){ .interrupt_enable = saved.interrupt_enable,
                             .line_control = saved.line_control,
                             .modem_control = saved.modem_control,
                             .scratch = saved.scratch,
                             .divisor = saved.divisor,
                             .has_fifo = saved.has_fifo != 0,
                             .is_interrupt_pending = saved.is_interrupt_pending != 0 };
    return r;
}

void platform_resume(struct platform *platform)
{
    const uint64_t one = 1;

    if (platform->serial.is_interrupt_pending && platform->serial_irq_fd >= 0)
        (void)!write(platform->serial_irq_fd, &one, sizeof(one)); /* as in write_serial() */
}

static bool is_serial(uint16_t port)
{
    return port >= LAYOUT_PORT_SERIAL && port < LAYOUT_PORT_SERIAL + SERIAL_REGISTERS;
}

static void write_serial(struct platform *platform, unsigned reg, uint8_t value)
{
    const uint64_t one = 1;
    bool is_interrupt_due = false;
    uint8_t byte;

    (void)pthread_mutex_lock(&platform->mutex);
    if (serial_write(&platform->serial, reg, value, &byte, &is_interrupt_due))
        console_log_put(&platform->console, byte);
    (void)pthread_mutex_unlock(&platform->mutex);
    /* An eventfd whose counter is full has told it already. */
    if (is_interrupt_due && platform->serial_irq_fd >= 0)
        (void)!write(platform->serial_irq_fd, &one, sizeof(one));
}

enum platform_request platform_write(struct platform *platform, uint16_t port, const uint8_t *bytes,
                                     size_t size)
{
    assert(platform != NULL);
    assert(bytes != NULL);

    if (size != 1)
        return PLATFORM_GO_ON;
    if (is_serial(port))
        write_serial(platform, port - LAYOUT_PORT_SERIAL, bytes[0]);
    else if (port == LAYOUT_PORT_SLEEP && bytes[0] == SLEEP_POWER_OFF)
        return PLATFORM_POWER_OFF;
    else if (port == LAYOUT_PORT_RESET && bytes[0] == LAYOUT_RESET_VALUE)
        return PLATFORM_RESET;
    else if (port == LAYOUT_PORT_KEYBOARD && bytes[0] == KEYBOARD_RESET)
        return PLATFORM_RESET;
    return PLATFORM_GO_ON;
}

void platform_read(struct platform *platform, uint16_t port, uint8_t *bytes, size_t size)
{
    assert(platform != NULL);
    assert(bytes != NULL);

    memset(bytes, 0xff, size);
    if (size != 1)
        return;
    if (is_serial(port)) {
        (void)pthread_mutex_lock(&platform->mutex);
        bytes[0] = serial_read(&platform->serial, port - LAYOUT_PORT_SERIAL);
        (void)pthread_mutex_unlock(&platform->mutex);
    } else if (port == LAYOUT_PORT_KEYBOARD || port == LAYOUT_PORT_SLEEP_STATUS) {
        bytes[0] = 0; /* nothing to wait for */
    }
}
