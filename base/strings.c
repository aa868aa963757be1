/* The lists of base/text.h: struct strings and struct string_map. */
#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void strings_take(struct strings *list, char *text)
{
    assert(text != NULL);

    /* Asking each time keeps lists right that others built with exact room; realloc(3) rarely
     * moves. */
    list->items = xrealloc(list->items, list->count + 2, sizeof(char *));
    list->items[list->count++] = text;
    list->items[list->count] = NULL;
}

void strings_add(struct strings *list, const char *text)
{
    strings_take(list, xstrdup(text));
}

void strings_addf(struct strings *list, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    strings_take(list, xvasprintf(format, arguments));
    va_end(arguments);
}

void strings_add_all(struct strings *list, const struct strings *more)
{
    if (more->count == 0)
        return;
    list->items = xrealloc(list->items, list->count + more->count + 1, sizeof(char *));
    for (size_t i = 0; i < more->count; i++)
        list->items[list->count++] = xstrdup(more->items[i]);
    list->items[list->count] = NULL;
}

bool strings_contains(const struct strings *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], text) == 0)
            return true;
    }
    return false;
}

void strings_remove(struct strings *list, size_t index)
{
    auto_free char *removed = NULL;

    assert(index < list->count);

    removed = list->items[index];
    memmove(&list->items[index], &list->items[index + 1],
            (list->count - index) * sizeof(list->items[0]));
    list->count--;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strings_sort(struct strings *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof(list->items[0]), compare_texts);
}

void strings_clear(struct strings *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct strings){ 0 };
}

void strings_split(struct strings *list, const char *text, char separator)
{
    const char *end;

    while ((end = strchr(text, separator)) != NULL) {
        strings_take(list, xstrndup(text, (size_t)(end - text)));
        text = end + 1;
    }
    strings_add(list, text);
}

char *strings_join(const struct strings *list, const char *separator)
{
    AUTO_CLEAR(text) struct text joined = { 0 };

    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            text_add(&joined, separator);
        text_add(&joined, list->items[i]);
    }
    return text_take(&joined);
}

static bool is_variable(const char *item, const char *name, size_t length)
{
    return strncmp(item, name, length) == 0 && item[length] == '=';
}

void strings_set_variable(struct strings *list, const char *name, const char *value)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < list->count; i++) {
        if (is_variable(list->items[i], name, length)) {
            free(list->items[i]);
            list->items[i] = xasprintf("%s=%s", name, value);
            return;
        }
    }
    strings_addf(list, "%s=%s", name, value);
}

const char *strings_variable(const struct strings *list, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < list->count; i++) {
        if (is_variable(list->items[i], name, length))
            return list->items[i] + length + 1;
    }
    return NULL;
}

void string_map_set(struct string_map *map, const char *key, const char *value)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->items[i].key, key) == 0) {
            char *copy = xstrdup(value); /* first: it may be a part of the old value */

            free(map->items[i].value);
            map->items[i].value = copy;
            return;
        }
    }
    map->items = xrealloc(map->items, map->count + 1, sizeof(map->items[0]));
    map->items[map->count++] = (struct string_pair){ xstrdup(key), xstrdup(value) };
}

const char *string_map_get(const struct string_map *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->items[i].key, key) == 0)
            return map->items[i].value;
    }
    return NULL;
}

void string_map_clear(struct string_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        free(map->items[i].key);
        free(map->items[i].value);
    }
    free(map->items);
    *map = (struct string_map){ 0 };
}
