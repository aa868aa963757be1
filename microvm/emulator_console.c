#include "microvm/emulator_console.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "microvm/vmm_sandbox.h"

/* Printed at the level of emergencies, so whatever the log level is: by kernel_restart()
 * (kernel/reboot.c), and by the key b of sysrq (drivers/tty/sysrq.c). */
static const char *const reset_words[] = { "reboot: Restarting system", "sysrq: Resetting" };

#define READ_SIZE 4096

int emulator_console_open(struct emulator_console *console, int fd, int *ret_write_fd,
                          struct error *err)
{
    int fds[2];

    assert(ret_write_fd != NULL);

    *console = (struct emulator_console){ .read_fd = -1, .log.fd = -1 };
    if (fd >= 0) {
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return error_errno(err, "duplicate the console's descriptor");
    }
    console_log_start(&console->log, fd);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe for the guest's console");
    console->read_fd = fds[0];
    *ret_write_fd = fds[1];
    return 0;
}

/* Before the byte that ends the line, with which the log's copy is gone. */
static void look_for_reset(struct emulator_console *console)
{
    struct console_log *log = &console->log;

    log->line[log->length] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(reset_words); i++)
        console->was_reset = console->was_reset || strstr(log->line, reset_words[i]) != NULL;
}

void emulator_console_put(struct emulator_console *console, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n')
            look_for_reset(console);
        console_log_put(&console->log, (uint8_t)bytes[i]);
    }
}

static void *console_thread(void *context)
{
    struct emulator_console *console = context;
    char bytes[READ_SIZE];
    ssize_t length;

    /* Without its filter it must not read: then QEMU stands still, and the machine with it. */
    if (!console->is_unconfined && vmm_sandbox_filter(VMM_THREAD_DEVICES, NULL) < 0)
        return NULL;
    while ((length = read(console->read_fd, bytes, sizeof(bytes))) > 0 ||
           (length < 0 && errno == EINTR)) {
        if (length > 0)
            emulator_console_put(console, bytes, (size_t)length);
    }
    look_for_reset(console);
    console_log_flush(&console->log);
    return NULL;
}

int emulator_console_start(struct emulator_console *console, bool is_unconfined, struct error *err)
{
    int r;

    console->is_unconfined = is_unconfined;
    r = pthread_create(&console->thread, NULL, console_thread, console);
    if (r != 0)
        return error_set(err, r, "start the console's thread: %s", strerror(r));
    console->has_thread = true;
    return 0;
}

static void join(struct emulator_console *console)
{
    if (console->has_thread)
        (void)pthread_join(console->thread, NULL); /* fails for no thread of ours */
    console->has_thread = false;
}

enum machine_end emulator_console_finish(struct emulator_console *console, struct error *err)
{
    join(console);
    if (console->log.panic[0] != '\0') {
        (void)error_set(err, EIO, "the guest's kernel gave up: %s", console->log.panic);
        return MACHINE_PANIC;
    }
    return console->was_reset ? MACHINE_RESET : MACHINE_POWER_OFF;
}

void emulator_console_close(struct emulator_console *console)
{
    join(console);
    auto_close_cleanup(&console->read_fd);
    auto_close_cleanup(&console->log.fd);
    console->read_fd = console->log.fd = -1;
}
