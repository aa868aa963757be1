#ifndef ENGINE_LOG_LINE_H
#define ENGINE_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/monitor_log.h"

/* One line of a log file, read back. */
struct log_line {
    enum log_stream stream;
    int64_t seconds; /* since 1970 */
    uint32_t nanoseconds;
    const char *time; /* as in the file; borrowed from the line, ends with a zero byte */
    char *bytes;      /* the output, in place of the line's own bytes */
    size_t length;
};

/**
 * Parses a line that monitor_log.c wrote, without its newline; overwrites @text, which ends with a
 * zero byte and must live as long as the result.
 *
 * Returns 0, or -EINVAL for what is no such line (a file that was cut by a crash).
 */
int log_line_parse(char *text, size_t length, struct log_line *ret_line);

#endif
