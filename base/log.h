#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_format {
    LOG_PLAIN, /* for people: "berth: ..." */
    LOG_TEXT,  /* as logrus writes, so as runc: time="..." level=error msg="..." */
    LOG_JSON,
};

/**
 * The log's settings, the one global of berth.
 *
 * @program   "berth"; a plain line begins with it
 * @fd        where lines go; -1: standard error
 * @format    LOG_TEXT on a terminal is logrus' short form: ERRO[0000] ...
 */
void log_configure(const char *program, int fd, enum log_format format, bool is_debug);
bool log_is_debug(void);
int log_fd(void); /* as configured; borrowed */

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
