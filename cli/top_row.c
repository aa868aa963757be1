#include "cli/top_row.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/auto.h"
#include "cli/show.h"

int top_process_parse(const char *stat, struct top_process *ret_process, struct error *err)
{
    struct top_process process = { 0 };
    const char *open = strchr(stat, '(');
    const char *close = strrchr(stat, ')');
    uint64_t user_ticks = 0, system_ticks = 0;
    int count;

    if (open == NULL || close == NULL || close < open)
        return error_set(err, EINVAL, "read a process: no name in its status");
    (void)snprintf(process.command, sizeof(process.command), "%.*s", (int)(close - open - 1),
                   open + 1);
    process.pid = (uint32_t)strtoul(stat, NULL, 10);
    /* state ppid pgrp session tty_nr tpgid flags minflt cminflt majflt cmajflt utime stime cutime
     * cstime priority nice num_threads itrealvalue starttime */
    count = sscanf(close + 1,
                   " %*c %" SCNu32 " %*d %*d %d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                   " %*d %*d %*d %*d %*d %*d %" SCNu64,
                   &process.parent_pid, &process.terminal, &user_ticks, &system_ticks,
                   &process.start_ticks);
    if (count != 5)
        return error_set(err, EINVAL, "read process %" PRIu32 ": its status is cut", process.pid);
    process.cpu_ticks = user_ticks + system_ticks;
    *ret_process = process;
    return 0;
}

char *top_format_terminal(int device)
{
    unsigned number = minor((dev_t)(unsigned)device);

    /* Numbers of the kernel: 136 to 143 are pseudo terminals, 4 consoles (then serial lines). */
    if (major((dev_t)(unsigned)device) >= 136 && major((dev_t)(unsigned)device) <= 143)
        return xasprintf("pts/%u", (major((dev_t)(unsigned)device) - 136) * 256 + number);
    if (major((dev_t)(unsigned)device) == 4)
        return number < 64 ? xasprintf("tty%u", number) : xasprintf("ttyS%u", number - 64);
    return xstrdup("?");
}

/* "15:04", or "Jan02" when it began more than a day ago. */
static char *format_start(int64_t start, int64_t now)
{
    time_t when = (time_t)start;
    char text[32] = "?";
    struct tm parts;

    if (localtime_r(&when, &parts) != NULL)
        (void)strftime(text, sizeof(text), now - start < 86400 ? "%H:%M" : "%b%d", &parts);
    return xstrdup(text);
}

char *top_format_row(const struct top_process *process, const struct top_clock *clock,
                     const char *user, const char *arguments)
{
    uint64_t ticks = clock->ticks > 0 ? clock->ticks : 100;
    int64_t start = clock->boot + (int64_t)(process->start_ticks / ticks);
    uint64_t seconds = process->cpu_ticks / ticks;
    int64_t age = clock->now > start ? clock->now - start : 1;
    auto_free char *terminal = top_format_terminal(process->terminal);
    auto_free char *began = format_start(start, clock->now);
    auto_free char *text =
        text_is_empty(arguments) ? xasprintf("[%s]", process->command) : xstrdup(arguments);
    auto_free char *command = show_printable(text); /* both are the container's choice */

    return xasprintf("%s\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu64 "\t%s\t%s\t%02" PRIu64 ":%02" PRIu64
                     ":%02" PRIu64 "\t%s\n",
                     user, process->pid, process->parent_pid, seconds * 100 / (uint64_t)age, began,
                     terminal, seconds / 3600, seconds / 60 % 60, seconds % 60, command);
}
