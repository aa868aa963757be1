/*
 * The writing half of base/decode.h. It writes the text itself instead of building a tree first:
 * the order is the table's, integers of all 64 bits stay exact, and one buffer is all it needs.
 */
#include "base/decode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/decode_fields.h"

#define INDENT "    "

struct writer {
    struct text text;
    enum encode_style style;
    unsigned depth;
};

static void write_object(struct writer *writer, const struct object *object, const void *value);

static void write_line(struct writer *writer)
{
    if (writer->style != ENCODE_INDENTED)
        return;
    text_add_bytes(&writer->text, "\n", 1);
    for (unsigned i = 0; i < writer->depth; i++)
        text_add(&writer->text, INDENT);
}

static void open_group(struct writer *writer, char bracket)
{
    text_add_bytes(&writer->text, &bracket, 1);
    writer->depth++;
}

/* Goes on to the next part of a group, whether there was one before or not. */
static void next_part(struct writer *writer)
{
    char last = writer->text.data[writer->text.length - 1];

    if (last != '{' && last != '[')
        text_add_bytes(&writer->text, ",", 1);
    write_line(writer);
}

static void close_group(struct writer *writer, char bracket)
{
    char last = writer->text.data[writer->text.length - 1];

    writer->depth--;
    if (last != '{' && last != '[')
        write_line(writer);
    text_add_bytes(&writer->text, &bracket, 1);
}

static void write_escaped(struct text *text, unsigned char byte)
{
    static const char shorts[] = "b\bf\fn\nr\rt\t\"\"\\\\";

    for (size_t i = 0; shorts[i] != '\0'; i += 2) {
        if ((unsigned char)shorts[i + 1] == byte) {
            text_addf(text, "\\%c", shorts[i]);
            return;
        }
    }
    text_addf(text, "\\u%04x", byte);
}

static void write_string(struct writer *writer, const char *string)
{
    const unsigned char *at = (const unsigned char *)string;
    const unsigned char *begin = at;

    text_add_bytes(&writer->text, "\"", 1);
    while (*at != '\0') {
        size_t length = text_utf8_length((const char *)at);

        if (*at >= 0x20 && *at != '"' && *at != '\\' && length > 0) {
            at += length;
            continue;
        }
        text_add_bytes(&writer->text, begin, (size_t)(at - begin));
        if (length == 0)
            text_add(&writer->text, "\xef\xbf\xbd"); /* U+FFFD: the text was not UTF-8 here */
        else
            write_escaped(&writer->text, *at);
        begin = ++at;
    }
    text_add_bytes(&writer->text, begin, (size_t)(at - begin));
    text_add_bytes(&writer->text, "\"", 1);
}

static void write_name(struct writer *writer, const char *name)
{
    next_part(writer);
    write_string(writer, name);
    text_add(&writer->text, writer->style == ENCODE_INDENTED ? ": " : ":");
}

static void write_unsigned(struct writer *writer, uint64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);

    text_add_bytes(&writer->text, digits, (size_t)length);
}

static void write_signed(struct writer *writer, int64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRId64, number);

    text_add_bytes(&writer->text, digits, (size_t)length);
}

/* The shorter of two forms that reads back as the same number; JSON has no infinity. */
static void write_double(struct writer *writer, double number)
{
    char digits[40];

    if (!isfinite(number))
        number = 0;
    (void)snprintf(digits, sizeof(digits), "%.15g", number);
    if (strtod(digits, NULL) != number)
        (void)snprintf(digits, sizeof(digits), "%.17g", number);
    text_add(&writer->text, digits);
}

static void write_strings(struct writer *writer, const struct strings *list)
{
    open_group(writer, '[');
    for (size_t i = 0; i < list->count; i++) {
        next_part(writer);
        write_string(writer, list->items[i]);
    }
    close_group(writer, ']');
}

static void write_keys(struct writer *writer, const struct strings *list)
{
    open_group(writer, '{');
    for (size_t i = 0; i < list->count; i++) {
        write_name(writer, list->items[i]);
        text_add(&writer->text, "{}");
    }
    close_group(writer, '}');
}

static void write_map(struct writer *writer, const struct string_map *map)
{
    open_group(writer, '{');
    for (size_t i = 0; i < map->count; i++) {
        write_name(writer, map->items[i].key);
        write_string(writer, map->items[i].value != NULL ? map->items[i].value : "");
    }
    close_group(writer, '}');
}

static void write_text_or_null(struct writer *writer, const struct field *field, const char *text)
{
    if (text != NULL && field->type == FIELD_JSON)
        text_add(&writer->text, text);
    else if (text != NULL)
        write_string(writer, text);
    else if (field->type == FIELD_JSON || (field->flags & FIELD_NULLABLE) != 0)
        text_add(&writer->text, "null");
    else
        write_string(writer, "");
}

static void write_value(struct writer *writer, const struct field *field, const void *slot)
{
    switch (field->type) {
    case FIELD_BOOL:
        text_add(&writer->text, *(const bool *)slot ? "true" : "false");
        break;
    case FIELD_U8:
        write_unsigned(writer, *(const uint8_t *)slot);
        break;
    case FIELD_U16:
        write_unsigned(writer, *(const uint16_t *)slot);
        break;
    case FIELD_U32:
        write_unsigned(writer, *(const uint32_t *)slot);
        break;
    case FIELD_U64:
        write_unsigned(writer, *(const uint64_t *)slot);
        break;
    case FIELD_I32:
        write_signed(writer, *(const int32_t *)slot);
        break;
    case FIELD_I64:
        write_signed(writer, *(const int64_t *)slot);
        break;
    case FIELD_DOUBLE:
        write_double(writer, *(const double *)slot);
        break;
    case FIELD_STRING:
    case FIELD_JSON:
        write_text_or_null(writer, field, *(char *const *)slot);
        break;
    case FIELD_STRINGS:
        write_strings(writer, slot);
        break;
    case FIELD_MAP:
        if ((field->flags & FIELD_NULLABLE) != 0 && ((const struct string_map *)slot)->count == 0)
            text_add(&writer->text, "null");
        else
            write_map(writer, slot);
        break;
    case FIELD_STRUCT:
        write_object(writer, field->object, slot);
        break;
    case FIELD_POINTER:
        if (*(void *const *)slot != NULL)
            write_object(writer, field->object, *(void *const *)slot);
        else
            text_add(&writer->text, "null");
        break;
    case FIELD_KEYS:
        write_keys(writer, slot);
        break;
    }
}

static void write_list(struct writer *writer, const struct field *field,
                       const struct field_list *list)
{
    size_t size = field_size(field);

    open_group(writer, '[');
    for (size_t i = 0; i < list->count; i++) {
        next_part(writer);
        write_value(writer, field, list->items + i * size);
    }
    close_group(writer, ']');
}

static void write_dictionary(struct writer *writer, const struct field *field,
                             const struct field_list *list)
{
    size_t size = field_size(field);

    open_group(writer, '{');
    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->items + i * size;

        write_name(writer, *(char *const *)item);
        write_value(writer, field, item);
    }
    close_group(writer, '}');
}

static bool is_zero(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static bool is_object_empty(const struct object *object, const void *value);

/* Whether the field may be left out: zero, false, no text, no elements. */
static bool is_empty(const struct field *field, const void *value)
{
    const char *slot = (const char *)value + field->offset;

    if ((field->flags & (FIELD_ARRAY | FIELD_DICTIONARY)) != 0)
        return ((const struct field_list *)slot)->count == 0;
    switch (field->type) {
    case FIELD_STRING:
    case FIELD_JSON:
        return text_is_empty(*(char *const *)slot);
    case FIELD_STRINGS:
    case FIELD_KEYS:
        return ((const struct strings *)slot)->count == 0;
    case FIELD_MAP:
        return ((const struct string_map *)slot)->count == 0;
    case FIELD_STRUCT:
        return is_object_empty(field->object, slot);
    default:
        return is_zero(slot, field_size(field));
    }
}

static bool is_written(const struct field *field, const void *value)
{
    if ((field->flags & FIELD_REFUSED) != 0)
        return false;
    if (field->has_offset != SIZE_MAX)
        return *(const bool *)((const char *)value + field->has_offset);
    return (field->flags & (FIELD_KEEP_EMPTY | FIELD_REQUIRED)) != 0 || !is_empty(field, value);
}

static bool is_object_empty(const struct object *object, const void *value)
{
    for (const struct field *field = object->fields; field->name != NULL; field++) {
        if (is_written(field, value))
            return false;
    }
    return true;
}

static void write_object(struct writer *writer, const struct object *object, const void *value)
{
    open_group(writer, '{');
    for (const struct field *field = object->fields; field->name != NULL; field++) {
        const char *slot = (const char *)value + field->offset;

        if (!is_written(field, value))
            continue;
        write_name(writer, field->name);
        if ((field->flags & FIELD_ARRAY) != 0)
            write_list(writer, field, (const struct field_list *)slot);
        else if ((field->flags & FIELD_DICTIONARY) != 0)
            write_dictionary(writer, field, (const struct field_list *)slot);
        else
            write_value(writer, field, slot);
    }
    close_group(writer, '}');
}

char *encode_text(const struct object *object, const void *value, enum encode_style style)
{
    struct writer writer = { .style = style };

    write_object(&writer, object, value);
    return text_take(&writer.text);
}
