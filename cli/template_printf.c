#include "cli/template_functions.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

/* printf of templates, as Go's fmt.Sprintf: values know their types, and a verb that does not fit
 * is shown in place, "%!d(string=x)". */

/* One "%-10.3d" of printf. */
struct conversion {
    bool is_left, has_zeros, has_sign, is_alternate;
    int width, precision; /* precision -1: none */
    char verb;
};

static const char *conversion_number(const char *format, int *ret_number)
{
    int number = 0;

    for (; isdigit((unsigned char)*format); format++) {
        if (number < TEMPLATE_WIDTH_MAX)
            number = number * 10 + (*format - '0');
    }
    *ret_number = number < TEMPLATE_WIDTH_MAX ? number : TEMPLATE_WIDTH_MAX;
    return format;
}

/* Reads what stands behind '%'; returns what follows. */
static const char *conversion_parse(const char *format, struct conversion *conversion)
{
    *conversion = (struct conversion){ .precision = -1 };
    for (;; format++) {
        if (*format == '-')
            conversion->is_left = true;
        else if (*format == '0')
            conversion->has_zeros = true;
        else if (*format == '+')
            conversion->has_sign = true;
        else if (*format == '#')
            conversion->is_alternate = true;
        else if (*format != ' ')
            break;
    }
    format = conversion_number(format, &conversion->width);
    if (*format == '.')
        format = conversion_number(format + 1, &conversion->precision);
    conversion->verb = *format;
    return *format != '\0' ? format + 1 : format;
}

static char *format_number(const struct conversion *conversion, json_t *value)
{
    long long number = (long long)json_integer_value(value);
    unsigned long long size =
        number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
    const char *sign = number < 0 ? "-" : conversion->has_sign ? "+" : "";

    switch (conversion->verb) {
    case 'x':
        return xasprintf("%s%s%llx", sign, conversion->is_alternate ? "0x" : "", size);
    case 'X':
        return xasprintf("%s%s%llX", sign, conversion->is_alternate ? "0X" : "", size);
    case 'o':
        return xasprintf("%s%llo", sign, size);
    default:
        return xasprintf("%s%llu", sign, size);
    }
}

/* The operand as its verb shows it; NULL when the verb is not for this kind of value. */
static char *format_operand(const struct conversion *conversion, json_t *value)
{
    int precision = conversion->precision >= 0 ? conversion->precision : 6;

    switch (conversion->verb) {
    case 'v':
        return template_value_text(value);
    case 's':
        if (json_is_number(value) || json_is_boolean(value))
            return NULL;
        return template_value_text(value);
    case 'q':
        return json_is_string(value) ? template_value_json(value, false) : NULL;
    case 't':
        return json_is_boolean(value) ? template_value_text(value) : NULL;
    case 'd':
    case 'x':
    case 'X':
    case 'o':
        return json_is_integer(value) ? format_number(conversion, value) : NULL;
    case 'f':
    case 'F':
        return json_is_number(value) ? xasprintf("%.*f", precision, json_number_value(value))
                                     : NULL;
    case 'e':
        return json_is_number(value) ? xasprintf("%.*e", precision, json_number_value(value))
                                     : NULL;
    case 'g':
        return json_is_number(value) ? xasprintf("%.15g", json_number_value(value)) : NULL;
    default:
        return NULL;
    }
}

static const char *type_name(json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "map",  [JSON_ARRAY] = "list",   [JSON_STRING] = "string",
        [JSON_INTEGER] = "int", [JSON_REAL] = "float64", [JSON_TRUE] = "bool",
        [JSON_FALSE] = "bool",  [JSON_NULL] = "<nil>",
    };

    return names[json_typeof(value)];
}

static void add_operand(struct text *out, const struct conversion *conversion, json_t *value)
{
    auto_free char *text = format_operand(conversion, value);
    size_t length, width, wanted;
    bool fills_zeros;

    if (text == NULL) {
        auto_free char *plain = template_value_text(value);

        text_addf(out, "%%!%c(%s=%s)", conversion->verb, type_name(value), plain);
        return;
    }
    length = strlen(text);
    if (conversion->verb == 's' && conversion->precision >= 0)
        length = template_prefix_length(text, (size_t)conversion->precision);
    width = 0;
    for (size_t i = 0; i < length; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    wanted = (size_t)conversion->width;
    fills_zeros = conversion->has_zeros && !conversion->is_left;

    for (size_t i = width; !conversion->is_left && i < wanted; i++)
        text_add(out, fills_zeros ? "0" : " ");
    text_add_bytes(out, text, length);
    for (size_t i = width; conversion->is_left && i < wanted; i++)
        text_add(out, " ");
}

char *template_printf(const char *format, json_t *const *values, size_t count)
{
    struct text out = { 0 };
    size_t next = 0;

    while (*format != '\0') {
        size_t length = strcspn(format, "%");
        struct conversion conversion;

        text_add_bytes(&out, format, length);
        format += length;
        if (*format == '\0')
            break;
        format = conversion_parse(format + 1, &conversion);
        if (conversion.verb == '%')
            text_add(&out, "%");
        else if (conversion.verb == '\0')
            text_add(&out, "%!(NOVERB)");
        else if (next >= count)
            text_addf(&out, "%%!%c(MISSING)", conversion.verb);
        else
            add_operand(&out, &conversion, values[next++]);
    }
    return text_take(&out);
}
