#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_format {
    LOG_PLAIN, /* for people: "berth: ..." */
    LOG_TEXT,  /* as logrus writes, so as runc: time="..." level=error msg="..." */
    LOG_JSON,
    LOG_SYSLOG,  /* for a socket of syslog(3), a datagram each */
    LOG_JOURNAL, /* for systemd's journal, systemd.journal-fields(7), a datagram each */
};
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_DEBUG };

/**
 * The log's settings, the one global of berth.
 *
 * @program   "berth"; a plain line begins with it; borrowed
 * @fd        where lines go; -1: standard error
 * @format    LOG_TEXT on a terminal is logrus' short form: ERRO[0000] ...
 */
void log_configure(const char *program, int fd, enum log_format format, bool is_debug);
/** Errors only, these and warnings, or everything; in place of is_debug. */
void log_set_level(enum log_level level);
bool log_is_debug(void);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
