#include "base/decode.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/auto.h"
#include "base/decode_fields.h"
#include "base/decode_scan.h"

/* Where in the document we are, from the inside to the outside; written out for errors only. The
 * outermost place is the document itself. */
struct place {
    const struct place *outer;
    const char *name; /* of a member, or NULL for an element of a list */
    size_t index;
    bool has_marks; /* the document has numbers that base/decode_scan.h made strings */
};

static struct place member_of(const struct place *outer, const char *name)
{
    return (struct place){ .outer = outer, .name = name, .has_marks = outer->has_marks };
}

static struct place element_of(const struct place *outer, size_t index)
{
    return (struct place){ .outer = outer, .index = index, .has_marks = outer->has_marks };
}

static void json_free_cleanup(json_t **json)
{
    json_decref(*json);
}

static void add_place(struct text *text, const struct place *place)
{
    if (place->outer == NULL)
        return;
    add_place(text, place->outer);
    if (place->name == NULL)
        text_addf(text, "[%zu]", place->index);
    else
        text_addf(text, "%s%s", text->length > 0 ? "." : "", place->name);
}

static int fail_at(const struct place *place, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail_at(const struct place *place, struct error *err, const char *format, ...)
{
    AUTO_CLEAR(text) struct text where = { 0 };
    auto_free char *what = NULL;
    va_list arguments;

    va_start(arguments, format);
    what = xvasprintf(format, arguments);
    va_end(arguments);
    add_place(&where, place);
    return error_set(err, EINVAL, "%s%s%s", where.length > 0 ? where.data : "",
                     where.length > 0 ? ": " : "", what);
}

static int decode_object(const struct object *object, const json_t *json, void *value,
                         const struct place *place, struct error *err);

/* Smallest and largest value of an integer type. */
static void integer_range(enum field_type type, int64_t *ret_min, uint64_t *ret_max)
{
    *ret_min = type == FIELD_I32 ? INT32_MIN : type == FIELD_I64 ? INT64_MIN : 0;
    *ret_max = type == FIELD_U8    ? UINT8_MAX
               : type == FIELD_U16 ? UINT16_MAX
               : type == FIELD_U32 ? UINT32_MAX
               : type == FIELD_U64 ? UINT64_MAX
               : type == FIELD_I32 ? INT32_MAX
                                   : INT64_MAX;
}

static void store_integer(enum field_type type, uint64_t number, void *slot)
{
    switch (type) {
    case FIELD_U8:
        *(uint8_t *)slot = (uint8_t)number;
        break;
    case FIELD_U16:
        *(uint16_t *)slot = (uint16_t)number;
        break;
    case FIELD_U32:
    case FIELD_I32:
        *(uint32_t *)slot = (uint32_t)number;
        break;
    default:
        *(uint64_t *)slot = number;
        break;
    }
}

/* Digits of a number that jansson could not keep, or NULL. */
static const char *large_number(const json_t *json, const struct place *place)
{
    if (!place->has_marks || !json_is_string(json))
        return NULL;
    return scan_marked_digits(json_string_value(json));
}

static int decode_integer(enum field_type type, const json_t *json, void *slot,
                          const struct place *place, struct error *err)
{
    const char *large = large_number(json, place);
    uint64_t max;
    int64_t min;

    integer_range(type, &min, &max);
    if (large != NULL) {
        uint64_t number;

        if (max != UINT64_MAX || text_parse_u64(large, "", max, &number, NULL) < 0)
            return fail_at(place, err, "%s is out of range", large);
        store_integer(type, number, slot);
        return 0;
    }
    if (!json_is_integer(json))
        return fail_at(place, err, "must be a %snumber", json_is_real(json) ? "whole " : "");
    if (json_integer_value(json) < min ||
        (json_integer_value(json) > 0 && (uint64_t)json_integer_value(json) > max))
        return fail_at(place, err, "%" JSON_INTEGER_FORMAT " is out of range",
                       json_integer_value(json));
    store_integer(type, (uint64_t)json_integer_value(json), slot);
    return 0;
}

static int decode_double(const json_t *json, double *slot, const struct place *place,
                         struct error *err)
{
    const char *large = large_number(json, place);

    if (large == NULL && !json_is_number(json))
        return fail_at(place, err, "must be a number");
    *slot = large != NULL ? strtod(large, NULL) : json_number_value(json);
    return 0;
}

static int decode_string(const char *const *words, const json_t *json, char **slot,
                         const struct place *place, struct error *err)
{
    AUTO_CLEAR(text) struct text known = { 0 };
    const char *value;

    if (!json_is_string(json) || large_number(json, place) != NULL)
        return fail_at(place, err, "must be a string");
    value = json_string_value(json);
    for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
        if (strcmp(words[i], value) == 0) {
            words = NULL;
            break;
        }
        text_addf(&known, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    if (words != NULL)
        return fail_at(place, err, "'%.100s' is not one of %s", value,
                       known.data != NULL ? known.data : "");
    *slot = xstrdup(value);
    return 0;
}

static int decode_strings(const json_t *json, struct strings *slot, const struct place *place,
                          struct error *err)
{
    if (!json_is_array(json))
        return fail_at(place, err, "must be a list of strings");
    if (json_array_size(json) == 0)
        return 0;
    slot->items = xcalloc(json_array_size(json) + 1, sizeof(slot->items[0]));
    for (size_t i = 0; i < json_array_size(json); i++) {
        struct place element = element_of(place, i);
        int r = decode_string(NULL, json_array_get(json, i), &slot->items[i], &element, err);

        if (r < 0)
            return r;
        slot->count++;
    }
    return 0;
}

static int decode_map(const json_t *json, struct string_map *slot, const struct place *place,
                      struct error *err)
{
    const char *key;
    json_t *item;

    if (!json_is_object(json))
        return fail_at(place, err, "must be an object of strings");
    slot->items = xcalloc(json_object_size(json), sizeof(slot->items[0]));
    json_object_foreach((json_t *)json, key, item)
    {
        struct place member = member_of(place, key);
        char *text = NULL;
        int r = decode_string(NULL, item, &text, &member, err);

        if (r < 0)
            return r;
        slot->items[slot->count++] = (struct string_pair){ xstrdup(key), text };
    }
    return 0;
}

static int decode_keys(const json_t *json, struct strings *slot, const struct place *place,
                       struct error *err)
{
    const char *key;
    json_t *item;

    if (!json_is_object(json))
        return fail_at(place, err, "must be an object");
    json_object_foreach((json_t *)json, key, item)
    {
        strings_add(slot, key);
    }
    strings_sort(slot);
    return 0;
}

static char *dump_value(const json_t *json, const struct place *place)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

    if (text == NULL) /* what was parsed can be written, so only memory is missing */
        return xstrdup("null");
    if (place->has_marks)
        scan_unmark(text);
    return text;
}

static int decode_pointer(const struct object *object, const json_t *json, void **slot,
                          const struct place *place, struct error *err)
{
    if (!json_is_object(json))
        return fail_at(place, err, "must be an object");
    *slot = xcalloc(1, object->size);
    return decode_object(object, json, *slot, place, err);
}

static int decode_value(const struct field *field, const json_t *json, void *slot,
                        const struct place *place, struct error *err)
{
    switch (field->type) {
    case FIELD_BOOL:
        if (!json_is_boolean(json))
            return fail_at(place, err, "must be true or false");
        *(bool *)slot = json_is_true(json);
        return 0;
    case FIELD_DOUBLE:
        return decode_double(json, slot, place, err);
    case FIELD_STRING:
        return decode_string(field->words, json, slot, place, err);
    case FIELD_STRINGS:
        return decode_strings(json, slot, place, err);
    case FIELD_MAP:
        return decode_map(json, slot, place, err);
    case FIELD_STRUCT:
        return decode_object(field->object, json, slot, place, err);
    case FIELD_POINTER:
        return decode_pointer(field->object, json, slot, place, err);
    case FIELD_JSON:
        *(char **)slot = dump_value(json, place);
        return 0;
    case FIELD_KEYS:
        return decode_keys(json, slot, place, err);
    default:
        return decode_integer(field->type, json, slot, place, err);
    }
}

static int decode_list(const struct field *field, const json_t *json, struct field_list *list,
                       const struct place *place, struct error *err)
{
    size_t size = field_size(field);

    if (!json_is_array(json))
        return fail_at(place, err, "must be a list");
    if (json_array_size(json) == 0)
        return 0;
    list->items = xcalloc(json_array_size(json), size);
    for (size_t i = 0; i < json_array_size(json); i++) {
        struct place element = element_of(place, i);
        int r;

        list->count = i + 1; /* first: what a failed element has allocated is freed with the list */
        r = decode_value(field, json_array_get(json, i), list->items + i * size, &element, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int decode_dictionary(const struct field *field, const json_t *json, struct field_list *list,
                             const struct place *place, struct error *err)
{
    const char *key;
    json_t *item;

    assert(field->type == FIELD_STRUCT);

    if (!json_is_object(json))
        return fail_at(place, err, "must be an object");
    if (json_object_size(json) == 0)
        return 0;
    list->items = xcalloc(json_object_size(json), field->object->size);
    json_object_foreach((json_t *)json, key, item)
    {
        struct place member = member_of(place, key);
        char *slot = list->items + list->count++ * field->object->size;
        int r = decode_object(field->object, item, slot, &member, err);

        if (r < 0)
            return r;
        *(char **)slot = xstrdup(key);
    }
    return 0;
}

static int decode_field(const struct field *field, const json_t *json, void *value,
                        const struct place *outer, struct error *err)
{
    struct place place = member_of(outer, field->name);
    char *slot = (char *)value + field->offset;
    int r;

    if (json == NULL || json_is_null(json)) {
        if ((field->flags & FIELD_REQUIRED) != 0)
            return fail_at(&place, err, "is missing");
        return 0;
    }
    if ((field->flags & FIELD_REFUSED) != 0)
        return fail_at(&place, err, "is not supported");
    if ((field->flags & FIELD_ARRAY) != 0)
        r = decode_list(field, json, (struct field_list *)slot, &place, err);
    else if ((field->flags & FIELD_DICTIONARY) != 0)
        r = decode_dictionary(field, json, (struct field_list *)slot, &place, err);
    else
        r = decode_value(field, json, slot, &place, err);
    if (r == 0 && field->has_offset != SIZE_MAX)
        *(bool *)((char *)value + field->has_offset) = true;
    return r;
}

static const struct field *find_field(const struct object *object, const char *name)
{
    for (const struct field *field = object->fields; field->name != NULL; field++) {
        if (strcmp(field->name, name) == 0)
            return field;
    }
    return NULL;
}

static int refuse_unknown(const struct object *object, const json_t *json,
                          const struct place *place, struct error *err)
{
    const char *key;
    json_t *item;

    json_object_foreach((json_t *)json, key, item)
    {
        struct place member = member_of(place, key);

        if (find_field(object, key) == NULL)
            return fail_at(&member, err, "is unknown");
    }
    return 0;
}

static int decode_object(const struct object *object, const json_t *json, void *value,
                         const struct place *place, struct error *err)
{
    if (!json_is_object(json))
        return fail_at(place, err, "must be an object");
    for (const struct field *field = object->fields; field->name != NULL; field++) {
        int r = decode_field(field, json_object_get(json, field->name), value, place, err);

        if (r < 0)
            return r;
    }
    if ((object->flags & OBJECT_REFUSE_UNKNOWN) != 0)
        return refuse_unknown(object, json, place, err);
    return 0;
}

/* jansson seeds its tables from /dev/urandom, three system calls; the kernel gave us 16 random
 * bytes at exec already (getauxval(3), AT_RANDOM). */
static void seed_tables(void)
{
    size_t seed = 1;
    const void *random = (const void *)getauxval(AT_RANDOM);

    if (random != NULL)
        memcpy(&seed, random, sizeof(seed));
    json_object_seed(seed != 0 ? seed : 1);
}

static int parse_document(const char *json, size_t length, json_t **ret_json, bool *ret_has_marks,
                          struct error *err)
{
    AUTO_CLEAR(text) struct text rewritten = { 0 };
    json_error_t failure;
    int r;

    r = scan_document(json, length, DECODE_DEPTH_MAX, &rewritten, err);
    if (r < 0)
        return r;
    seed_tables();
    *ret_has_marks = rewritten.length > 0;
    if (rewritten.length > 0)
        *ret_json = json_loadb(rewritten.data, rewritten.length, JSON_REJECT_DUPLICATES, &failure);
    else
        *ret_json = json_loadb(json, length, JSON_REJECT_DUPLICATES, &failure);
    if (*ret_json == NULL)
        return error_set(err, EINVAL, "line %d: %s", failure.line, failure.text);
    return 0;
}

int decode_text(const struct object *object, const char *json, size_t length, void *value,
                const char *what, struct error *err)
{
    AUTO(json) json_t *document = NULL;
    struct place place = { 0 };
    int r;

    assert(object != NULL);
    assert(json != NULL);
    assert(value != NULL);

    r = parse_document(json, length, &document, &place.has_marks, err);
    if (r == 0)
        r = decode_object(object, document, value, &place, err);
    if (r < 0)
        object_clear(object, value);
    if (r < 0 && what != NULL)
        return error_prefix(err, r, "%s", what);
    return r;
}
