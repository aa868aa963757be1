#include "engine/log_line.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Writes a character of the Basic Multilingual Plane as UTF-8; never longer than its \uXXXX was. */
static char *put_character(char *to, unsigned value)
{
    if (value < 0x80) {
        *to++ = (char)value;
    } else if (value < 0x800) {
        *to++ = (char)(0xc0 | (value >> 6));
        *to++ = (char)(0x80 | (value & 0x3f));
    } else {
        *to++ = (char)(0xe0 | (value >> 12));
        *to++ = (char)(0x80 | ((value >> 6) & 0x3f));
        *to++ = (char)(0x80 | (value & 0x3f));
    }
    return to;
}

static int read_escape(const char **from, const char *end, char **to)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *at = *from;
    const char *found;
    unsigned value = 0;

    if (at == end)
        return -EINVAL;
    if (*at != 'u') {
        found = *at == '\0' ? NULL : strchr(letters, *at);
        if (found == NULL)
            return -EINVAL;
        *(*to)++ = meanings[found - letters];
        *from = at + 1;
        return 0;
    }
    if (end - at < 5)
        return -EINVAL;
    for (int i = 1; i <= 4; i++) {
        int digit = hex_digit(at[i]);

        if (digit < 0)
            return -EINVAL;
        value = value * 16 + (unsigned)digit;
    }
    *to = put_character(*to, value);
    *from = at + 5;
    return 0;
}

/* Reads a string after its opening quote, in place. *from ends behind the closing quote. */
static int read_string(char **from, const char *end, char **ret_text, size_t *ret_length)
{
    char *to = *from;
    const char *at = *from;

    *ret_text = *from;
    while (at < end && *at != '"') {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        at++;
        if (read_escape(&at, end, &to) < 0)
            return -EINVAL;
    }
    if (at == end)
        return -EINVAL;
    *ret_length = (size_t)(to - *ret_text);
    *from += at - *from + 1;
    *to = '\0'; /* at most where the quote was */
    return 0;
}

static bool skip(char **at, const char *end, const char *text)
{
    size_t length = strlen(text);

    if ((size_t)(end - *at) < length || memcmp(*at, text, length) != 0)
        return false;
    *at += length;
    return true;
}

int log_line_parse(char *text, size_t length, struct log_line *ret_line)
{
    const char *end = text + length;
    char *at = text;
    struct log_line line = { 0 };
    char *stream, *time;
    size_t stream_length, time_length;

    if (!skip(&at, end, "{\"log\":\"") || read_string(&at, end, &line.bytes, &line.length) < 0)
        return -EINVAL;
    if (!skip(&at, end, ",\"stream\":\"") || read_string(&at, end, &stream, &stream_length) < 0)
        return -EINVAL;
    if (!skip(&at, end, ",\"time\":\"") || read_string(&at, end, &time, &time_length) < 0 ||
        !skip(&at, end, "}") || at != end)
        return -EINVAL;
    if (strcmp(stream, "stdout") == 0)
        line.stream = LOG_STDOUT;
    else if (strcmp(stream, "stderr") == 0)
        line.stream = LOG_STDERR;
    else
        return -EINVAL;
    if (text_parse_time(time, &line.seconds, &line.nanoseconds, NULL) < 0)
        return -EINVAL;
    line.time = time;
    *ret_line = line;
    return 0;
}
