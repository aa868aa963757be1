#ifndef MICROVM_CONSOLE_LOG_H
#define MICROVM_CONSOLE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The early messages of a guest's kernel on their way to a descriptor: in lines, and not more than
 * the host can bear. A guest that writes without end fills no disk and stops nobody but itself. */

#define CONSOLE_LOG_LINE_MAX   512
#define CONSOLE_LOG_BURST      (256U << 10) /* bytes at once */
#define CONSOLE_LOG_PER_SECOND (16U << 10)  /* bytes in the long run */

struct console_log {
    int fd; /* -1: nowhere */
    char line[CONSOLE_LOG_LINE_MAX];
    size_t length;
    uint64_t allowance; /* bytes that may be written now */
    uint64_t refilled_ns;
    uint64_t dropped;                 /* bytes since the last that were written */
    char panic[CONSOLE_LOG_LINE_MAX]; /* what the kernel said when it gave up, or "" */
};

/** @fd  borrowed; may be -1 */
void console_log_start(struct console_log *log, int fd);

/**
 * Takes one byte. At the end of a line, or when it is long, the line is written, never waiting for
 * the reader: what does not fit is dropped, and counted.
 */
void console_log_put(struct console_log *log, uint8_t byte);
/** Writes what is there of an unfinished line. */
void console_log_flush(struct console_log *log);

/**
 * Whether @length bytes may go at @now_ns, and takes them from what is allowed. Pure but for the
 * struct.
 */
bool console_log_allow(struct console_log *log, size_t length, uint64_t now_ns);

#endif
