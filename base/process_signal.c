/* The signals of base/process.h: names and numbers. */
#include "base/process.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"

#define SIGNAL_MAX 64

/* The kernel's number (signal(7)). The C library keeps two of them to itself, and its SIGRTMIN is
 * 34 as in other runtimes. */
#define REALTIME_MIN 34

#define NAMED(number_, name_) [number_] = "SIG" name_

static const char *const signal_names[SIGNAL_MAX + 1] = {
    NAMED(SIGHUP, "HUP"),       NAMED(SIGINT, "INT"),       NAMED(SIGQUIT, "QUIT"),
    NAMED(SIGILL, "ILL"),       NAMED(SIGTRAP, "TRAP"),     NAMED(SIGABRT, "ABRT"),
    NAMED(SIGBUS, "BUS"),       NAMED(SIGFPE, "FPE"),       NAMED(SIGKILL, "KILL"),
    NAMED(SIGUSR1, "USR1"),     NAMED(SIGSEGV, "SEGV"),     NAMED(SIGUSR2, "USR2"),
    NAMED(SIGPIPE, "PIPE"),     NAMED(SIGALRM, "ALRM"),     NAMED(SIGTERM, "TERM"),
    NAMED(SIGSTKFLT, "STKFLT"), NAMED(SIGCHLD, "CHLD"),     NAMED(SIGCONT, "CONT"),
    NAMED(SIGSTOP, "STOP"),     NAMED(SIGTSTP, "TSTP"),     NAMED(SIGTTIN, "TTIN"),
    NAMED(SIGTTOU, "TTOU"),     NAMED(SIGURG, "URG"),       NAMED(SIGXCPU, "XCPU"),
    NAMED(SIGXFSZ, "XFSZ"),     NAMED(SIGVTALRM, "VTALRM"), NAMED(SIGPROF, "PROF"),
    NAMED(SIGWINCH, "WINCH"),   NAMED(SIGIO, "IO"),         NAMED(SIGPWR, "PWR"),
    NAMED(SIGSYS, "SYS"),       NAMED(34, "RTMIN"),         NAMED(35, "RTMIN+1"),
    NAMED(36, "RTMIN+2"),       NAMED(37, "RTMIN+3"),       NAMED(38, "RTMIN+4"),
    NAMED(39, "RTMIN+5"),       NAMED(40, "RTMIN+6"),       NAMED(41, "RTMIN+7"),
    NAMED(42, "RTMIN+8"),       NAMED(43, "RTMIN+9"),       NAMED(44, "RTMIN+10"),
    NAMED(45, "RTMIN+11"),      NAMED(46, "RTMIN+12"),      NAMED(47, "RTMIN+13"),
    NAMED(48, "RTMIN+14"),      NAMED(49, "RTMIN+15"),      NAMED(50, "RTMAX-14"),
    NAMED(51, "RTMAX-13"),      NAMED(52, "RTMAX-12"),      NAMED(53, "RTMAX-11"),
    NAMED(54, "RTMAX-10"),      NAMED(55, "RTMAX-9"),       NAMED(56, "RTMAX-8"),
    NAMED(57, "RTMAX-7"),       NAMED(58, "RTMAX-6"),       NAMED(59, "RTMAX-5"),
    NAMED(60, "RTMAX-4"),       NAMED(61, "RTMAX-3"),       NAMED(62, "RTMAX-2"),
    NAMED(63, "RTMAX-1"),       NAMED(64, "RTMAX"),
};

/* Second names of the same numbers. */
static const struct {
    const char *name;
    int number;
} signal_aliases[] = { { "IOT", SIGABRT }, { "CLD", SIGCHLD }, { "POLL", SIGIO } };

const char *process_signal_name(int signal)
{
    return signal > 0 && signal <= SIGNAL_MAX ? signal_names[signal] : NULL;
}

/* "RTMIN+20" and "RTMAX-20" name numbers whose usual name is the other one. */
static int parse_realtime(const char *name)
{
    bool is_min = strncasecmp(name, "RTMIN+", 6) == 0;
    uint64_t distance;

    if (!is_min && strncasecmp(name, "RTMAX-", 6) != 0)
        return 0;
    if (text_parse_u64(name + 6, "distance", SIGNAL_MAX - REALTIME_MIN, &distance, NULL) < 0)
        return 0;
    return is_min ? REALTIME_MIN + (int)distance : SIGNAL_MAX - (int)distance;
}

static int find_signal(const char *text)
{
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    uint64_t number;

    if (text_parse_u64(text, "signal", SIGNAL_MAX, &number, NULL) == 0)
        return (int)number;
    for (int i = 1; i <= SIGNAL_MAX; i++) {
        if (signal_names[i] != NULL && strcasecmp(signal_names[i] + 3, name) == 0)
            return i;
    }
    for (size_t i = 0; i < ARRAY_SIZE(signal_aliases); i++) {
        if (strcasecmp(signal_aliases[i].name, name) == 0)
            return signal_aliases[i].number;
    }
    return parse_realtime(name);
}

int process_parse_signal(const char *text, int *ret_signal, struct error *err)
{
    int number;

    assert(text != NULL);
    assert(ret_signal != NULL);

    number = find_signal(text);
    if (number == 0)
        return error_set(err, EINVAL,
                         "'%.200s' is not a signal: a name such as TERM or a number from 1 to %d",
                         text, SIGNAL_MAX);
    *ret_signal = number;
    return 0;
}
