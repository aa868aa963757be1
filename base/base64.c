#include "base/base64.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/auto.h"
#include "base/text.h"

/* 0 to 63, or -1. */
static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c == '\0' ? NULL : strchr(digits, c);

    return found == NULL ? -1 : (int)(found - digits);
}

/* Up to two "=" at the end stand for bytes that are not there. */
static size_t padding(const char *text, size_t length)
{
    size_t count = 0;

    while (count < 2 && count < length && text[length - 1 - count] == '=')
        count++;
    return count;
}

int base64_decode(const char *text, const char *what, char **ret_bytes, size_t *ret_length,
                  struct error *err)
{
    size_t length = strlen(text), missing = padding(text, length), count = 0;
    auto_free char *bytes = xcalloc(length / 4 * 3 + 1, 1);
    uint32_t group = 0;

    assert(ret_bytes != NULL);
    assert(ret_length != NULL);

    if (length % 4 != 0)
        return error_set(err, EINVAL, "%s: is not base64: %zu letters are no multiple of 4", what,
                         length);
    for (size_t i = 0; i < length; i++) {
        int value = i >= length - missing ? 0 : digit(text[i]);

        if (value < 0)
            return error_set(err, EINVAL, "%s: is not base64: letter %zu is not of it", what,
                             i + 1);
        group = group << 6 | (uint32_t)value;
        if (i % 4 != 3)
            continue;
        bytes[count++] = (char)(group >> 16 & 0xff);
        bytes[count++] = (char)(group >> 8 & 0xff);
        bytes[count++] = (char)(group & 0xff);
        group = 0;
    }
    *ret_bytes = take_ptr(&bytes);
    *ret_length = count - missing;
    return 0;
}
