#ifndef CLI_TEMPLATE_FUNCTIONS_H
#define CLI_TEMPLATE_FUNCTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

/* No width of printf or pad is larger. */
#define TEMPLATE_WIDTH_MAX 4096

/* Functions of templates over JSON values; private to template*.c. */

/* Prints as Go's %v: "text", 12, true, [a b], map[k:v]; null is <no value>. */
void template_print_value(struct text *out, json_t *value);
/* The same as a text. Caller frees. */
char *template_value_text(json_t *value);
/* Go's fmt.Sprintf. Caller frees. */
char *template_printf(const char *format, json_t *const *values, size_t count);
/* Bytes of the first @characters characters of a UTF-8 text. */
size_t template_prefix_length(const char *text, size_t characters);
/* Takes JSON and gives it back with U+007F to U+009F escaped: a terminal obeys them as it does the
 * control characters that JSON never has. Caller frees. */
char *template_escape_controls(char *json);
/* Compact JSON. */
char *template_value_json(json_t *value, bool sorts_keys);
/* Go's truth: not false, 0, "", null or an empty list. */
bool template_is_true(json_t *value);
/* Keys in order of bytes; borrowed from @object. Caller frees the array, which ends with NULL. */
const char **template_sorted_keys(json_t *object);

/* Calls @name with borrowed values. @ret_value: a new reference. */
int template_call(const char *name, json_t *const *values, size_t count, bool sorts_keys,
                  json_t **ret_value, struct error *err);

#endif
