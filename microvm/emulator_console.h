#ifndef MICROVM_EMULATOR_CONSOLE_H
#define MICROVM_EMULATOR_CONSOLE_H

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "microvm/console_log.h"
#include "microvm/machine.h"

/* What the kernel of an emulated machine says on its serial line. QEMU itself would write it
 * without a limit, and wait for a reader that does not read; so it writes into a pipe, from which a
 * thread takes it. The last words tell how the machine ended, which QEMU's exit status does not. */

struct emulator_console {
    int read_fd;
    pthread_t thread;
    bool has_thread;
    bool is_unconfined;
    struct console_log log; /* the thread's, until it has ended */
    bool was_reset;         /* the kernel said that it resets the machine */
};

/**
 * Makes the pipe.
 *
 * @fd            where messages go; is duplicated; may be -1
 * @ret_write_fd  for QEMU; to be closed here when QEMU has it
 */
int emulator_console_open(struct emulator_console *console, int fd, int *ret_write_fd,
                          struct error *err);

/** Starts the thread, with the rights that the caller has now. */
int emulator_console_start(struct emulator_console *console, bool is_unconfined, struct error *err);

/** Waits for the last words: QEMU must have ended. How the guest ended by them; for a panic @err
 * says why. */
enum machine_end emulator_console_finish(struct emulator_console *console, struct error *err);

/** QEMU must have ended, or never have started. */
void emulator_console_close(struct emulator_console *console);

/** Takes what the kernel wrote; the thread's part, without system calls but for the log's. */
void emulator_console_put(struct emulator_console *console, const char *bytes, size_t length);

#endif
