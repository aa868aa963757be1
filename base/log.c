#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/text.h"

/* The settings, fixed after log_configure(). */
static struct {
    const char *program;
    int fd;
    enum log_format format;
    bool is_debug, is_quiet;
    time_t started_at; /* the first log_configure(); 0: none yet */
} settings = { .program = "berth", .fd = -1, .format = LOG_PLAIN, .is_debug = false };

enum level { LEVEL_DEBUG, LEVEL_WARNING, LEVEL_ERROR };

void log_configure(const char *program, int fd, enum log_format format, bool is_debug)
{
    settings.program = program;
    settings.fd = fd;
    settings.format = format;
    settings.is_debug = is_debug;
    settings.is_quiet = false;
    if (settings.started_at == 0)
        settings.started_at = time(NULL);
}

void log_set_level(enum log_level level)
{
    settings.is_debug = level == LOG_LEVEL_DEBUG;
    settings.is_quiet = level == LOG_LEVEL_ERROR;
}

bool log_is_debug(void)
{
    return settings.is_debug;
}

/* One event is one line, and no byte of it means anything to a terminal. */
static void add_plain(struct text *line, const char *message)
{
    while (*message != '\0') {
        const unsigned char *byte = (const unsigned char *)message;
        bool is_c1 = byte[0] == 0xc2 && byte[1] >= 0x80 && byte[1] <= 0x9f;
        size_t length = text_utf8_length(message);

        if (*byte < 0x20 || *byte == 0x7f || is_c1 || length == 0) {
            text_addf(line, "\\x%02x", *byte);
            length = 1;
        } else {
            text_add_bytes(line, message, length);
        }
        message += length;
    }
}

/* A string that Go's %q and JSON read alike. */
static void add_quoted(struct text *line, const char *message)
{
    text_add(line, "\"");
    for (const unsigned char *byte = (const unsigned char *)message; *byte != '\0'; byte++) {
        if (*byte == '"' || *byte == '\\')
            text_addf(line, "\\%c", *byte);
        else if (*byte == '\n')
            text_add(line, "\\n");
        else if (*byte == '\t')
            text_add(line, "\\t");
        else if (*byte < 0x20 || *byte == 0x7f)
            text_addf(line, "\\u%04x", *byte);
        else
            text_add_bytes(line, byte, 1);
    }
    text_add(line, "\"");
}

static void format_for_people(struct text *line, enum level level, const char *message)
{
    static const char *const marks[] = { "debug: ", "warning: ", "" };

    text_addf(line, "%s: %s", settings.program, marks[level]);
    add_plain(line, message);
}

/* As logrus writes on a terminal: with the seconds since the program began. */
static void format_for_terminal(struct text *line, enum level level, const char *message)
{
    static const char *const names[] = { "DEBU", "WARN", "ERRO" };

    text_addf(line, "%s[%04lld] ", names[level], (long long)(time(NULL) - settings.started_at));
    add_plain(line, message);
}

/* As logrus writes, which is what callers of runc parse. */
static void format_for_programs(struct text *line, enum level level, const char *message)
{
    static const char *const names[] = { "debug", "warning", "error" };
    auto_free char *now = text_format_time(time(NULL), 0);

    if (settings.format == LOG_JSON) {
        text_addf(line, "{\"level\":\"%s\",\"msg\":", names[level]);
        add_quoted(line, message);
        text_addf(line, ",\"time\":\"%s\"}", now);
    } else {
        text_addf(line, "time=\"%s\" level=%s msg=", now, names[level]);
        add_quoted(line, message);
    }
}

/* A service that writes the time itself and knows the process by its credentials. */
static void format_for_service(struct text *line, enum level level, const char *message)
{
    static const int priorities[] = { 7, 4, 3 }; /* syslog(3): debug, warning, error */
    const int facility_daemon = 3 << 3;

    if (settings.format == LOG_JOURNAL)
        text_addf(line, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=", priorities[level],
                  settings.program);
    else
        text_addf(line, "<%d>%s: ", facility_daemon | priorities[level], settings.program);
    add_plain(line, message);
}

static void write_line(enum level level, const char *format, va_list arguments)
{
    int saved = errno;
    auto_free char *message = xvasprintf(format, arguments);
    AUTO_CLEAR(text) struct text line = { 0 };
    ssize_t written;

    if (settings.format == LOG_PLAIN)
        format_for_people(&line, level, message);
    else if (settings.format == LOG_SYSLOG || settings.format == LOG_JOURNAL)
        format_for_service(&line, level, message);
    else if (settings.format == LOG_TEXT && settings.fd < 0 && isatty(STDERR_FILENO))
        format_for_terminal(&line, level, message);
    else
        format_for_programs(&line, level, message);
    text_add(&line, "\n");
    /* One write(2), so that the lines of several processes do not mix. */
    written = write(settings.fd < 0 ? STDERR_FILENO : settings.fd, line.data, line.length);
    (void)written; /* there is no place left to complain */
    errno = saved;
}

void log_debug(const char *format, ...)
{
    va_list arguments;

    if (!settings.is_debug)
        return;
    va_start(arguments, format);
    write_line(LEVEL_DEBUG, format, arguments);
    va_end(arguments);
}

void log_warning(const char *format, ...)
{
    va_list arguments;

    if (settings.is_quiet)
        return;
    va_start(arguments, format);
    write_line(LEVEL_WARNING, format, arguments);
    va_end(arguments);
}

void log_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_line(LEVEL_ERROR, format, arguments);
    va_end(arguments);
}
