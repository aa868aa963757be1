#include "base/decode_scan.h"

#include <errno.h>
#include <string.h>

/* From here on a number may be above INT64_MAX or below INT64_MIN. */
#define LARGE_DIGITS 19

static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
    }
    return at < end ? at + 1 : end;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether the digits [at, end) need more than an int64_t; the sign is before them. */
static bool is_large(const char *at, const char *end, bool is_negative)
{
    static const char limits[2][LARGE_DIGITS + 1] = { "9223372036854775807",
                                                      "9223372036854775808" };

    if (end - at != LARGE_DIGITS)
        return end - at > LARGE_DIGITS;
    return memcmp(at, limits[is_negative ? 1 : 0], LARGE_DIGITS) > 0;
}

/* Finds the number at @at. Only an integer that jansson would refuse for its size, and that is not
 * where a member's name has to be, is told to be large. */
static const char *skip_number(const char *at, const char *end, bool *ret_is_large)
{
    bool is_negative = *at == '-';
    const char *digits = is_negative ? at + 1 : at;
    const char *behind = digits;
    const char *next;

    while (behind < end && is_digit(*behind))
        behind++;
    *ret_is_large = false;
    if (behind == digits)
        return at + 1;
    if (behind < end && strchr(".eE", *behind) != NULL && *behind != '\0') {
        while (behind < end && (is_digit(*behind) || memchr(".eE+-", *behind, 5) != NULL))
            behind++;
        return behind;
    }
    for (next = behind; next < end && is_space(*next);)
        next++;
    *ret_is_large = is_large(digits, behind, is_negative) && *digits != '0' &&
                    (next == end || (*next != ':' && strchr(",]}", *next) != NULL));
    return behind;
}

static bool has_mark(const char *json, size_t length)
{
    static const char escaped[] = "\\uffff";

    if (memmem(json, length, SCAN_MARK, SCAN_MARK_LENGTH) != NULL)
        return true;
    for (size_t i = 0; i + 6 <= length; i++) {
        if (json[i] == '\\' && strncasecmp(json + i, escaped, 6) == 0)
            return true;
    }
    return false;
}

int scan_document(const char *json, size_t length, unsigned depth_max, struct text *rewritten,
                  struct error *err)
{
    const char *end = json + length;
    const char *copied = json;
    unsigned depth = 0;

    for (const char *at = json; at < end;) {
        const char *begin = at;
        bool is_large_number = false;

        if (*at == '"')
            at = skip_string(at, end);
        else if (*at == '-' || is_digit(*at))
            at = skip_number(at, end, &is_large_number);
        else
            at++;
        if ((*begin == '{' || *begin == '[') && ++depth > depth_max)
            return error_set(err, EINVAL, "it has more than %u levels", depth_max);
        if ((*begin == '}' || *begin == ']') && depth > 0)
            depth--;
        if (!is_large_number)
            continue;
        text_add_bytes(rewritten, copied, (size_t)(begin - copied));
        text_add(rewritten, "\"" SCAN_MARK);
        text_add_bytes(rewritten, begin, (size_t)(at - begin));
        text_add(rewritten, "\"");
        copied = at;
    }
    if (rewritten->length == 0)
        return 0;
    if (has_mark(json, length)) {
        text_clear(rewritten);
        return error_set(err, EINVAL,
                         "it has the noncharacter U+FFFF beside a number out of range");
    }
    text_add_bytes(rewritten, copied, (size_t)(end - copied));
    return 0;
}

void scan_unmark(char *json)
{
    char *to = json;

    for (const char *from = json; *from != '\0';) {
        if (strncmp(from, "\"" SCAN_MARK, 1 + SCAN_MARK_LENGTH) == 0) {
            for (from += 1 + SCAN_MARK_LENGTH; *from != '"' && *from != '\0';)
                *to++ = *from++;
            from += *from == '"' ? 1 : 0;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

const char *scan_marked_digits(const char *string)
{
    return strncmp(string, SCAN_MARK, SCAN_MARK_LENGTH) == 0 ? string + SCAN_MARK_LENGTH : NULL;
}
