/* The formatting half of base/text.h: sizes, spans and times as docker shows them to people. */
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* As docker's units.CustomSize: the value is divided until it is below @base. */
static char *format_units(uint64_t bytes, double base, int digits, const char *const *units)
{
    double value = (double)bytes;
    size_t unit = 0;
    char number[32];

    while (value >= base && units[unit + 1] != NULL) {
        value /= base;
        unit++;
    }
    (void)snprintf(number, sizeof(number), "%.*g", digits, value);
    /* 999.9 with three digits is 1e+03, which nobody reads; it is 1 of the next unit. */
    if (strchr(number, 'e') != NULL && units[unit + 1] != NULL) {
        (void)snprintf(number, sizeof(number), "%.*g", digits, value / base);
        unit++;
    }
    return xasprintf("%s%s", number, units[unit]);
}

char *text_format_size(uint64_t bytes)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB", NULL };

    return format_units(bytes, 1000, 3, units);
}

char *text_format_size_binary(uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", NULL };

    return format_units(bytes, 1024, 4, units);
}

char *text_format_age(uint64_t seconds)
{
    uint64_t minutes = seconds / 60;
    uint64_t hours = seconds / 3600 + (seconds % 3600 >= 1800 ? 1 : 0);

    if (seconds < 1)
        return xstrdup("Less than a second");
    if (seconds == 1)
        return xstrdup("1 second");
    if (seconds < 60)
        return xasprintf("%" PRIu64 " seconds", seconds);
    if (minutes == 1)
        return xstrdup("About a minute");
    if (minutes < 60)
        return xasprintf("%" PRIu64 " minutes", minutes);
    if (hours == 1)
        return xstrdup("About an hour");
    if (hours < 48)
        return xasprintf("%" PRIu64 " hours", hours);
    if (hours < 24 * 7 * 2)
        return xasprintf("%" PRIu64 " days", hours / 24);
    if (hours < 24 * 30 * 2)
        return xasprintf("%" PRIu64 " weeks", hours / 24 / 7);
    if (hours < 24 * 365 * 2)
        return xasprintf("%" PRIu64 " months", hours / 24 / 30);
    return xasprintf("%" PRIu64 " years", seconds / 3600 / 24 / 365);
}

/* The inverse of counting days from 1970-01-01; gmtime_r(3) reads the machine's time zone first. */
static void split_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    int64_t shifted = days + 719468; /* from 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned day_of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * day_of_year + 2) / 153; /* from March */

    *ret_day = day_of_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = (int64_t)year_of_era + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

char *text_format_time(int64_t seconds, uint32_t nanoseconds)
{
    int64_t days = seconds / 86400;
    int64_t second = seconds % 86400;
    int64_t year;
    unsigned month;
    unsigned day;
    char fraction[16] = "";

    if (second < 0) {
        second += 86400;
        days--;
    }
    split_days(days, &year, &month, &day);
    if (nanoseconds > 0) {
        size_t length =
            (size_t)snprintf(fraction, sizeof(fraction), ".%09" PRIu32, nanoseconds % 1000000000);

        while (fraction[length - 1] == '0')
            fraction[--length] = '\0';
    }
    return xasprintf("%04" PRId64 "-%02u-%02uT%02u:%02u:%02u%sZ", year, month, day,
                     (unsigned)(second / 3600), (unsigned)(second / 60 % 60),
                     (unsigned)(second % 60), fraction);
}
