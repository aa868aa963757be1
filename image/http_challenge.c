#include "image/http_challenge.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHALLENGES_MAX 16
#define PARAMETERS_MAX 16

/* token of RFC 9110: any visible character but delimiters */
static size_t token_length(const char *text)
{
    size_t length = 0;

    while (text[length] > ' ' && text[length] < 127 &&
           strchr("\"(),/:;<=>?@[\\]{}", text[length]) == NULL)
        length++;
    return length;
}

static const char *skip_spaces(const char *text)
{
    return text + strspn(text, " \t");
}

static char *lower_case(const char *text, size_t length)
{
    char *copy = xstrndup(text, length);

    for (char *c = copy; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

/* A quoted string, or a token (also with what some servers leave unquoted: "/", ":" and "="). NULL:
 * it has no end. */
static const char *parse_value(const char *text, char **ret_value)
{
    AUTO_CLEAR(text) struct text value = { 0 };

    if (*text != '"') {
        size_t length = strcspn(text, ", \t");

        *ret_value = xstrndup(text, length);
        return text + length;
    }
    for (text++; *text != '"'; text++) {
        if (*text == '\\' && text[1] != '\0')
            text++;
        if (*text == '\0')
            return NULL;
        text_add_bytes(&value, text, 1);
    }
    *ret_value = text_take(&value);
    return text + 1;
}

/* One "name=value". NULL: there is none, and @text may begin the next challenge. */
static const char *parse_parameter(const char *text, struct http_challenge *challenge)
{
    size_t length = token_length(text);
    const char *behind = skip_spaces(text + length);
    auto_free char *name = NULL;
    auto_free char *value = NULL;

    if (length == 0 || *behind != '=')
        return NULL;
    name = lower_case(text, length);
    behind = parse_value(skip_spaces(behind + 1), &value);
    if (behind == NULL)
        return NULL;
    if (string_map_get(&challenge->parameters, name) == NULL &&
        challenge->parameters.count < PARAMETERS_MAX)
        string_map_set(&challenge->parameters, name, value);
    return behind;
}

static const char *parse_challenge(const char *text, struct http_challenges *list)
{
    size_t length = token_length(text);
    struct http_challenge *challenge;

    if (length == 0 || list->count == CHALLENGES_MAX)
        return NULL;
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    challenge = &list->items[list->count++];
    *challenge = (struct http_challenge){ .scheme = lower_case(text, length) };
    text = skip_spaces(text + length);
    for (;;) {
        const char *next = parse_parameter(text, challenge);

        if (next == NULL)
            break;
        text = next + strspn(next, " \t,");
    }
    return text;
}

void http_challenges_parse(const char *value, struct http_challenges *list)
{
    while (value != NULL) {
        value += strspn(value, " \t,");
        value = *value == '\0' ? NULL : parse_challenge(value, list);
    }
}

void http_challenges_clear(struct http_challenges *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].scheme);
        string_map_clear(&list->items[i].parameters);
    }
    free(list->items);
    *list = (struct http_challenges){ 0 };
}

const struct http_challenge *http_challenges_find(const struct http_challenges *list,
                                                  const char *scheme)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].scheme, scheme) == 0)
            return &list->items[i];
    }
    return NULL;
}
