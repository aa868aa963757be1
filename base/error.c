#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Bytes of the character; 0: it is not to be shown. The controls U+0080 to U+009F are escape
 * sequences in one character, and so are their bytes where a terminal does not take UTF-8. */
static size_t visible_length(const char *text)
{
    const unsigned char *byte = (const unsigned char *)text;
    bool is_control = byte[0] < 0x20 || byte[0] == 0x7f ||
                      (byte[0] == 0xc2 && byte[1] >= 0x80 && byte[1] <= 0x9f);

    return is_control ? 0 : text_utf8_length(text);
}

/* Appends @text at @message[*length] and writes other bytes as \xNN; cuts what does not fit. */
static void add_printable(char *message, size_t *length, const char *text)
{
    static const char digits[] = "0123456789abcdef";

    while (*text != '\0') {
        const unsigned char byte = (unsigned char)*text;
        const size_t visible = visible_length(text);

        if (*length + (visible == 0 ? 4 : visible) >= ERROR_MESSAGE_MAX)
            break;
        if (visible == 0) {
            message[(*length)++] = '\\';
            message[(*length)++] = 'x';
            message[(*length)++] = digits[byte >> 4];
            message[(*length)++] = digits[byte & 15];
            text++;
        } else {
            memcpy(message + *length, text, visible);
            *length += visible;
            text += visible;
        }
    }
    message[*length] = '\0';
}

int error_set(struct error *err, int code, const char *format, ...)
{
    char sentence[ERROR_MESSAGE_MAX];
    size_t length = 0;
    va_list arguments;

    assert(code > 0);

    if (err == NULL)
        return -code;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments); /* cut when too long */
    va_end(arguments);
    err->code = code;
    add_printable(err->message, &length, sentence);
    return -code;
}

int error_errno(struct error *err, const char *format, ...)
{
    int code = errno > 0 ? errno : EIO;
    const char *description = strerrordesc_np(code);
    char sentence[ERROR_MESSAGE_MAX];
    size_t length = 0;
    va_list arguments;

    if (err == NULL)
        return -code;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    err->code = code;
    add_printable(err->message, &length, sentence);
    add_printable(err->message, &length, ": ");
    if (description != NULL) {
        add_printable(err->message, &length, description);
    } else {
        (void)snprintf(sentence, sizeof(sentence), "error %d", code);
        add_printable(err->message, &length, sentence);
    }
    return -code;
}

int error_prefix(struct error *err, int r, const char *format, ...)
{
    char prefix[ERROR_MESSAGE_MAX];
    char message[ERROR_MESSAGE_MAX];
    size_t length = 0;
    va_list arguments;

    if (err == NULL)
        return r;
    va_start(arguments, format);
    (void)vsnprintf(prefix, sizeof(prefix), format, arguments);
    va_end(arguments);
    memcpy(message, err->message, sizeof(message));
    message[sizeof(message) - 1] = '\0';
    if (err->code == 0)
        err->code = r < 0 ? -r : EIO;
    add_printable(err->message, &length, prefix);
    if (message[0] != '\0') {
        add_printable(err->message, &length, ": ");
        add_printable(err->message, &length, message);
    }
    return r;
}
