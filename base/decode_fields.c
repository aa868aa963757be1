#include "base/decode_fields.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

size_t field_size(const struct field *field)
{
    static const size_t sizes[] = {
        [FIELD_BOOL] = sizeof(bool),
        [FIELD_U8] = sizeof(uint8_t),
        [FIELD_U16] = sizeof(uint16_t),
        [FIELD_U32] = sizeof(uint32_t),
        [FIELD_U64] = sizeof(uint64_t),
        [FIELD_I32] = sizeof(int32_t),
        [FIELD_I64] = sizeof(int64_t),
        [FIELD_DOUBLE] = sizeof(double),
        [FIELD_STRING] = sizeof(char *),
        [FIELD_STRINGS] = sizeof(struct strings),
        [FIELD_MAP] = sizeof(struct string_map),
        [FIELD_POINTER] = sizeof(void *),
        [FIELD_JSON] = sizeof(char *),
        [FIELD_KEYS] = sizeof(struct strings),
    };

    return field->type == FIELD_STRUCT ? field->object->size : sizes[field->type];
}

static void clear_inside(const struct object *object, void *value);

static void clear_value(const struct field *field, void *slot)
{
    switch (field->type) {
    case FIELD_STRING:
    case FIELD_JSON:
        auto_free_cleanup(slot);
        break;
    case FIELD_STRINGS:
    case FIELD_KEYS:
        strings_clear(slot);
        break;
    case FIELD_MAP:
        string_map_clear(slot);
        break;
    case FIELD_STRUCT:
        clear_inside(field->object, slot);
        break;
    case FIELD_POINTER:
        if (*(void **)slot != NULL)
            clear_inside(field->object, *(void **)slot);
        auto_free_cleanup(slot);
        break;
    default:
        break;
    }
}

static void clear_field(const struct field *field, void *value)
{
    char *slot = (char *)value + field->offset;
    struct field_list *list = (struct field_list *)slot;

    if ((field->flags & (FIELD_ARRAY | FIELD_DICTIONARY)) == 0) {
        clear_value(field, slot);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        char *item = list->items + i * field_size(field);

        clear_value(field, item);
        if ((field->flags & FIELD_DICTIONARY) != 0)
            free(*(char **)item); /* the key, which is no field of the struct */
    }
    free(list->items);
}

static void clear_inside(const struct object *object, void *value)
{
    for (const struct field *field = object->fields; field->name != NULL; field++) {
        /* A refused member is known by name only: there is nothing of it in the struct. */
        if ((field->flags & FIELD_REFUSED) == 0)
            clear_field(field, value);
    }
}

void object_clear(const struct object *object, void *value)
{
    clear_inside(object, value);
    memset(value, 0, object->size);
}

static void copy_inside(const struct object *object, void *value);

static char *copy_text(const char *text)
{
    return text != NULL ? xstrdup(text) : NULL;
}

static void copy_strings(struct strings *strings)
{
    const struct strings original = *strings;

    *strings = (struct strings){ 0 };
    strings_add_all(strings, &original);
}

static void copy_map(struct string_map *map)
{
    map->items = map->count > 0 ? xmemdup(map->items, map->count * sizeof(map->items[0])) : NULL;
    for (size_t i = 0; i < map->count; i++) {
        map->items[i].key = copy_text(map->items[i].key);
        map->items[i].value = copy_text(map->items[i].value);
    }
}

/* Of a bitwise copy: what it points to becomes its own. */
static void copy_value(const struct field *field, void *slot)
{
    char **text = slot;
    void **pointer = slot;

    switch (field->type) {
    case FIELD_STRING:
    case FIELD_JSON:
        *text = copy_text(*text);
        break;
    case FIELD_STRINGS:
    case FIELD_KEYS:
        copy_strings(slot);
        break;
    case FIELD_MAP:
        copy_map(slot);
        break;
    case FIELD_STRUCT:
        copy_inside(field->object, slot);
        break;
    case FIELD_POINTER:
        if (*pointer == NULL)
            break;
        *pointer = xmemdup(*pointer, field->object->size);
        copy_inside(field->object, *pointer);
        break;
    default:
        break;
    }
}

static void copy_field(const struct field *field, void *value)
{
    char *slot = (char *)value + field->offset;
    struct field_list *list = (struct field_list *)slot;
    size_t size = field_size(field);

    if ((field->flags & (FIELD_ARRAY | FIELD_DICTIONARY)) == 0) {
        copy_value(field, slot);
        return;
    }
    list->items = list->count > 0 ? xmemdup(list->items, list->count * size) : NULL;
    for (size_t i = 0; i < list->count; i++) {
        char *item = list->items + i * size;

        if ((field->flags & FIELD_DICTIONARY) != 0)
            *(char **)item = copy_text(*(char **)item);
        copy_value(field, item);
    }
}

static void copy_inside(const struct object *object, void *value)
{
    for (const struct field *field = object->fields; field->name != NULL; field++) {
        if ((field->flags & FIELD_REFUSED) == 0)
            copy_field(field, value);
    }
}

void object_copy(const struct object *object, const void *value, void *ret_copy)
{
    memcpy(ret_copy, value, object->size);
    copy_inside(object, ret_copy);
}
