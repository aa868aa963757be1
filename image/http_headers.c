#include "image/http_headers.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/text.h"

/* Digits at the begin of a text; NULL: there are none, or too many. */
static const char *parse_digits(const char *text, uint64_t *ret_value)
{
    size_t length = strspn(text, "0123456789");
    auto_free char *digits = xstrndup(text, length);

    if (length == 0 || length > 20 ||
        text_parse_u64(digits, "number", UINT64_MAX, ret_value, NULL) < 0)
        return NULL;
    return text + length;
}

int http_content_range_parse(const char *value, uint64_t *ret_first, uint64_t *ret_last,
                             uint64_t *ret_size, struct error *err)
{
    const char *text = value + strspn(value, " ");
    uint64_t first, last;
    uint64_t size = UINT64_MAX;

    text = strncasecmp(text, "bytes ", 6) == 0 ? parse_digits(text + 6, &first) : NULL;
    text = text != NULL && *text == '-' ? parse_digits(text + 1, &last) : NULL;
    if (text != NULL && *text == '/' && text[1] == '*')
        text += 2;
    else
        text = text != NULL && *text == '/' ? parse_digits(text + 1, &size) : NULL;
    if (text == NULL || text[strspn(text, " ")] != '\0' || last < first || last >= size)
        return error_set(err, EINVAL, "Content-Range '%s' makes no sense", value);
    *ret_first = first;
    *ret_last = last;
    *ret_size = size;
    return 0;
}

int http_upload_range_parse(const char *value, uint64_t *ret_bytes, struct error *err)
{
    const char *text = value + strspn(value, " ");
    uint64_t first, last;

    if (strncasecmp(text, "bytes=", 6) == 0)
        text += 6;
    text = parse_digits(text, &first);
    text = text != NULL && *text == '-' ? parse_digits(text + 1, &last) : NULL;
    if (text == NULL || text[strspn(text, " ")] != '\0' || first != 0 || last == UINT64_MAX)
        return error_set(err, EINVAL, "Range '%s' makes no sense", value);
    *ret_bytes = last == 0 ? 0 : last + 1;
    return 0;
}

int http_retry_after_parse(const char *value, int64_t now, uint64_t *ret_seconds, struct error *err)
{
    const char *text = value + strspn(value, " ");
    struct tm date = { 0 };
    const char *end = parse_digits(text, ret_seconds);
    int64_t then;

    if (end != NULL && end[strspn(end, " ")] == '\0')
        return 0;
    end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (end == NULL || end[strspn(end, " ")] != '\0')
        return error_set(err, EINVAL, "Retry-After '%s' makes no sense", value);
    then = timegm(&date);
    *ret_seconds = then > now ? (uint64_t)(then - now) : 0;
    return 0;
}

/* Whether the parameters of a link, up to the next one, say rel="next". */
static bool is_next(const char *parameters)
{
    for (const char *text = parameters; *text == ';';) {
        size_t name;

        text += 1 + strspn(text + 1, " \t");
        name = strcspn(text, "=;,");
        if (strncasecmp(text, "rel", 3) == 0 && name == 3 && text[3] == '=') {
            const char *word = text + 4 + (text[4] == '"');

            return strncasecmp(word, "next", 4) == 0 && !isalnum((unsigned char)word[4]);
        }
        text += name;
        if (*text == '=')
            text += 1;
        if (*text == '"') {
            text += 1 + strcspn(text + 1, "\"");
            text += *text == '"';
        } else {
            text += strcspn(text, ";,");
        }
        text += strspn(text, " \t");
    }
    return false;
}

char *http_link_next(const char *value)
{
    const char *begin;

    while ((begin = strchr(value, '<')) != NULL) {
        const char *end = strchr(begin, '>');
        const char *behind;

        if (end == NULL)
            return NULL;
        behind = end + 1 + strspn(end + 1, " \t");
        if (is_next(behind) && end > begin + 1)
            return xstrndup(begin + 1, (size_t)(end - begin) - 1);
        value = end + 1;
    }
    return NULL;
}

char *http_media_type(const char *value)
{
    size_t length;

    value += strspn(value, " \t");
    length = strcspn(value, "; \t");
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)value[i]) && strchr("/+.-_!#$&^", value[i]) == NULL)
            return NULL;
    }
    return length == 0 || length > 255 ? NULL : xstrndup(value, length);
}
