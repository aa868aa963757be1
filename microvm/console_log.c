#include "microvm/console_log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ULL
/* kernel/panic.c prints it before the reason. */
#define PANIC_WORDS "Kernel panic - not syncing: "

void console_log_start(struct console_log *log, int fd)
{
    assert(log != NULL);
    *log = (struct console_log){ .fd = fd, .allowance = CONSOLE_LOG_BURST };
}

bool console_log_allow(struct console_log *log, size_t length, uint64_t now_ns)
{
    uint64_t passed_ns;
    uint64_t bytes;

    assert(log != NULL);

    /* After a long time everything is allowed again; before, the product below cannot wrap. */
    passed_ns = now_ns - log->refilled_ns;
    if (log->refilled_ns == 0 || passed_ns > 1000 * SECOND_NS) {
        log->allowance = CONSOLE_LOG_BURST;
        log->refilled_ns = now_ns;
    }
    bytes = (now_ns - log->refilled_ns) * CONSOLE_LOG_PER_SECOND / SECOND_NS;
    log->refilled_ns += bytes * SECOND_NS / CONSOLE_LOG_PER_SECOND;
    log->allowance += bytes;
    if (log->allowance > CONSOLE_LOG_BURST)
        log->allowance = CONSOLE_LOG_BURST;
    if (log->allowance < length)
        return false;
    log->allowance -= length;
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* False when the reader is behind. A pipe that is ready takes PIPE_BUF bytes at once (pipe(7)), so
 * this never waits, although the descriptor, which others share, is not non-blocking. */
static bool write_without_waiting(int fd, const char *bytes, size_t length)
{
    struct pollfd ready = { .fd = fd, .events = POLLOUT };

    return poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) &&
           write(fd, bytes, length) == (ssize_t)length;
}

static void remember_panic(struct console_log *log)
{
    const char *words = strstr(log->line, PANIC_WORDS);

    if (words == NULL || log->panic[0] != '\0')
        return;
    (void)snprintf(log->panic, sizeof(log->panic), "%s", words + strlen(PANIC_WORDS));
    log->panic[strcspn(log->panic, "\r\n")] = '\0';
}

static void write_line(struct console_log *log)
{
    char note[64];

    if (log->fd < 0)
        return;
    if (!console_log_allow(log, log->length, now_ns())) {
        log->dropped += log->length;
        return;
    }
    if (log->dropped != 0) {
        (void)snprintf(note, sizeof(note), "[%llu bytes dropped]\n",
                       (unsigned long long)log->dropped);
        if (!write_without_waiting(log->fd, note, strlen(note))) {
            log->dropped += log->length;
            return;
        }
        log->dropped = 0;
    }
    if (!write_without_waiting(log->fd, log->line, log->length))
        log->dropped += log->length;
}

void console_log_flush(struct console_log *log)
{
    assert(log != NULL);

    if (log->length == 0)
        return;
    log->line[log->length] = '\0';
    remember_panic(log);
    write_line(log);
    log->length = 0;
}

void console_log_put(struct console_log *log, uint8_t byte)
{
    assert(log != NULL);

    log->line[log->length++] = (char)byte;
    if (byte == '\n' || log->length == sizeof(log->line) - 1)
        console_log_flush(log);
}
