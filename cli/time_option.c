#include "cli/time_option.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/text.h"

#define NANO 1000000000

/* "1h30m", "1.5s", "100ms". False: it is no span. */
static bool parse_span(const char *text, uint64_t *ret_nano)
{
    static const struct {
        const char *word;
        uint64_t nano;
    } units[] = {
        { "ns", 1 },   { "us", 1000 },        { "µs", 1000 },          { "ms", 1000000 },
        { "s", NANO }, { "m", 60ull * NANO }, { "h", 3600ull * NANO },
    };
    uint64_t sum = 0;

    if (*text == '\0')
        return false;
    while (*text != '\0') {
        size_t digits = strspn(text, "0123456789.");
        const char *word = text + digits;
        size_t length = strcspn(word, "0123456789.");
        uint64_t count = 0, nano = 0;
        auto_free char *number = xstrndup(text, digits);

        if (digits == 0 || text_parse_nano(number, "", &count, NULL) < 0)
            return false;
        for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
            if (strlen(units[i].word) == length && strncmp(units[i].word, word, length) == 0)
                nano = units[i].nano;
        }
        if (nano == 0)
            return false;
        /* Both factors are below 2^64: a product in 128 bits cannot overflow. */
        sum += (uint64_t)((unsigned __int128)count * nano / NANO);
        text = word + length;
    }
    *ret_nano = sum;
    return true;
}

/* "1136073600" or "1136073600.000000001" */
static bool parse_seconds(const char *text, struct timespec *ret_time)
{
    uint64_t seconds = 0, nano = 0;
    size_t digits = strspn(text, "0123456789");
    auto_free char *whole = xstrndup(text, digits);
    auto_free char *fraction = xasprintf("0%s", text + digits);

    if (text_parse_u64(whole, "", INT64_MAX, &seconds, NULL) < 0)
        return false;
    if (text[digits] != '\0' &&
        (text[digits] != '.' || text_parse_nano(fraction, "", &nano, NULL) < 0))
        return false;
    *ret_time = (struct timespec){ (time_t)seconds, (long)nano };
    return true;
}

/* Dates may be cut: what is missing is zero, and the zone is UTC. */
static bool parse_date(const char *text, struct timespec *ret_time)
{
    static const char whole[] = "0000-00-00T00:00:00Z";
    static const size_t cuts[] = { 10, 13, 16, 19 };
    size_t length = strlen(text);
    auto_free char *padded = xstrdup(text);
    int64_t seconds = 0;
    uint32_t nano = 0;

    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        if (length == cuts[i]) {
            free(padded);
            padded = xasprintf("%s%s", text, whole + length);
        }
    }
    if (text_parse_time(padded, &seconds, &nano, NULL) < 0)
        return false;
    *ret_time = (struct timespec){ (time_t)seconds, (long)nano };
    return true;
}

int time_option_parse(const char *text, const char *option, const struct timespec *now,
                      struct timespec *ret_time, struct error *err)
{
    uint64_t span = 0;

    if (parse_seconds(text, ret_time) || parse_date(text, ret_time))
        return 0;
    if (parse_span(text, &span)) {
        int64_t nano = now->tv_nsec - (int64_t)(span % NANO);

        ret_time->tv_sec = now->tv_sec - (time_t)(span / NANO) - (nano < 0);
        ret_time->tv_nsec = (long)(nano < 0 ? nano + NANO : nano);
        return 0;
    }
    return error_set(
        err, EINVAL,
        "%s '%s': give a date such as 2026-01-02T15:04:05Z, seconds since 1970, or how "
        "long ago, as 42m",
        option, text);
}

int time_option_parse_span(const char *text, const char *option, uint64_t *ret_nano,
                           struct error *err)
{
    if (strcmp(text, "0") == 0) {
        *ret_nano = 0;
        return 0;
    }
    if (!parse_span(text, ret_nano))
        return error_set(err, EINVAL, "%s '%s': is not a time such as 5s, 100ms or 1m30s", option,
                         text);
    return 0;
}
