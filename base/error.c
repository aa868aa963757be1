#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_control(const unsigned char *byte)
{
    /* The controls U+0080 to U+009F are escape sequences in one character, too. */
    if (byte[0] == 0xc2 && byte[1] >= 0x80 && byte[1] <= 0x9f)
        return true;
    return byte[0] < 0x20 || byte[0] == 0x7f;
}

/* Appends @text at @message[*length] and writes control bytes as \xNN; cuts what does not fit. */
static void add_printable(char *message, size_t *length, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *byte = (const unsigned char *)text;

    for (; *byte != '\0'; byte++) {
        bool is_hidden = is_control(byte);

        if (*length + (is_hidden ? 4 : 1) >= ERROR_MESSAGE_MAX)
            break;
        if (is_hidden) {
            message[(*length)++] = '\\';
            message[(*length)++] = 'x';
            message[(*length)++] = digits[*byte >> 4];
            message[(*length)++] = digits[*byte & 15];
        } else {
            message[(*length)++] = (char)*byte;
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
