#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Two paths of the longest kind, and what is said of them. */
#define SENTENCE_MAX (2 * PATH_MAX + ERROR_MESSAGE_MAX)
#define GAP          "..."

/* Bytes of the character; 0: it is not to be shown. The controls U+0080 to U+009F are escape
 * sequences in one character, and so are their bytes where a terminal does not take UTF-8. */
static size_t visible_length(const char *text)
{
    const unsigned char *byte = (const unsigned char *)text;
    bool is_control = byte[0] < 0x20 || byte[0] == 0x7f ||
                      (byte[0] == 0xc2 && byte[1] >= 0x80 && byte[1] <= 0x9f);

    return is_control ? 0 : text_utf8_length(text);
}

/* The next character, or byte that is to be written as \xNN: its bytes, and those that it takes. */
static size_t next_length(const char *text, size_t *ret_shown)
{
    const size_t visible = visible_length(text);

    *ret_shown = visible == 0 ? 4 : visible;
    return visible == 0 ? 1 : visible;
}

static size_t shown_length(const char *text)
{
    size_t length = 0;
    size_t shown;

    for (; *text != '\0'; length += shown)
        text += next_length(text, &shown);
    return length;
}

/* Appends what @room bytes at @message[*length] can take of @text. Returns the rest. */
static const char *add_printable(char *message, size_t *length, const char *text, size_t room)
{
    static const char digits[] = "0123456789abcdef";
    size_t shown;

    for (; *text != '\0'; room -= shown) {
        const unsigned char byte = (unsigned char)*text;
        const size_t count = next_length(text, &shown);

        if (shown > room)
            break;
        if (shown > count) {
            message[(*length)++] = '\\';
            message[(*length)++] = 'x';
            message[(*length)++] = digits[byte >> 4];
            message[(*length)++] = digits[byte & 15];
        } else {
            memcpy(message + *length, text, count);
            *length += count;
        }
        text += count;
    }
    message[*length] = '\0';
    return text;
}

/* What is too long loses its middle: the beginning says what was attempted, the end why it failed,
 * and in between are long names. */
static void keep_sentence(struct error *err, const char *sentence)
{
    const size_t room = ERROR_MESSAGE_MAX - 1;
    const size_t half = (room - strlen(GAP)) / 2;
    const char *rest = sentence;
    size_t length = 0;
    size_t left = shown_length(sentence);
    size_t shown;

    if (left > room) {
        rest = add_printable(err->message, &length, sentence, half);
        (void)add_printable(err->message, &length, GAP, strlen(GAP));
        for (left -= length - strlen(GAP); left > half; left -= shown)
            rest += next_length(rest, &shown);
    }
    (void)add_printable(err->message, &length, rest, left);
}

int error_set(struct error *err, int code, const char *format, ...)
{
    char sentence[SENTENCE_MAX];
    va_list arguments;

    assert(code > 0);

    if (err == NULL)
        return -code;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    err->code = code;
    keep_sentence(err, sentence);
    return -code;
}

/* Adds ": " and @text to what stands in @sentence, and cuts that if it has to. */
static void add_reason(char *sentence, const char *text)
{
    size_t length = strlen(sentence);
    size_t length_max = SENTENCE_MAX - 1 - strlen(": ") - strlen(text);

    if (length > length_max)
        length = length_max;
    (void)snprintf(sentence + length, SENTENCE_MAX - length, ": %s", text);
}

int error_errno(struct error *err, const char *format, ...)
{
    int code = errno > 0 ? errno : EIO;
    const char *description = strerrordesc_np(code);
    char sentence[SENTENCE_MAX];
    char number[sizeof("error -2147483648")];
    va_list arguments;

    if (err == NULL)
        return -code;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    (void)snprintf(number, sizeof(number), "error %d", code);
    err->code = code;
    add_reason(sentence, description != NULL ? description : number);
    keep_sentence(err, sentence);
    return -code;
}

int error_prefix(struct error *err, int r, const char *format, ...)
{
    char sentence[SENTENCE_MAX];
    va_list arguments;

    if (err == NULL)
        return r;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    err->message[sizeof(err->message) - 1] = '\0'; /* it may have come from another process */
    if (err->code == 0)
        err->code = r < 0 ? -r : EIO;
    if (err->message[0] != '\0')
        add_reason(sentence, err->message);
    keep_sentence(err, sentence);
    return r;
}
