#ifndef MICROVM_PLATFORM_H
#define MICROVM_PLATFORM_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "microvm/console_log.h"
#include "microvm/machine_state.h"
#include "microvm/serial.h"

/* What answers at the guest's ports: the serial line, and the registers by which it turns itself
 * off. All virtual CPUs call it at once. */

/* What the guest asked for. */
enum platform_request {
    PLATFORM_GO_ON,
    PLATFORM_POWER_OFF,
    PLATFORM_RESET,
};

struct platform {
    pthread_mutex_t mutex;
    struct serial serial;
    struct console_log console;
    int serial_irq_fd; /* eventfd, borrowed; -1: none */
};

/** @console_fd, @serial_irq_fd  borrowed; may be -1 */
void platform_start(struct platform *platform, int console_fd, int serial_irq_fd);

/** Puts the serial line's registers, or takes them. */
void platform_save(struct platform *platform, struct state_writer *writer);
int platform_restore(struct platform *platform, struct state_reader *reader, struct error *err);
/** After a restore: raises the serial line's interrupt once more if the driver has not seen it. */
void platform_resume(struct platform *platform);

/** An `out` of @size bytes (1, 2 or 4). */
enum platform_request platform_write(struct platform *platform, uint16_t port, const uint8_t *bytes,
                                     size_t size);
/** An `in`; what nobody answers to reads as ones. */
void platform_read(struct platform *platform, uint16_t port, uint8_t *bytes, size_t size);

#endif
