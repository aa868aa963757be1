#include "cli/template_functions.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "cli/template_parse.h"

struct call {
    const char *name;
    json_t *const *values;
    size_t count;
    bool sorts_keys;
};

typedef int function_handler(const struct call *call, json_t **ret_value, struct error *err);

/* --- values ----------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **template_sorted_keys(json_t *object)
{
    const char **keys = xcalloc(json_object_size(object) + 1, sizeof(*keys));
    const char *key;
    json_t *value;
    size_t count = 0;

    json_object_foreach(object, key, value)
    {
        keys[count++] = key;
    }
    qsort(keys, count, sizeof(*keys), compare_keys);
    return keys;
}

void template_print_value(struct text *out, json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        text_add(out, json_string_value(value));
        break;
    case JSON_INTEGER:
        text_addf(out, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        text_addf(out, "%.15g", json_real_value(value));
        break;
    case JSON_TRUE:
        text_add(out, "true");
        break;
    case JSON_FALSE:
        text_add(out, "false");
        break;
    case JSON_NULL:
        text_add(out, "<no value>");
        break;
    case JSON_ARRAY:
        text_add(out, "[");
        for (size_t i = 0; i < json_array_size(value); i++) {
            text_add(out, i > 0 ? " " : "");
            template_print_value(out, json_array_get(value, i));
        }
        text_add(out, "]");
        break;
    case JSON_OBJECT: {
        auto_free const char **keys = template_sorted_keys(value);

        text_add(out, "map[");
        for (size_t i = 0; keys[i] != NULL; i++) {
            text_addf(out, "%s%s:", i > 0 ? " " : "", keys[i]);
            template_print_value(out, json_object_get(value, keys[i]));
        }
        text_add(out, "]");
        break;
    }
    }
}

char *template_value_text(json_t *value)
{
    struct text out = { 0 };

    template_print_value(&out, value);
    return text_take(&out);
}

char *template_escape_controls(char *json)
{
    struct text out = { 0 };

    text_add(&out, "");
    for (const unsigned char *at = (const unsigned char *)json; *at != '\0'; at++) {
        if (*at == 0x7f) {
            text_add(&out, "\\u007F");
        } else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f) {
            text_addf(&out, "\\u%04X", at[1]);
            at++;
        } else {
            text_add_bytes(&out, at, 1);
        }
    }
    free(json);
    return text_take(&out);
}

char *template_value_json(json_t *value, bool sorts_keys)
{
    size_t flags = JSON_ENCODE_ANY | JSON_COMPACT | (sorts_keys ? JSON_SORT_KEYS : 0);
    char *text = json_dumps(value, flags);

    assert(text != NULL);
    return template_escape_controls(text);
}

bool template_is_true(json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_INTEGER:
        return json_integer_value(value) != 0;
    case JSON_REAL:
        return json_real_value(value) != 0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_OBJECT:
        return json_object_size(value) > 0;
    case JSON_TRUE:
        return true;
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return false;
}

/* Bytes that are no UTF-8 (a cut character) become nothing rather than a NULL value. */
static json_t *string_value(const char *text, size_t length)
{
    json_t *value = json_stringn(text, length);

    return value != NULL ? value : json_string("");
}

static json_t *take_string(char *text)
{
    json_t *value = string_value(text, strlen(text));

    free(text);
    return value;
}

static int bad_arguments(const struct call *call, const char *why, struct error *err)
{
    return error_set(err, EINVAL, "error calling %s: %s", call->name, why);
}

/* --- logic ------------------------------------------------------------------------------------ */

static int call_not(const struct call *call, json_t **ret_value, struct error *err)
{
    (void)err;
    *ret_value = json_boolean(!template_is_true(call->values[0]));
    return 0;
}

/* Less, equal or greater; -EINVAL when the two kinds do not compare. */
static int values_compare(const struct call *call, json_t *a, json_t *b, int *ret_order,
                          struct error *err)
{
    if (json_is_string(a) && json_is_string(b)) {
        *ret_order = strcmp(json_string_value(a), json_string_value(b));
        return 0;
    }
    if (json_is_integer(a) && json_is_integer(b)) {
        *ret_order = (json_integer_value(a) > json_integer_value(b)) -
                     (json_integer_value(a) < json_integer_value(b));
        return 0;
    }
    if (json_is_number(a) && json_is_number(b)) {
        *ret_order = (json_number_value(a) > json_number_value(b)) -
                     (json_number_value(a) < json_number_value(b));
        return 0;
    }
    return bad_arguments(call, "incompatible types for comparison", err);
}

static int call_eq(const struct call *call, json_t **ret_value, struct error *err)
{
    bool is_equal = false;

    for (size_t i = 1; i < call->count && !is_equal; i++) {
        json_t *a = call->values[0], *b = call->values[i];

        if (json_typeof(a) != json_typeof(b) && !json_is_null(a) && !json_is_null(b) &&
            !(json_is_number(a) && json_is_number(b)) &&
            !(json_is_boolean(a) && json_is_boolean(b)))
            return bad_arguments(call, "incompatible types for comparison", err);
        is_equal = json_is_number(a) && json_is_number(b)
                       ? json_number_value(a) == json_number_value(b)
                       : json_equal(a, b);
    }
    *ret_value = json_boolean(is_equal == (strcmp(call->name, "eq") == 0));
    return 0;
}

static int call_order(const struct call *call, json_t **ret_value, struct error *err)
{
    int order = 0;
    int r = values_compare(call, call->values[0], call->values[1], &order, err);
    bool allows_equal = call->name[1] == 'e';

    if (r < 0)
        return r;
    *ret_value = json_boolean((order == 0 && allows_equal) ||
                              (call->name[0] == 'l' ? order < 0 : order > 0));
    return 0;
}

/* --- lists and objects ------------------------------------------------------------------------ */

static int call_len(const struct call *call, json_t **ret_value, struct error *err)
{
    json_t *value = call->values[0];
    size_t length;

    if (json_is_string(value))
        length = json_string_length(value);
    else if (json_is_array(value))
        length = json_array_size(value);
    else if (json_is_object(value))
        length = json_object_size(value);
    else if (json_is_null(value))
        length = 0; /* docker's empty lists and maps may be null in JSON */
    else
        return bad_arguments(call, "this value has no length", err);
    *ret_value = json_integer((json_int_t)length);
    return 0;
}

/* One step of index. @value is borrowed, so is the result; NULL: absent from an object. */
static int index_one(const struct call *call, json_t *value, json_t *key, json_t **ret_value,
                     struct error *err)
{
    if (json_is_object(value)) {
        if (!json_is_string(key))
            return bad_arguments(call, "the key of a map is a string", err);
        *ret_value = json_object_get(value, json_string_value(key));
        return 0;
    }
    if (json_is_array(value)) {
        if (!json_is_integer(key))
            return bad_arguments(call, "the index of a list is a number", err);
        if (json_integer_value(key) < 0 ||
            (size_t)json_integer_value(key) >= json_array_size(value))
            return error_set(err, EINVAL, "error calling index: index out of range: %lld",
                             (long long)json_integer_value(key));
        *ret_value = json_array_get(value, (size_t)json_integer_value(key));
        return 0;
    }
    if (json_is_null(value) && json_is_string(key)) {
        *ret_value = NULL;
        return 0;
    }
    return bad_arguments(
        call, json_is_null(value) ? "index of untyped nil" : "can't index this value", err);
}

static int call_index(const struct call *call, json_t **ret_value, struct error *err)
{
    json_t *value = call->values[0];

    for (size_t i = 1; i < call->count && value != NULL; i++) {
        int r = index_one(call, value, call->values[i], &value, err);

        if (r < 0)
            return r;
    }
    /* Most maps of docker's documents map to strings, whose zero is "". */
    *ret_value = value != NULL ? json_incref(value) : json_string("");
    return 0;
}

static int call_slice(const struct call *call, json_t **ret_value, struct error *err)
{
    json_t *value = call->values[0];
    size_t length = json_is_string(value) ? json_string_length(value) : json_array_size(value);
    size_t bounds[2] = { 0, length };

    if (!json_is_string(value) && !json_is_array(value))
        return bad_arguments(call, "can't slice this value", err);
    for (size_t i = 1; i < call->count && i <= 2; i++) {
        json_int_t bound = json_integer_value(call->values[i]);

        if (!json_is_integer(call->values[i]) || bound < 0 || (size_t)bound > length)
            return bad_arguments(call, "index out of range", err);
        bounds[i - 1] = (size_t)bound;
    }
    if (bounds[0] > bounds[1])
        return bad_arguments(call, "invalid slice index", err);
    if (json_is_string(value)) {
        *ret_value = string_value(json_string_value(value) + bounds[0], bounds[1] - bounds[0]);
        return 0;
    }
    *ret_value = json_array();
    for (size_t i = bounds[0]; i < bounds[1]; i++)
        (void)json_array_append(*ret_value, json_array_get(value, i));
    return 0;
}

static int call_join(const struct call *call, json_t **ret_value, struct error *err)
{
    json_t *list = call->values[0];
    struct text out = { 0 };

    if ((!json_is_array(list) && !json_is_null(list)) || !json_is_string(call->values[1]))
        return bad_arguments(call, "it joins a list with a string", err);
    for (size_t i = 0; i < json_array_size(list); i++) {
        text_add(&out, i > 0 ? json_string_value(call->values[1]) : "");
        template_print_value(&out, json_array_get(list, i));
    }
    *ret_value = take_string(text_take(&out));
    return 0;
}

static int call_split(const struct call *call, json_t **ret_value, struct error *err)
{
    const char *text = json_string_value(call->values[0]);
    const char *separator = json_string_value(call->values[1]);

    if (text == NULL || separator == NULL || separator[0] == '\0')
        return bad_arguments(call, "it splits a string at a string", err);
    *ret_value = json_array();
    for (;;) {
        const char *end = strstr(text, separator);
        size_t length = end != NULL ? (size_t)(end - text) : strlen(text);

        (void)json_array_append_new(*ret_value, string_value(text, length));
        if (end == NULL)
            return 0;
        text = end + strlen(separator);
    }
}

/* --- texts ------------------------------------------------------------------------------------ */

static int call_json(const struct call *call, json_t **ret_value, struct error *err)
{
    (void)err;
    *ret_value = take_string(template_value_json(call->values[0], call->sorts_keys));
    return 0;
}

static int call_case(const struct call *call, json_t **ret_value, struct error *err)
{
    auto_free char *text = NULL;
    bool is_first = true;

    if (!json_is_string(call->values[0]))
        return bad_arguments(call, "wrong type for value; expected string", err);
    text = xstrdup(json_string_value(call->values[0]));
    for (char *c = text; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;

        if (call->name[0] == 'l')
            *c = (char)tolower(byte);
        else if (call->name[0] == 'u' || is_first)
            *c = (char)toupper(byte);
        is_first = isspace(byte) != 0;
    }
    *ret_value = json_string(text);
    return 0;
}

size_t template_prefix_length(const char *text, size_t characters)
{
    size_t length = 0;

    while (text[length] != '\0') {
        if (((unsigned char)text[length] & 0xc0) != 0x80 && characters-- == 0)
            break;
        length++;
    }
    return length;
}

static int call_truncate(const struct call *call, json_t **ret_value, struct error *err)
{
    const char *text = json_string_value(call->values[0]);
    json_int_t characters = json_integer_value(call->values[1]);

    if (text == NULL || !json_is_integer(call->values[1]) || characters < 0)
        return bad_arguments(call, "it cuts a string to a number of characters", err);
    *ret_value = string_value(text, template_prefix_length(text, (size_t)characters));
    return 0;
}

static int call_pad(const struct call *call, json_t **ret_value, struct error *err)
{
    const char *text = json_string_value(call->values[0]);
    json_int_t before = json_integer_value(call->values[1]);
    json_int_t after = json_integer_value(call->values[2]);

    if (text == NULL || before < 0 || after < 0 || before > TEMPLATE_WIDTH_MAX ||
        after > TEMPLATE_WIDTH_MAX)
        return bad_arguments(call, "it puts spaces before and behind a string", err);
    *ret_value = text[0] == '\0'
                     ? json_string("")
                     : take_string(xasprintf("%*s%s%*s", (int)before, "", text, (int)after, ""));
    return 0;
}

static int call_print(const struct call *call, json_t **ret_value, struct error *err)
{
    bool is_line = strcmp(call->name, "println") == 0;
    struct text out = { 0 };

    (void)err;
    for (size_t i = 0; i < call->count; i++) {
        /* Go's Print: a space between operands when neither is a string; Println: always. */
        bool has_space = is_line || (i > 0 && !json_is_string(call->values[i - 1]) &&
                                     !json_is_string(call->values[i]));

        text_add(&out, i > 0 && has_space ? " " : "");
        template_print_value(&out, call->values[i]);
    }
    text_add(&out, is_line ? "\n" : "");
    *ret_value = take_string(text_take(&out));
    return 0;
}

static int call_printf(const struct call *call, json_t **ret_value, struct error *err)
{
    const char *format = json_string_value(call->values[0]);

    if (format == NULL)
        return bad_arguments(call, "wrong type for value; expected string", err);
    *ret_value = take_string(template_printf(format, call->values + 1, call->count - 1));
    return 0;
}

/* html, js, urlquery */
static int call_escape(const struct call *call, json_t **ret_value, struct error *err)
{
    auto_free char *text = template_value_text(call->values[0]);
    struct text out = { 0 };

    (void)err;
    for (const char *c = text; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;

        if (call->name[0] == 'u' && *c == ' ')
            text_add(&out, "+");
        else if (call->name[0] == 'u' && !isalnum(byte) && strchr("-_.~", *c) == NULL)
            text_addf(&out, "%%%02X", byte);
        else if (call->name[0] == 'h' && strchr("<>&'\"", *c) != NULL)
            text_addf(&out,
                      *c == '<'   ? "&lt;"
                      : *c == '>' ? "&gt;"
                      : *c == '&' ? "&amp;"
                                  : "&#%d;",
                      byte);
        else if (call->name[0] == 'j' && strchr("<>&'\"\\=", *c) != NULL)
            text_addf(&out, strchr("'\"\\", *c) != NULL ? "\\%c" : "\\u%04X", byte);
        else
            text_add_bytes(&out, c, 1);
    }
    *ret_value = take_string(text_take(&out));
    return 0;
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct function {
    const char *name;
    size_t min, max;
    function_handler *handler; /* NULL: template.c does it, as it need not look at all operands */
} functions[] = {
    { "and", 1, SIZE_MAX, NULL },
    { "or", 1, SIZE_MAX, NULL },
    { "not", 1, 1, call_not },
    { "eq", 2, SIZE_MAX, call_eq },
    { "ne", 2, 2, call_eq },
    { "lt", 2, 2, call_order },
    { "le", 2, 2, call_order },
    { "gt", 2, 2, call_order },
    { "ge", 2, 2, call_order },
    { "len", 1, 1, call_len },
    { "index", 1, SIZE_MAX, call_index },
    { "slice", 1, 3, call_slice },
    { "join", 2, 2, call_join },
    { "split", 2, 2, call_split },
    { "json", 1, 1, call_json },
    { "upper", 1, 1, call_case },
    { "lower", 1, 1, call_case },
    { "title", 1, 1, call_case },
    { "truncate", 2, 2, call_truncate },
    { "pad", 3, 3, call_pad },
    { "print", 0, SIZE_MAX, call_print },
    { "println", 0, SIZE_MAX, call_print },
    { "printf", 1, SIZE_MAX, call_printf },
    { "html", 1, 1, call_escape },
    { "js", 1, 1, call_escape },
    { "urlquery", 1, 1, call_escape },
};

static const struct function *function_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        if (strcmp(functions[i].name, name) == 0)
            return &functions[i];
    }
    return NULL;
}

bool template_has_function(const char *name)
{
    return function_find(name) != NULL;
}

int template_call(const char *name, json_t *const *values, size_t count, bool sorts_keys,
                  json_t **ret_value, struct error *err)
{
    const struct function *function = function_find(name);
    struct call call = { name, values, count, sorts_keys };

    assert(function != NULL);
    if (count < function->min || count > function->max)
        return error_set(err, EINVAL, "wrong number of args for %s: want %s%zu got %zu", name,
                         function->min == function->max ? "" : "at least ", function->min, count);
    assert(function->handler != NULL);
    return function->handler(&call, ret_value, err);
}
