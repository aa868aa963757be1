#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_format { LOG_TEXT, LOG_JSON }; /* as runc and logrus write them */

/**
 * The log's settings, the one global of berth.
 *
 * @program   "berth"; a text on a terminal begins with it
 * @fd        where lines go; -1: standard error
 * @format    LOG_TEXT to standard error is for people: "berth: ..."; into a file: logrus' text form
 */
void log_configure(const char *program, int fd, enum log_format format, bool is_debug);
bool log_is_debug(void);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
