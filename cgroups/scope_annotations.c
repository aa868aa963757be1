#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/scope.h"

/* Annotations "org.systemd.property.NAME": "VALUE", the value in GVariant's text form as far as
 * properties of units need it: booleans, numbers, strings, and arrays of these. Who may set
 * annotations of a container may set properties of its unit. */

#define PREFIX     "org.systemd.property."
#define VALUES_MAX 1024

struct reader {
    const char *at;
    const char *type; /* of D-Bus, that the value shall have; NULL: as it is written */
};

static const struct {
    const char *word;
    const char *type;
} type_words[] = {
    { "boolean", "b" }, { "byte", "y" },   { "int16", "n" },      { "uint16", "q" },
    { "int32", "i" },   { "uint32", "u" }, { "int64", "x" },      { "uint64", "t" },
    { "double", "d" },  { "string", "s" }, { "objectpath", "o" },
};

static void skip_spaces(struct reader *reader)
{
    while (isspace((unsigned char)*reader->at))
        reader->at++;
}

/* "uint64 " or "@t " before the value. */
static void take_type(struct reader *reader, char (*ret_array)[3])
{
    skip_spaces(reader);
    if (*reader->at == '@') {
        const char *end = reader->at + strcspn(reader->at, " ");
        size_t length = (size_t)(end - reader->at - 1);

        if (length < 1 || length > 2 || *end == '\0')
            return; /* refused as a value */
        memcpy(*ret_array, reader->at + 1, length);
        (*ret_array)[length] = '\0';
        reader->at = end;
        reader->type = *ret_array;
    }
    for (size_t i = 0; i < ARRAY_SIZE(type_words); i++) {
        size_t length = strlen(type_words[i].word);

        if (strncmp(reader->at, type_words[i].word, length) == 0 && reader->at[length] == ' ') {
            reader->at += length;
            reader->type = type_words[i].type;
            break;
        }
    }
    skip_spaces(reader);
}

static char escaped(char letter)
{
    static const char letters[] = "abfnrtv", bytes[] = "\a\b\f\n\r\t\v";
    const char *found = letter != '\0' ? strchr(letters, letter) : NULL;

    return found != NULL ? bytes[found - letters] : letter;
}

/* 'text' or "text"; \n and the like, and a backslash before anything else. */
static bool take_string(struct reader *reader, struct text *text)
{
    char quote = *reader->at;

    for (reader->at++; *reader->at != quote; reader->at++) {
        char letter = *reader->at;

        if (letter == '\\')
            letter = escaped(*++reader->at);
        if (*reader->at == '\0')
            return false;
        text_addf(text, "%c", letter);
    }
    reader->at++;
    return true;
}

static bool fits(const char *type, const char *text)
{
    static const struct {
        char type;
        int64_t min, max;
    } ranges[] = {
        { 'n', INT16_MIN, INT16_MAX }, { 'i', INT32_MIN, INT32_MAX }, { 'x', INT64_MIN, INT64_MAX },
        { 'y', 0, UINT8_MAX },         { 'q', 0, UINT16_MAX },        { 'u', 0, UINT32_MAX },
    };
    int64_t number;
    uint64_t natural;
    char *end;

    if (text_equal(type, "t"))
        return text_parse_u64(text, "value", UINT64_MAX, &natural, NULL) == 0;
    if (text_equal(type, "d")) {
        (void)strtod(text, &end);
        return end != text && *end == '\0';
    }
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
        if (ranges[i].type == type[0] && type[1] == '\0')
            return text_parse_i64(text, "value", ranges[i].min, ranges[i].max, &number, NULL) == 0;
    return false;
}

/* A boolean or a number. */
static const char *take_word(struct reader *reader, struct text *text)
{
    size_t length = strspn(reader->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789+-.");
    auto_free char *word = xstrndup(reader->at, length);
    const char *type = reader->type;

    reader->at += length;
    text_add(text, word);
    if (text_equal(word, "true") || text_equal(word, "false"))
        return type == NULL || text_equal(type, "b") ? "b" : NULL;
    if (type == NULL)
        type = word[strcspn(word, ".eE")] != '\0' ? "d" : "i";
    return fits(type, word) ? type : NULL;
}

/* Returns the type of D-Bus, or NULL when it is no value. */
static const char *take_basic(struct reader *reader, struct strings *values)
{
    AUTO_CLEAR(text) struct text text = { 0 };
    const char *type;

    skip_spaces(reader);
    if (*reader->at == '\'' || *reader->at == '"') {
        if (!take_string(reader, &text))
            return NULL;
        type = text_equal(reader->type, "o") ? "o" : "s";
        if (reader->type != NULL && !text_equal(reader->type, type))
            return NULL;
    } else {
        type = take_word(reader, &text);
    }
    if (type != NULL)
        strings_add(values, text.data != NULL ? text.data : "");
    return type;
}

/* Elements have one type; the first one tells which, unless "@as" stood before. */
static const char *take_array(struct reader *reader, struct strings *values)
{
    struct reader element = { .at = reader->at + 1, .type = NULL };
    const char *type = NULL;

    if (reader->type != NULL && reader->type[0] != 'a')
        return NULL;
    if (reader->type != NULL)
        type = element.type = reader->type + 1;
    skip_spaces(&element);
    while (*element.at != ']') {
        char array[3] = "";
        const char *taken;

        take_type(&element, &array);
        taken = take_basic(&element, values);
        if (taken == NULL || (type != NULL && !text_equal(taken, type)) ||
            values->count > VALUES_MAX)
            return NULL;
        type = element.type = taken;
        skip_spaces(&element);
        if (*element.at == ',')
            element.at++;
        else if (*element.at != ']')
            return NULL;
        skip_spaces(&element);
    }
    reader->at = element.at + 1;
    return type;
}

static bool parse_value(const char *text, struct strings *values, char **ret_signature)
{
    struct reader reader = { .at = text };
    char array_type[3] = "";
    bool is_array;
    const char *type;

    take_type(&reader, &array_type);
    is_array = *reader.at == '[';
    type = is_array ? take_array(&reader, values) : take_basic(&reader, values);
    skip_spaces(&reader);
    if (type == NULL || *reader.at != '\0')
        return false;
    *ret_signature = xasprintf("%s%s", is_array ? "a" : "", type);
    return true;
}

/* At least three letters of ASCII and nothing else, as runc. */
static bool is_name(const char *name)
{
    size_t length = 0;

    for (; name[length] != '\0'; length++)
        if (!isalpha((unsigned char)name[length]) || (unsigned char)name[length] > 127)
            return false;
    return length >= 3;
}

/* TimeoutStopSec is TimeoutStopUSec on D-Bus; what ends in USec is so already. */
static bool is_in_seconds(const char *name)
{
    size_t length = strlen(name);

    return length > 3 && text_ends(name, "Sec") && islower((unsigned char)name[length - 4]);
}

static int to_microseconds(struct scope_property *property, struct error *err)
{
    char *value = property->values.count == 1 ? property->values.items[0] : NULL;
    bool is_number = strlen(property->signature) == 1 && strchr("ynqiuxtd", property->signature[0]);
    double seconds = is_number && value != NULL ? strtod(value, NULL) : -1;
    char *name;

    if (seconds < 0 || seconds > 1e12)
        return error_set(err, EINVAL, "is no number of seconds");
    name = xasprintf("%.*sUSec", (int)strlen(property->name) - 3, property->name);
    free(property->name);
    property->name = name;
    free(property->signature);
    property->signature = xstrdup("t");
    strings_clear(&property->values);
    strings_addf(&property->values, "%.0f", seconds * 1e6);
    return 0;
}

int scope_annotations_plan(const struct string_map *annotations,
                           struct scope_properties *properties, struct error *err)
{
    assert(annotations != NULL);

    for (size_t i = 0; i < annotations->count; i++) {
        const char *key = annotations->items[i].key;
        const char *value = annotations->items[i].value;
        AUTO_CLEAR(strings) struct strings values = { 0 };
        auto_free char *signature = NULL;
        struct scope_property *property;
        int r;

        if (!text_starts(key, PREFIX))
            continue;
        if (!is_name(key + strlen(PREFIX)))
            return error_set(err, EINVAL,
                             "annotations: '%s' names no property: at least three letters and "
                             "nothing else",
                             key);
        if (!parse_value(value, &values, &signature))
            return error_set(err, EINVAL,
                             "annotations: the value of '%s' is none that D-Bus has, such as true, "
                             "'text', 42, uint64 42 or ['a', 'b']: \"%s\"",
                             key, value);
        property = scope_properties_add(properties, key + strlen(PREFIX), signature);
        strings_add_all(&property->values, &values);
        if (!is_in_seconds(property->name))
            continue;
        r = to_microseconds(property, err);
        if (r < 0)
            return error_prefix(err, r, "annotations: the value of '%s'", key);
    }
    return 0;
}
