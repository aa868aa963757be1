#ifndef CLI_TOP_ROW_H
#define CLI_TOP_ROW_H

#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

/* One row of `top`: what ps(1) prints with -ef, without running it; pure. */

/* What is said about time on this machine. */
struct top_clock {
    int64_t now;    /* seconds since 1970 */
    int64_t boot;   /* seconds since 1970 */
    uint64_t ticks; /* a second */
};

/* A process, from /proc/PID/stat (proc(5)). */
struct top_process {
    char command[64]; /* name in parentheses, cut by the kernel to 15 bytes (kernel threads: longer)
                       */
    uint32_t pid, parent_pid;
    int terminal; /* device number; 0: none */
    uint64_t cpu_ticks;
    uint64_t start_ticks;
};

/** Reads one line of /proc/PID/stat; a command may hold spaces and parentheses. -EINVAL. */
int top_process_parse(const char *stat, struct top_process *ret_process, struct error *err);

/** "pts/0", "tty1", "?" Caller frees. */
char *top_format_terminal(int device);

/**
 * Cells of one line, separated by tabs and ended by a newline.
 *
 * @user       owner's name
 * @arguments  NULL or "": the name in brackets, as ps shows kernel threads and zombies
 */
char *top_format_row(const struct top_process *process, const struct top_clock *clock,
                     const char *user, const char *arguments);

#endif
