/* The parsing half of base/text.h: whole strings become numbers, sizes and times, or an error. */
#include "base/text.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NANO_DIGITS 9

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Reads digits at *text into *value and moves *text behind them; false: none, or above @max. */
static bool take_digits(const char **text, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;

    if (!is_digit(**text))
        return false;
    for (; is_digit(**text); (*text)++) {
        uint64_t digit = (uint64_t)(**text - '0');

        if (sum > (max - digit) / 10 || digit > max)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

int text_parse_u64(const char *text, const char *what, uint64_t max, uint64_t *ret_value,
                   struct error *err)
{
    const char *rest = text;
    uint64_t value;

    if (!take_digits(&rest, max, &value) || *rest != '\0')
        return error_set(err, EINVAL, "%s: '%.200s' is not a number from 0 to %" PRIu64, what, text,
                         max);
    *ret_value = value;
    return 0;
}

int text_parse_i64(const char *text, const char *what, int64_t min, int64_t max, int64_t *ret_value,
                   struct error *err)
{
    bool is_negative = text[0] == '-';
    const char *rest = text + (is_negative ? 1 : 0);
    uint64_t magnitude;
    int64_t value = 0;
    bool is_valid;

    assert(min <= max);

    is_valid = take_digits(&rest, is_negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX, &magnitude) &&
               *rest == '\0';
    if (is_valid)
        value = is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (!is_valid || value < min || value > max)
        return error_set(err, EINVAL, "%s: '%.200s' is not a number from %" PRId64 " to %" PRId64,
                         what, text, min, max);
    *ret_value = value;
    return 0;
}

/*
 * Reads "12", "1.5", ".5" or "2." in units of 1 / 10^9 below the point, exactly; digits behind the
 * ninth are counted in *is_cut when they are not zero.
 */
static bool take_decimal(const char **text, uint64_t *whole, uint64_t *nano, bool *is_cut)
{
    bool has_digits = is_digit(**text);
    uint64_t place = 100000000;

    *whole = 0;
    *nano = 0;
    *is_cut = false;
    if (has_digits && !take_digits(text, UINT64_MAX, whole))
        return false;
    if (**text == '.') {
        (*text)++;
        has_digits |= is_digit(**text);
        for (; is_digit(**text); (*text)++) {
            uint64_t digit = (uint64_t)(**text - '0');

            *is_cut |= place == 0 && digit > 0;
            *nano += digit * place;
            place /= 10;
        }
    }
    return has_digits;
}

/* The unit's multiplier for what is behind the number: "", "b", "m", "MB", "Mib"; 0: no unit. */
static uint64_t find_unit(const char *suffix)
{
    static const char units[] = "kmgtp";
    const char *unit;

    if (suffix[0] == '\0' || (lower(suffix[0]) == 'b' && suffix[1] == '\0'))
        return 1;
    unit = strchr(units, lower(suffix[0]));
    if (unit == NULL)
        return 0;
    suffix++;
    if (lower(suffix[0]) == 'i' && lower(suffix[1]) == 'b')
        suffix++;
    if (lower(suffix[0]) == 'b')
        suffix++;
    return suffix[0] == '\0' ? UINT64_C(1024) << (10 * (unit - units)) : 0;
}

int text_parse_bytes(const char *text, const char *what, uint64_t *ret_bytes, struct error *err)
{
    const char *rest = text;
    uint64_t whole;
    uint64_t nano;
    uint64_t unit = 0;
    bool is_cut;

    if (take_decimal(&rest, &whole, &nano, &is_cut)) {
        if (*rest == ' ' && rest[1] != '\0')
            rest++; /* docker takes one space: "512 m" */
        unit = find_unit(rest);
    }
    if (unit == 0)
        return error_set(err, EINVAL, "%s: '%.200s' is not a size such as 512m or 1.5g", what,
                         text);
    if (whole > INT64_MAX / unit - 1)
        return error_set(err, EINVAL, "%s: '%.200s' is too large", what, text);
    /* unit / 1024 * nano stays below 2^40 * 10^9, so the fraction needs 128 bits in between. */
    *ret_bytes = whole * unit + (uint64_t)((unsigned __int128)unit * nano / 1000000000);
    return 0;
}

int text_parse_nano(const char *text, const char *what, uint64_t *ret_nano, struct error *err)
{
    const char *rest = text;
    uint64_t whole;
    uint64_t nano;
    bool is_cut;

    if (!take_decimal(&rest, &whole, &nano, &is_cut) || *rest != '\0')
        return error_set(err, EINVAL, "%s: '%.200s' is not a number such as 2 or 0.5", what, text);
    if (is_cut)
        return error_set(err, EINVAL, "%s: '%.200s' has more than %d digits after the point", what,
                         text, NANO_DIGITS);
    if (whole > INT64_MAX / 1000000000 - 1)
        return error_set(err, EINVAL, "%s: '%.200s' is too large", what, text);
    *ret_nano = whole * 1000000000 + nano;
    return 0;
}

int text_parse_bool(const char *text, const char *what, bool *ret_value, struct error *err)
{
    static const char *const words[] = { "1", "t", "T", "TRUE",  "true",  "True",
                                         "0", "f", "F", "FALSE", "false", "False" };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_value = i < ARRAY_SIZE(words) / 2;
            return 0;
        }
    }
    return error_set(err, EINVAL, "%s: '%.200s' is not true or false", what, text);
}

/* Reads exactly @digits digits that make a number from @min to @max, then @follow (0: anything). */
static bool take_part(const char **text, unsigned digits, unsigned min, unsigned max,
                      const char *follow, unsigned *value)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < digits; i++, (*text)++) {
        if (!is_digit(**text))
            return false;
        sum = sum * 10 + (unsigned)(**text - '0');
    }
    if (follow != NULL) {
        if (**text == '\0' || strchr(follow, **text) == NULL)
            return false;
        (*text)++;
    }
    *value = sum;
    return sum >= min && sum <= max;
}

/* Days from 1970-01-01, by the usual shift of the year's begin to March; timegm(3) reads files. */
static int64_t count_days(int64_t year, unsigned month, unsigned day)
{
    int64_t shifted = month <= 2 ? year - 1 : year;
    int64_t era = shifted / 400; /* years are 0 to 9999 here */
    int64_t year_of_era;
    int64_t day_of_year;

    if (shifted < 0)
        era = -1; /* January of the year 0 */
    year_of_era = shifted - era * 400;
    day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static unsigned days_of_month(unsigned year, unsigned month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && is_leap ? 29 : days[month - 1];
}

/* Reads "Z", "+01:00" or "-05:30", which has to end the text; seconds east of Greenwich. */
static bool take_offset(const char *text, int64_t *seconds)
{
    unsigned hours;
    unsigned minutes;
    bool is_west = *text == '-';

    *seconds = 0;
    if ((*text == 'Z' || *text == 'z') && text[1] == '\0')
        return true;
    if (*text != '+' && *text != '-')
        return false;
    text++;
    if (!take_part(&text, 2, 0, 23, ":", &hours) || !take_part(&text, 2, 0, 59, NULL, &minutes) ||
        *text != '\0')
        return false;
    *seconds = (int64_t)(hours * 60 + minutes) * (is_west ? -60 : 60);
    return true;
}

int text_parse_time(const char *text, int64_t *ret_seconds, uint32_t *ret_nanoseconds,
                    struct error *err)
{
    const char *rest = text;
    unsigned year, month, day, hour, minute, second;
    uint64_t nano = 0;
    int64_t offset = 0;
    bool is_valid;

    is_valid = take_part(&rest, 4, 0, 9999, "-", &year) &&
               take_part(&rest, 2, 1, 12, "-", &month) &&
               take_part(&rest, 2, 1, days_of_month(year, month), "Tt ", &day) &&
               take_part(&rest, 2, 0, 23, ":", &hour) && take_part(&rest, 2, 0, 59, ":", &minute) &&
               take_part(&rest, 2, 0, 60, NULL, &second);
    if (is_valid && *rest == '.') {
        uint64_t whole;
        bool is_cut;

        is_valid = is_digit(rest[1]) && take_decimal(&rest, &whole, &nano, &is_cut);
    }
    is_valid = is_valid && take_offset(rest, &offset);
    if (!is_valid)
        return error_set(err, EINVAL, "'%.200s' is not a time such as 2026-01-02T03:04:05Z", text);
    *ret_seconds =
        count_days(year, month, day) * 86400 + (int64_t)hour * 3600 + minute * 60 + second - offset;
    *ret_nanoseconds = (uint32_t)nano;
    return 0;
}
