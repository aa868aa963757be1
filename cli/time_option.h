#ifndef CLI_TIME_OPTION_H
#define CLI_TIME_OPTION_H

#include <stdint.h>
#include <time.h>

#include "base/error.h"

/**
 * Parses what --since and --until take: a date ("2026-01-02", "2026-01-02T15:04:05Z"), seconds
 * since 1970 with an optional fraction, or how long ago ("42m", "1h30m", "1.5s").
 */
int time_option_parse(const char *text, const char *option, const struct timespec *now,
                      struct timespec *ret_time, struct error *err);

/** Parses a span as Go writes it: "5s", "100ms", "1h30m", "1.5s". */
int time_option_parse_span(const char *text, const char *option, uint64_t *ret_nano,
                           struct error *err);

#endif
