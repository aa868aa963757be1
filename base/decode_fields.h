#ifndef BASE_DECODE_FIELDS_H
#define BASE_DECODE_FIELDS_H

#include "base/decode.h"

/* Private to base/decode.c, base/encode.c and base/decode_fields.c: how values lie in memory. */

/* What FIELD_ARRAY and FIELD_DICTIONARY point at, whatever the type of the items. */
struct field_list {
    char *items;
    size_t count;
};

/** Bytes of one value of the field, in an array of one element as well. */
size_t field_size(const struct field *field);

#endif
