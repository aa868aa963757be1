#ifndef ENGINE_MONITOR_LOG_H
#define ENGINE_MONITOR_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/text.h"

/* The log as docker's json-file driver writes it: one object a line,
 * {"log":"...\n","stream":"stdout", "time":"..."}. Lines longer than 16 KiB are split, the parts
 * end without \n. Files: log (newest), log.1, log.2... The first one is made when there is
 * something to write. */

#define LOG_LINE_MAX 16384
#define LOG_FILE     "log"

enum log_stream { LOG_STDOUT, LOG_STDERR };

struct monitor_log;

/**
 * @dir_fd     directory of the files; borrowed for the log's life
 * @max_bytes  a file that reached this size is rotated; 0: never
 * @max_files  at least 1: with one file, it is emptied
 */
struct monitor_log *monitor_log_open(int dir_fd, uint64_t max_bytes, unsigned max_files);
/** Writes what is left of lines without an end. */
void monitor_log_free(struct monitor_log *log);
DEFINE_AUTO(monitor_log)

/** Adds output that came at @now; lines that end are written at once. */
int monitor_log_add(struct monitor_log *log, enum log_stream stream, const char *bytes,
                    size_t length, const struct timespec *now, struct error *err);
/** Writes lines without an end, as at the end of a stream. */
int monitor_log_flush(struct monitor_log *log, const struct timespec *now, struct error *err);

/** Reads docker's options max-size ("10m") and max-file ("3") from a container's settings. */
int monitor_log_options(const struct string_map *options, uint64_t *ret_max_bytes,
                        unsigned *ret_max_files, struct error *err);

/** Adds one line of the file for @length bytes of output. @time: RFC 3339. Pure. */
void monitor_log_format(struct text *text, const char *bytes, size_t length, enum log_stream stream,
                        const char *time);

#endif
